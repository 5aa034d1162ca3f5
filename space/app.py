"""The web demo: `MODEL_ID=hf-hub:user/name python app.py` serves a published classifier."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space.inference.core.errors import ModelError
    from space.inference.core.model_id import check_local_folder, split_model_id
    from space.server.configuration import (
        StartError,
        configured_engine,
        configured_feedback,
        configured_model_id,
        configured_port,
    )
else:
    from inference.core.errors import ModelError
    from inference.core.model_id import check_local_folder, split_model_id
    from server.configuration import (
        StartError,
        configured_engine,
        configured_feedback,
        configured_model_id,
        configured_port,
    )

if __name__ == "__main__":
    # Before the imports that take seconds.
    try:
        configured_port()
        configured_engine()
        configured_feedback()
        split_model_id(configured_model_id())
        check_local_folder(configured_model_id())
    except (ModelError, StartError) as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    sys.stderr.write("Loading the page and the model …\n")
    # Set before torch is imported: waiting OpenMP threads spin and take the cores from other
    # programs. A value that the user set is not changed.
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"
    # The same for threads of numpy, as a power of 2 in clock cycles; its own 26 is 30 ms.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")

import importlib
import importlib.util
import logging
import signal
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.exceptions import ServerFailedToStartError
from starlette.middleware import Middleware

if TYPE_CHECKING or __package__:
    from space import endpoints
    from space.demo import Demo
    from space.feedback.desk import CorrectionDesk
    from space.inference.images.decoding import Decoder
    from space.inference.images.reader import MAX_FILE_BYTES
    from space.inference.predictor import Predictor
    from space.server import tools
    from space.server.address import Address
    from space.server.connection import TimedConnection
    from space.server.gate.gate import Gate
    from space.server.inputs import endpoint
    from space.server.uploads import UploadFolder
    from space.server.visitors import Sessions, Visitors
    from space.tabs import corrections, many_images, one_image, results
    from space.ui import page, scripts
    from space.ui.theme import CSS_FILES, ICON_FILE, make_theme
else:
    import endpoints
    from demo import Demo
    from feedback.desk import CorrectionDesk
    from inference.images.decoding import Decoder
    from inference.images.reader import MAX_FILE_BYTES
    from inference.predictor import Predictor
    from server import tools
    from server.address import Address
    from server.connection import TimedConnection
    from server.gate.gate import Gate
    from server.inputs import endpoint
    from server.uploads import UploadFolder
    from server.visitors import Sessions, Visitors
    from tabs import corrections, many_images, one_image, results
    from ui import page, scripts
    from ui.theme import CSS_FILES, ICON_FILE, make_theme

logger = logging.getLogger("space")

# Jobs that may wait; further visitors read that the page is busy.
QUEUE_SIZE = 128
# Jobs of one kind at the same time, so that one slow image does not hold up all visitors.
CONCURRENCY = 4


def build_app(demo: Demo) -> gr.Blocks:
    """Compose the tabs; `launch()` sets the theme."""
    app = gr.Blocks(title=page.TITLE, analytics_enabled=False)
    with app:
        gr.HTML(
            page.header(demo.identity, demo.predictor.labels, demo.report),
            js_on_load=scripts.TAKE_FILES,
        )
        with gr.Tabs():
            with gr.Tab(one_image.TITLE, id=one_image.ID):
                one = one_image.build(demo)
            with gr.Tab(many_images.TITLE, id=many_images.ID):
                many = many_images.build(demo, one)
            with gr.Tab(results.TITLE, id=results.ID):
                results.build(demo)
        gr.HTML(page.footer(demo.predictor.engine.name))
        endpoints.build(demo, many)
    app.queue(max_size=QUEUE_SIZE, default_concurrency_limit=CONCURRENCY)
    return app


def satisfy_zero_gpu() -> None:
    """Register a function for the GPU: without one, a Space on ZeroGPU hardware does not start.

    Free accounts get that hardware. The function is never called: a CPU predicts one image fast
    enough, and a GPU would use up the visitor's quota.
    """
    # Installed by the Hub; not needed elsewhere.
    if importlib.util.find_spec("spaces"):
        importlib.import_module("spaces").GPU(lambda: None)


def launch(
    app: gr.Blocks, uploads: UploadFolder, port: int, desk: CorrectionDesk | None = None
) -> str:
    """Start the server in background threads; return its address, or its share link if asked for.

    Args:
        app: the page.
        uploads: folder of the visitors' files.
        port: to listen on.
        desk: takes corrections; None if the operator does not want them.

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
        events={number: endpoint(event) for number, event in app.fns.items()},
        max_file_bytes=MAX_FILE_BYTES,
        address=address,
        visitors=Visitors(app),
        refuse=partial(corrections.refusal, desk),
    )
    _, url, share_link = app.launch(
        # server_name is not set: Gradio listens on 127.0.0.1, or in a Space as the Hub requires.
        server_port=port,
        # Gradio describes the endpoints at /gradio_api/openapi.json; FastAPI would list all routes.
        app_kwargs={"middleware": [gate], "openapi_url": None},
        theme=make_theme(),
        css_paths=CSS_FILES,
        favicon_path=ICON_FILE,
        # Below the working folder, Gradio would refuse uploads whose names begin with a dot.
        allowed_paths=[str(uploads.path)],
        footer_links=["api"],
        max_file_size=MAX_FILE_BYTES,
        ssr_mode=False,
        share=share,
        run_history=False,
        mcp_server=importlib.util.find_spec("mcp") is not None,
        enable_monitoring=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    app.server_app.state_holder = Sessions(app)
    if app.mcp_server_obj:
        tools.restrict(app.mcp_server_obj, uploads)
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
    feedback = configured_feedback()
    # Uploads are untrusted: each is decoded in a process with limits on time and memory.
    with Decoder() as decoder, ExitStack() as held:
        at_once = min(CONCURRENCY, os.cpu_count() or 1)
        predictor, desk = Predictor.load(model_id, engine, at_once), None
        if feedback and predictor.facts.multi_label:
            raise StartError(
                f"{model_id} names several defects of an image, but a correction names one. Start "
                "without FEEDBACK_DIR and FEEDBACK_DATASET."
            )
        if feedback:
            desk = CorrectionDesk.open(feedback, predictor, model_id, decoder.to_png)
            held.callback(desk.close)
        app = build_app(Demo(predictor, model_id, uploads, decoder.read, desk))
        try:
            address = launch(app, uploads, port, desk)
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
        logger.error("Error: %s", error)
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
