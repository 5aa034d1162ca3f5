"""The tab that predicts one image: upload, answer, heatmap, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import gradio as gr

# In a Space on the Hub the folder above is the root.
if TYPE_CHECKING or __package__ == "space.tabs":
    from space.demo import Demo
    from space.inference.images.reader import MAX_FILE_BYTES, MAX_PIXELS
    from space.tabs import corrections
    from space.ui import heatmap_panel, page, scripts
else:
    from demo import Demo
    from inference.images.reader import MAX_FILE_BYTES, MAX_PIXELS
    from tabs import corrections
    from ui import heatmap_panel, page, scripts

TITLE = "Classify an image"
ID = "one-image"


class OneImage(NamedTuple):
    """The components that other tabs fill: the image and its answer."""

    image: gr.Image
    answer: gr.HTML


def build(demo: Demo) -> OneImage:
    """Lay out the tab and connect its events."""
    with gr.Row():
        with gr.Column(min_width=320):
            image = _image()
        with gr.Column(min_width=320):
            answer = gr.HTML(demo.waiting(), elem_id="answer", js_on_load=scripts.ANNOUNCE_CHANGES)
    if demo.desk is not None:
        corrections.build(demo, demo.desk, image)
    _add_heatmap(demo, image)
    examples = gr.HTML(
        page.example_buttons(
            [(example.caption, example.thumbnail) for example in demo.examples],
            demo.examples_origin,
        ),
        visible=bool(demo.examples),
        elem_id="examples",
        js_on_load=scripts.SEND_CLICKED_EXAMPLE,
    )
    _connect(demo, OneImage(image, answer), examples)
    return OneImage(image, answer)


def _image() -> gr.Image:
    return gr.Image(
        label="Image",
        # Gradio must not re-encode the file: it would clip 16-bit images.
        type="filepath",
        image_mode=None,
        format="png",
        height=360,
        sources=["upload", "clipboard", "webcam"],
        webcam_options=gr.WebcamOptions(
            mirror=False, constraints={"video": {"facingMode": "environment"}}
        ),
        placeholder="Drop an image here\nor click to choose a file\n"
        f"(up to {MAX_FILE_BYTES // 2**20} MB, {MAX_PIXELS // 10**6} megapixels)",
        alt_text="The image to classify",
        buttons=["fullscreen"],
        elem_id="image",
    )


def _connect(demo: Demo, shown: OneImage, examples: gr.HTML) -> None:
    """Predict each uploaded image and each clicked example; add the endpoint for programs."""
    image, answer = shown
    predicting: list[dict[str, Any]] = [
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
    image.clear(
        demo.waiting,
        None,
        answer,
        cancels=predicting,
        show_progress="hidden",
        api_visibility="private",
    )
    # The endpoint for programs; the button is never shown.
    gr.Button(visible=False).click(
        demo.predict,
        image,
        gr.JSON(label="answer", visible=False),
        preprocess=False,
        api_name="predict",
    )


def _add_heatmap(demo: Demo, image: gr.Image) -> None:
    """Add the heatmap on request; it takes as long as several predictions."""
    if demo.explainer is None:
        return
    button = gr.Button("Show where the model looks", elem_id="ask-heatmap", interactive=False)
    heatmap = gr.HTML("", elem_id="heatmap", js_on_load=heatmap_panel.FADE)
    asking = button.click(
        demo.show_heatmap,
        image,
        heatmap,
        preprocess=False,
        trigger_mode="once",
        show_progress="minimal",
        api_visibility="private",
    )
    image.change(
        None,
        image,
        [button, heatmap],
        cancels=asking,
        js=scripts.PREPARE_HEATMAP,
        api_visibility="private",
    )
