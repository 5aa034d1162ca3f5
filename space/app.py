"""The web demo: `MODEL_ID=hf-hub:user/name python app.py` serves a published classifier."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space.inference.core.errors import ModelError
    from space.inference.core.model_id import check_local_folder, split_model_id
    from space.server.configuration import (
        StartError,
        configured_engine,
        configured_model_id,
        configured_port,
    )
else:
    from inference.core.errors import ModelError
    from inference.core.model_id import check_local_folder, split_model_id
    from server.configuration import (
        StartError,
        configured_engine,
        configured_model_id,
        configured_port,
    )

if __name__ == "__main__":
    # Before the imports that take seconds.
    try:
        configured_port()
        configured_engine()
        split_model_id(configured_model_id())
        check_local_folder(configured_model_id())
    except (ModelError, StartError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    sys.stderr.write("Loading the page and the model …\n")
    # Set before torch is imported: waiting OpenMP threads spin and take the cores from other
    # programs. A value that the user set is not changed.
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"

import importlib
import importlib.util
import logging
import signal
import threading
from pathlib import Path

import gradio as gr
from gradio.exceptions import ServerFailedToStartError
from huggingface_hub import constants
from starlette.middleware import Middleware

if TYPE_CHECKING or __package__:
    from space.demo import Demo
    from space.inference.images.decoding import Decoder
    from space.inference.images.reader import MAX_FILE_BYTES, MAX_PIXELS
    from space.inference.predictor import Predictor
    from space.server.address import Address
    from space.server.connection import TimedConnection
    from space.server.gate import Gate
    from space.server.uploads import UploadFolder
    from space.server.visitors import Visitors
    from space.ui import heatmap_panel, page
    from space.ui.theme import CSS_FILE, ICON_FILE, make_theme
else:
    from demo import Demo
    from inference.images.decoding import Decoder
    from inference.images.reader import MAX_FILE_BYTES, MAX_PIXELS
    from inference.predictor import Predictor
    from server.address import Address
    from server.connection import TimedConnection
    from server.gate import Gate
    from server.uploads import UploadFolder
    from server.visitors import Visitors
    from ui import heatmap_panel, page
    from ui.theme import CSS_FILE, ICON_FILE, make_theme

logger = logging.getLogger("space")

# Jobs that may wait; further visitors read that the page is busy.
QUEUE_SIZE = 32
# Jobs of one kind at the same time, so that one slow image does not hold up all visitors.
CONCURRENCY = 4
# Sessions whose state Gradio holds; the state is empty but takes 0.1 MB each.
SESSIONS = 50

# Gradio's own gr.Examples can't fill a gr.Image without server-side rendering
# (https://github.com/gradio-app/gradio/issues/12893).
SEND_CLICKED_EXAMPLE = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('click', {index: Number(button.dataset.index)});
});
"""
# A new image makes the heatmap on the page wrong; without an image there is no heatmap.
PREPARE_HEATMAP = "(image) => [{__type__: 'update', interactive: Boolean(image)}, '']"
ANNOUNCE_CHANGES = "element.setAttribute('role', 'status');"
# Gradio refuses files by their suffix in the browser; its message is replaced by ours.
REPHRASE_REFUSAL = """
new MutationObserver(() => {
  for (const toast of document.querySelectorAll('[data-testid="toast-text"]')) {
    const name = /^Invalid file types?: (.*)\\. Only .* allowed/.exec(toast.textContent)?.[1];
    if (name) toast.textContent = `${name} is not an image. Choose a JPEG, PNG, BMP, TIFF, WebP, `
      + 'GIF, AVIF or JPEG 2000 file.';
  }
}).observe(document.body, {childList: true, subtree: true});
"""


def build_app(demo: Demo) -> gr.Blocks:
    """Build the layout and connect the events; `launch()` sets the theme."""
    app = gr.Blocks(title=page.TITLE, analytics_enabled=False)
    with app:
        gr.HTML(
            page.header(demo.model_id, hub_page(demo.model_id), demo.predictor.labels, demo.report),
            js_on_load=REPHRASE_REFUSAL,
        )
        with gr.Tab("Classify an image"):
            _build_prediction(demo)
        with gr.Tab("Test results"):
            _build_results(demo)
        gr.HTML(page.footer(demo.predictor.engine.name))
    app.queue(max_size=QUEUE_SIZE, default_concurrency_limit=CONCURRENCY)
    return app


def _build_prediction(demo: Demo) -> None:
    with gr.Row():
        with gr.Column(min_width=320):
            image = gr.Image(
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
        with gr.Column(min_width=320):
            panel = gr.HTML(demo.waiting(), elem_id="answer", js_on_load=ANNOUNCE_CHANGES)
    _build_heatmap(demo, image)
    examples = gr.HTML(
        page.example_buttons(
            [(example.caption, example.thumbnail) for example in demo.examples],
            demo.examples_origin,
        ),
        visible=bool(demo.examples),
        elem_id="examples",
        js_on_load=SEND_CLICKED_EXAMPLE,
    )
    predicting: list[dict[str, Any]] = [
        image.upload(
            demo.show_upload,
            image,
            [image, panel],
            # Otherwise Gradio opens the file first and fails on formats that it can't read.
            preprocess=False,
            trigger_mode="always_last",
            show_progress="minimal",
            show_progress_on=panel,
            api_visibility="private",
        ),
        examples.click(
            demo.show_example,
            None,
            [image, panel],
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
        ),
    ]
    image.clear(
        demo.waiting,
        None,
        panel,
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


def _build_heatmap(demo: Demo, image: gr.Image) -> None:
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
        None, image, [button, heatmap], cancels=asking, js=PREPARE_HEATMAP, api_visibility="private"
    )


def _build_results(demo: Demo) -> None:
    gr.HTML(page.scores_table(demo.report), js_on_load=None, elem_id="scores")
    gr.HTML("".join(demo.figures), js_on_load=None, elem_id="figures")


def satisfy_zero_gpu() -> None:
    """Register a function for the GPU: without one, a Space on ZeroGPU hardware does not start.

    Free accounts get that hardware. The function is never called: a CPU predicts one image fast
    enough, and a GPU would use up the visitor's quota.
    """
    # Installed by the Hub; not needed elsewhere.
    if importlib.util.find_spec("spaces"):
        importlib.import_module("spaces").GPU(lambda: None)


def hub_page(model_id: str) -> str | None:
    """Return the address of a model's page on the Hub; None for a local folder."""
    kind, _, place = model_id.partition(":")
    if kind != "hf-hub":
        return None
    repo_id, _, revision = place.partition("@")
    return f"{constants.ENDPOINT}/{repo_id}" + (f"/tree/{revision}" if revision else "")


def launch(app: gr.Blocks, uploads: UploadFolder, port: int) -> str:
    """Start the server in background threads; return its address, or its share link if asked for.

    Raises:
        OSError, ServerFailedToStartError: the port can't be used.
        StartError: the share link can't be created.
    """
    address = Address.configured()
    # In a Space the page is public already.
    share = os.environ.get("GRADIO_SHARE", "").lower() == "true" and not app.space_id
    gate = Middleware(
        Gate,
        uploads=uploads,
        events=frozenset(app.fns),
        max_file_bytes=MAX_FILE_BYTES,
        address=address,
        visitors=Visitors(app),
    )
    _, url, share_link = app.launch(
        # server_name is not set: Gradio listens on 127.0.0.1, or in a Space as the Hub requires.
        server_port=port,
        app_kwargs={"middleware": [gate]},
        state_session_capacity=SESSIONS,
        theme=make_theme(),
        css_paths=CSS_FILE,
        favicon_path=ICON_FILE,
        max_file_size=MAX_FILE_BYTES,
        ssr_mode=False,
        share=share,
        run_history=False,
        enable_monitoring=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    # Gradio has no setting for this; uvicorn reads it for each connection.
    app.server.config.http_protocol_class = TimedConnection
    if share and not share_link:
        raise StartError(
            "Gradio could not create a share link. Check the connection to gradio.live, or start "
            "without GRADIO_SHARE."
        )
    if share_link:
        address.add_share_link(share_link)
    return (share_link or url).rstrip("/")


def serve(uploads: UploadFolder) -> None:
    """Serve the configured model until a signal arrives.

    Raises:
        ModelError, StartError, OSError: the model can't be served.
    """
    port = configured_port()
    model_id, engine = configured_model_id(), configured_engine()
    # Uploads are untrusted: each is decoded in a process with limits on time and memory.
    with Decoder() as decoder:
        app = build_app(Demo(Predictor.load(model_id, engine), model_id, uploads, decoder.read))
        try:
            address = launch(app, uploads, port)
        except ServerFailedToStartError as error:
            raise StartError(f"Port {port} can't be used: {error}") from error
        uploads.clean_regularly()
        logger.info("\nServing %s\n\nOpen %s – Ctrl+C stops\n", model_id, address)
        try:
            threading.Event().wait()
        finally:
            app.close(verbose=False)


def main() -> int:
    """Serve the configured model until Ctrl+C or SIGTERM; return 2 if it can't be served."""
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    satisfy_zero_gpu()
    # Without these handlers, uploads would stay on the disk when the server ends.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        folder = os.environ.get("GRADIO_TEMP_DIR")
        uploads = UploadFolder(Path(folder) if folder else None)
        try:
            # Gradio reads this variable wherever it stores a file.
            os.environ["GRADIO_TEMP_DIR"] = str(uploads.path)
            serve(uploads)
        finally:
            uploads.remove()
    except (ModelError, StartError, OSError) as error:
        logger.error("error: %s", error)
        return 2
    except KeyboardInterrupt:
        logger.info("Stopped.")
    return 0


def _end(number: int, _frame: object) -> None:
    """Treat a signal like Ctrl+C; a second one changes nothing."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
