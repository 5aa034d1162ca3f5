"""The tab that predicts one image: upload, answer, heatmap, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

# In a Space on the Hub the folder above is the root.
if TYPE_CHECKING or __package__ == "space.tabs":
    from space.demo import Demo
    from space.inference.images.reader import MAX_FILE_BYTES, MAX_PIXELS
    from space.tabs import corrections
    from space.ui import page, scripts
    from space.ui.prediction_panel import busy
else:
    from demo import Demo
    from inference.images.reader import MAX_FILE_BYTES, MAX_PIXELS
    from tabs import corrections
    from ui import page, scripts
    from ui.prediction_panel import busy

TITLE = "One image"
ID = "one-image"


class OneImage(NamedTuple):
    """The components that other tabs fill: the image and its answer."""

    image: gr.Image
    answer: gr.HTML


def build(demo: Demo) -> OneImage:
    """Lay out the tab and connect its events."""
    with gr.Row(elem_id="one-image"):
        with gr.Column(scale=3, min_width=320, elem_id="viewer"):
            image = _image()
            _add_tools(demo, image)
        with gr.Column(scale=2, min_width=320):
            answer = gr.HTML(
                demo.waiting(),
                elem_id="answer",
                js_on_load=scripts.ANNOUNCE_CHANGES + scripts.SAY_WAIT,
            )
            if demo.desk is not None:
                corrections.build(demo, demo.desk, image)
            examples = _examples(demo)
    _connect(demo, OneImage(image, answer), examples)
    return OneImage(image, answer)


def _examples(demo: Demo) -> gr.HTML:
    buttons = page.example_buttons(
        [(example.caption, example.thumbnail) for example in demo.examples], demo.examples_origin
    )
    return gr.HTML(
        buttons + page.references(demo.references, demo.examples_origin),
        visible=bool(demo.examples),
        elem_id="examples",
        js_on_load=scripts.SEND_CLICKED_EXAMPLE,
    )


def _image() -> gr.Image:
    return gr.Image(
        label="Image",
        # Gradio must not re-encode the file: it would clip 16-bit images.
        type="filepath",
        image_mode=None,
        format="png",
        sources=["upload", "clipboard", "webcam"],
        webcam_options=gr.WebcamOptions(
            mirror=False, constraints={"video": {"facingMode": "environment"}}
        ),
        placeholder="Drop or paste an image anywhere\nor click to choose a file\n"
        f"(up to {MAX_FILE_BYTES // 2**20} MB, {MAX_PIXELS // 10**6} megapixels)",
        alt_text="The image to classify",
        # Our own full screen takes the heatmap with it.
        buttons=[],
        elem_id="image",
    )


def _connect(demo: Demo, shown: OneImage, examples: gr.HTML) -> None:
    """Predict each uploaded image and each clicked example."""
    image, answer = shown
    predicting: list[Any] = [
        image.upload(
            demo.show_upload,
            image,
            [image, answer],
            # Otherwise Gradio opens the file first and fails on formats that it can't read.
            preprocess=False,
            trigger_mode="always_last",
            show_progress="minimal",
            show_progress_on=answer,
            api_visibility="private",
        ),
        examples.click(
            demo.show_example,
            None,
            [image, answer],
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
        ),
    ]
    for event in predicting:
        event.failure(None, None, answer, js=scripts.showing(busy()), api_visibility="private")
    image.clear(
        demo.waiting,
        None,
        answer,
        cancels=predicting,
        show_progress="hidden",
        api_visibility="private",
    )


def _add_tools(demo: Demo, image: gr.Image) -> None:
    """Add zoom and, on request, a heatmap, which takes as long as several predictions."""
    with gr.Row(elem_id="tools"):
        gr.HTML(page.zoom_buttons(), js_on_load=scripts.ZOOM, elem_id="zoom")
        button = gr.Button(
            "Show where the model looks",
            elem_id="ask-heatmap",
            size="md",
            min_width=0,
            visible=demo.explainer is not None,
        )
    heatmap = gr.HTML("", elem_id="heatmap", js_on_load=scripts.FADE + scripts.SAY_WAIT)
    asking = button.click(
        demo.show_heatmap,
        image,
        heatmap,
        preprocess=False,
        # One at a time, for people and programs: each takes as long as several predictions.
        concurrency_limit=1,
        concurrency_id="heatmap",
        trigger_mode="once",
        show_progress="minimal",
        api_visibility="private",
    )
    image.change(
        None,
        None,
        heatmap,
        cancels=asking,
        js=scripts.REMOVE_HEATMAP,
        api_visibility="private",
    )
