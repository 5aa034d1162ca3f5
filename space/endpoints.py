"""The endpoints for programs, which are also tools for language models (MCP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space.demo import Demo
    from space.server.inputs import EXAMPLE, describe, take_turns
    from space.tabs.many_images import ManyImages
else:
    from demo import Demo
    from server.inputs import EXAMPLE, describe, take_turns
    from tabs.many_images import ManyImages

EXAMPLE_ZIP = EXAMPLE | {"path": "coil.zip", "orig_name": "coil.zip"}


def build(demo: Demo, many: ManyImages) -> None:
    """Add the endpoints; nothing of them is shown."""
    image = gr.Image(visible=False, type="filepath")
    files = gr.File(visible=False, file_count="multiple")
    describe(image, EXAMPLE)
    # Gradio's own description of the type is none that MCP clients can resolve.
    addresses = {"type": "array", "items": {"type": "string"}}
    describe(files, [EXAMPLE, EXAMPLE_ZIP], api_info=lambda: addresses)
    take_turns(files)
    trigger = gr.Button(visible=False)
    endpoint: dict[str, Any] = {"preprocess": False}
    answer, answers = (gr.JSON(label=label, visible=False) for label in ("answer", "answers"))
    trigger.click(demo.predict, image, answer, api_name="predict", **endpoint)
    trigger.click(
        many.predict_batch,
        files,
        answers,
        api_name="predict_batch",
        # Batches take turns in steps; see BatchRunner.
        concurrency_limit=None,
        **endpoint,
    )
    if demo.explainer is not None:
        picture = gr.Image(label="heatmap", visible=False, format="png")
        # They take turns with those of the page.
        turns: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "heatmap"}
        trigger.click(demo.heatmap, image, picture, api_name="heatmap", **turns, **endpoint)
