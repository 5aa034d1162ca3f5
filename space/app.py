"""The web demo: `MODEL_ID=hf-hub:user/name python app.py` serves a published classifier."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.stderr.write("Loading the page and the model …\n")
    # Before torch is imported. OpenMP's threads otherwise spin for long while they wait, and take
    # the cores from every other program. A choice of the user's stands.
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"

import importlib
import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.utils import get_upload_folder
from huggingface_hub import constants
from PIL import Image

# On the Hub this folder is the root and its modules are siblings; type checkers see the package.
if TYPE_CHECKING:
    from space import answer, overlay, page, published
    from space.heatmap import coloured, make_explainer
    from space.predictor import ImageError, ModelError, Predictor, read_image
    from space.theme import CSS_FILE, make_theme
else:
    import answer
    import overlay
    import page
    import published
    from heatmap import coloured, make_explainer
    from predictor import ImageError, ModelError, Predictor, read_image
    from theme import CSS_FILE, make_theme

logger = logging.getLogger("space")

MODEL_ID_FILE = Path(__file__).parent / "model_id.txt"  # the publisher writes it into a Space
PORT = 7860
MAX_FILE_SIZE = "20mb"
# How often uploads are cleared away, and how old they are then.
CLEANING_S = 3600
PREVIEW_PX = 1024
TIFF_STARTS = (b"II", b"MM")
UNEXPECTED = "Something went wrong on the server. Try again, or try another image."

# Gradio's own gr.Examples can't fill a gr.Image without server-side rendering
# (https://github.com/gradio-app/gradio/issues/12893).
SEND_CLICKED_EXAMPLE = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('click', {index: Number(button.dataset.index)});
});
"""
ANNOUNCE_CHANGES = "element.setAttribute('role', 'status');"


class Demo:
    """What the page knows and does, for one model.

    Args:
        predictor: the model.
        model_id: what it was loaded from: `hf-hub:user/name` or `local-dir:path`.
    """

    def __init__(self, predictor: Predictor, model_id: str) -> None:
        self.predictor = predictor
        self.explainer = make_explainer(predictor)
        self.model_id = model_id
        self.rules = predictor.decision.rules if predictor.decision else None
        self.report = published.read_report(predictor.folder)
        self.figures = published.find_figures(predictor.folder, self.report)
        found = published.find_examples(predictor.folder, predictor.labels, self.report)
        self.examples_origin = found.origin
        self.examples: list[tuple[str, Image.Image]] = []
        for path in found.files:
            try:
                image = read_image(path)
                [prediction] = predictor.predict([image])
                caption = page.example_caption(path.stem, predictor.labels, prediction)
                self.examples.append((caption, image))
            except ImageError as error:
                logger.warning("The example %s is not shown: %s", path, error)

    def waiting(self) -> str:
        """Return the answer panel before there is an image."""
        return answer.waiting(self.predictor.labels, self.rules)

    def show_upload(self, upload: dict[str, Any] | None) -> tuple[Any, str]:
        """Return what to show in place of the uploaded file, and the answer panel."""
        try:
            image = read_upload(upload)
            panel = self._answer(image)
        except ImageError as error:
            return None, answer.problem(file_name(upload), str(error))
        # The last line of defence of a public page: the operator gets the trace, the visitor words.
        except Exception:
            logger.exception("An uploaded image could not be judged")
            return None, answer.problem(file_name(upload), UNEXPECTED)
        return preview(upload, image), panel

    def show_example(self, event: gr.EventData) -> tuple[Image.Image, str]:
        """Return the example that was clicked, and the answer panel."""
        image = self.examples[event.index][1]
        return image, self._answer(image)

    def show_heatmap(self, upload: dict[str, Any] | None) -> str:
        """Return the image under a heatmap of its likeliest class, or why there is none."""
        if not upload or self.explainer is None:
            return overlay.problem("Choose an image first.")
        try:
            image = read_upload(upload)
            label = self.predictor.predict([image])[0].label
            heat = self.explainer.explain(image, self.predictor.labels.index(label))
        except ImageError as error:
            return overlay.problem(str(error))
        # As above.
        except Exception:
            logger.exception("A heatmap could not be computed")
            return overlay.problem(UNEXPECTED)
        if not heat.any():
            return overlay.problem(f"No place of this image speaks for {label}.")
        return overlay.panel(self.explainer.seen(image), coloured(heat), label)

    def predict(self, image: dict[str, Any] | None) -> dict[str, Any]:
        """Return the verdict, the likeliest class, the candidates and all probabilities.

        `verdict` is "class" (the answer can be taken), "unsure" (a person should look) or
        "unknown" (not a surface that the model knows: its `strangeness` is above 1).
        """
        try:
            prediction = self.predictor.predict([read_upload(image)])[0]
        except ImageError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {
            "label": prediction.label,
            "confidence": prediction.confidence,
            "verdict": prediction.verdict,
            "candidates": list(prediction.candidates),
            "strangeness": prediction.strangeness,
            "probabilities": prediction.probabilities,
        }

    def _answer(self, image: Image.Image) -> str:
        return answer.judged(self.predictor.predict([image])[0], self.rules)


def read_upload(upload: dict[str, Any] | None) -> Image.Image:
    """Decode an uploaded file.

    Raises:
        ImageError: there is no file, or it is no image that can be judged.
    """
    path = upload and upload["path"]
    # A forged request can name any path of this machine: Gradio lets those pass that come without
    # its mark of an upload.
    if not path or not Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise ImageError("No file was sent.")
    return read_image(path)


def file_name(upload: dict[str, Any] | None) -> str | None:
    """Return what the visitor calls the file, if that is known."""
    return upload["orig_name"] if upload else None


def preview(upload: dict[str, Any] | None, image: Image.Image) -> Any:
    """Return a picture to show for a TIFF, which browsers can't; leave other kinds as they are."""
    if upload is None:
        return None
    with Path(upload["path"]).open("rb") as file:
        if file.read(2) not in TIFF_STARTS:
            return gr.skip()
    small = image.copy()
    small.thumbnail((PREVIEW_PX, PREVIEW_PX))
    return small


def build_app(demo: Demo) -> gr.Blocks:
    """Lay the page out and connect it; the look is given to `launch()`."""
    app = gr.Blocks(
        title=page.TITLE, analytics_enabled=False, delete_cache=(CLEANING_S, CLEANING_S)
    )
    with app:
        gr.HTML(
            page.header(demo.model_id, hub_page(demo.model_id), demo.predictor.labels, demo.report),
            js_on_load=None,
        )
        with gr.Tab("Judge an image"):
            _build_judging(demo)
        with gr.Tab("Test results"):
            _build_results(demo)
    return app


def _build_judging(demo: Demo) -> None:
    with gr.Row():
        with gr.Column(min_width=320):
            image = gr.Image(
                label="Image",
                # Gradio must not touch the file: it would clip 16-bit images, for one.
                type="filepath",
                image_mode=None,
                format="png",
                height=360,
                sources=["upload", "clipboard", "webcam"],
                webcam_options=gr.WebcamOptions(
                    mirror=False, constraints={"video": {"facingMode": "environment"}}
                ),
                placeholder="Drop an image here\nor click to choose a file",
                alt_text="The image that is judged",
                buttons=["fullscreen"],
                elem_id="image",
            )
        with gr.Column(min_width=320):
            panel = gr.HTML(demo.waiting(), elem_id="answer", js_on_load=ANNOUNCE_CHANGES)
    _build_heatmap(demo, image)
    examples = gr.HTML(
        page.example_buttons(demo.examples, demo.examples_origin),
        visible=bool(demo.examples),
        elem_id="examples",
        js_on_load=SEND_CLICKED_EXAMPLE,
    )
    judging: list[dict[str, Any]] = [
        image.upload(
            demo.show_upload,
            image,
            [image, panel],
            # Without this, Gradio opens the file by itself first, and fails where it can't.
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
        cancels=judging,
        show_progress="hidden",
        api_visibility="private",
    )
    # For programs: the answer as data. Nobody clicks this button.
    gr.Button(visible=False).click(
        demo.predict,
        image,
        gr.JSON(label="answer", visible=False),
        preprocess=False,
        api_name="predict",
    )


def _build_heatmap(demo: Demo, image: gr.Image) -> None:
    """Let a visitor ask where the model looks; it takes as long as several answers."""
    if demo.explainer is None:
        return
    button = gr.Button("Show where the model looks", elem_id="ask-heatmap")
    heatmap = gr.HTML("", elem_id="heatmap", js_on_load=overlay.FADE)
    asking = button.click(
        demo.show_heatmap,
        image,
        heatmap,
        preprocess=False,
        trigger_mode="once",
        show_progress="minimal",
        api_visibility="private",
    )
    # That of another image would mislead.
    image.change(None, None, heatmap, cancels=asking, js="() => ''", api_visibility="private")


def _build_results(demo: Demo) -> None:
    gr.HTML(page.scores_table(demo.report), js_on_load=None, elem_id="scores")
    with gr.Column(elem_id="figures"):
        for figure in demo.figures:
            with gr.Column(elem_classes="figure"):
                gr.HTML(page.figure_title(figure.title), js_on_load=None)
                gr.Image(
                    str(figure.path),
                    label=figure.title,
                    show_label=False,
                    alt_text=figure.alt,
                    interactive=False,
                    buttons=["fullscreen"],
                )


def satisfy_zero_gpu() -> None:
    """Register a function for the GPU, without which a Space on ZeroGPU hardware does not start.

    That is the hardware that free accounts get. The function is never called: the processor judges
    one image fast enough, and a visitor's GPU quota would only stand in the way.
    """
    # The Hub puts this package there; elsewhere it is not needed.
    if importlib.util.find_spec("spaces"):
        importlib.import_module("spaces").GPU(lambda: None)


def configured_model_id() -> str:
    """Return the model to serve, from the environment or from the file in a published Space.

    Raises:
        ModelError: neither names one.
    """
    model_id = os.environ.get("MODEL_ID", "").strip()
    if not model_id and MODEL_ID_FILE.is_file():
        model_id = MODEL_ID_FILE.read_text(encoding="utf-8").strip()
    if not model_id:
        raise ModelError(
            "No model is set. Set MODEL_ID to hf-hub:user/name or local-dir:path/to/folder."
        )
    return model_id


def hub_page(model_id: str) -> str | None:
    """Return the address of a model's page on the Hub; None for a local folder."""
    kind, _, place = model_id.partition(":")
    if kind != "hf-hub":
        return None
    repo_id, _, revision = place.partition("@")
    return f"{constants.ENDPOINT}/{repo_id}" + (f"/tree/{revision}" if revision else "")


def main() -> int:
    """Serve the configured model until Ctrl+C; return 2 if it can't be served."""
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    satisfy_zero_gpu()
    try:
        model_id = configured_model_id()
        app = build_app(Demo(Predictor.load(model_id), model_id))
        _, address, _ = app.launch(
            # server_name stays unset: Gradio takes 127.0.0.1, or on the Hub what that asks for.
            server_port=int(os.environ.get("GRADIO_SERVER_PORT", PORT)),
            theme=make_theme(),
            css_paths=CSS_FILE,
            max_file_size=MAX_FILE_SIZE,
            ssr_mode=False,
            share=False,
            run_history=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except (ModelError, OSError) as error:
        logger.error("error: %s", error)
        return 2
    logger.info("\nServing %s\n\nOpen %s – Ctrl+C stops\n", model_id, address.rstrip("/"))
    app.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
