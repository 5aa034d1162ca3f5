"""The state of the page for one model, and the handlers of its events."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space import model_report
    from space.feedback.desk import CorrectionDesk
    from space.inference.attribution import COLORS, make_explainer
    from space.inference.predictor import ImageError, ModelError, Predictor, read_image
    from space.model_identity import identify
    from space.model_pictures import decodable, examples_of, figures_of, references_of
    from space.server.precedence import Precedence
    from space.server.uploads import UploadFolder
    from space.ui import heatmap_panel, prediction_panel
else:
    import model_report
    from feedback.desk import CorrectionDesk
    from inference.attribution import COLORS, make_explainer
    from inference.predictor import ImageError, ModelError, Predictor, read_image
    from model_identity import identify
    from model_pictures import decodable, examples_of, figures_of, references_of
    from server.precedence import Precedence
    from server.uploads import UploadFolder
    from ui import heatmap_panel, prediction_panel

logger = logging.getLogger("space")

PREVIEW_PX = 1024
# Beside the upload that it shows.
PREVIEW_SUFFIX = ".space-preview.png"
HEATMAP_OPACITY = 0.6
TIFF_STARTS = (b"II", b"MM")
NO_FILE = "No file was sent, or it was deleted in the meantime. Choose the image again."
NO_EXAMPLE = "There is no such example. Load the page again."
UNEXPECTED = "Something went wrong on the server. Try again, or try another image."
NO_CLASS = "The surface is unknown to the model, so there is no class to explain."


class Demo:
    """State and event handlers of the page, for one model.

    Args:
        predictor: the model.
        model_id: source of the model: `hf-hub:user/name` or `local-dir:path`.
        uploads: folder of the visitors' files.
        read: decodes a file of the given bit depth into an RGB image, or raises ImageError.
        desk: takes corrections; None if the operator does not want them.
    """

    def __init__(
        self,
        predictor: Predictor,
        model_id: str,
        uploads: UploadFolder,
        read: Callable[[Path | IO[bytes], int], Image.Image] = read_image,
        desk: CorrectionDesk | None = None,
    ) -> None:
        self.predictor = predictor
        self.explainer = make_explainer(predictor)
        self.uploads = uploads
        self.decode = read
        self.desk = desk
        self.precedence = Precedence()
        self.report = model_report.read_report(predictor.folder)
        self.identity = identify(model_id, predictor.folder, self.report)
        found = model_report.find_examples(predictor.folder, predictor.labels, self.report)
        self.examples_origin, pictures = found.origin, decodable(found.files, self.read)
        self.references = references_of(pictures, predictor.labels) if found.own else {}
        self.background = prediction_panel.Background(
            rules=predictor.decision.rules if predictor.decision else None,
            calibration=self.report.calibration if self.report else None,
            drawn=self.report is not None and self.report.drawn,
            references=tuple(self.references),
        )
        self.figures = figures_of(predictor.folder, self.report, self.read)
        self.examples = examples_of(pictures, predictor, self.background)

    def read(self, path: Path | IO[bytes]) -> Image.Image:
        """Decode a file like the training images.

        Raises:
            ImageError: the file can't be used; the message says why.
        """
        return self.decode(path, self.predictor.bit_depth)

    def waiting(self) -> str:
        """Return the answer panel before there is an image."""
        return prediction_panel.waiting(self.predictor.labels, self.background)

    def show_upload(self, upload: dict[str, Any] | None) -> tuple[Any, str]:
        """Return what to show in place of the uploaded file, and the answer panel."""
        try:
            path = self.uploaded(upload)
            with self.precedence.single():
                image = self.read(path)
                [prediction] = self.predictor.predict([image])
            panel = prediction_panel.prediction(prediction, self.background)
        except (ImageError, ModelError) as error:
            return None, prediction_panel.problem(file_name(upload), str(error))
        # The page is public: the operator gets the traceback, the visitor a message.
        except Exception:
            logger.exception("An uploaded image could not be predicted")
            return None, prediction_panel.problem(file_name(upload), UNEXPECTED)
        return self._preview(path, image), panel

    def show_example(self, event: gr.EventData) -> tuple[Any, str]:
        """Return the example that was clicked, and the answer panel."""
        index = getattr(event, "index", None)
        if not isinstance(index, int) or not 0 <= index < len(self.examples):
            return gr.skip(), prediction_panel.problem(None, NO_EXAMPLE)
        example = self.examples[index]
        return self._shown(Image.open(io.BytesIO(example.picture))), example.panel

    def show_heatmap(self, upload: dict[str, Any] | None) -> str:
        """Return the heatmap of the image's most likely class, or why there is none."""
        try:
            overlay, _, label = self._explained(upload)
        except (ImageError, ModelError) as error:
            return heatmap_panel.problem(str(error))
        # As above.
        except Exception:
            logger.exception("A heatmap could not be computed")
            return heatmap_panel.problem(UNEXPECTED)
        return heatmap_panel.panel(overlay, label, COLORS)

    def predict(self, image: dict[str, Any] | None) -> dict[str, Any]:
        """Classify the surface defect on one image of steel strip.

        Returns the verdict, the most likely class, the candidates and all probabilities. `verdict`
        is "class" (the answer is accepted), "unsure" (a person should review the image) or
        "unknown" (an unknown surface: its `novelty` is above 1, and `label` means nothing). A model
        that names several defects lists them as `defects`; the other candidates are uncertain. To
        upload an image, POST it as the multipart field `files` to /gradio_api/upload; the response
        holds its path. Its address is that of this server, /gradio_api/file= and the path. Other
        addresses are never fetched.

        Args:
            image: address of an uploaded image, or the image as a data URL of up to 11 MB.
        """
        try:
            path = self.uploaded(image)
            with self.precedence.single():
                [prediction] = self.predictor.predict([self.read(path)])
        except (ImageError, ModelError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        several = {} if prediction.defects is None else {"defects": list(prediction.defects)}
        return several | {
            "label": prediction.label,
            "confidence": prediction.confidence,
            "verdict": prediction.verdict,
            "candidates": list(prediction.candidates),
            "novelty": prediction.novelty,
            "probabilities": prediction.probabilities,
        }

    def heatmap(self, image: dict[str, Any] | None) -> Image.Image:
        """Show where the model looks: the image under a heatmap of its most likely class.

        Bright regions support that class most; they are not the outline of the defect. There is
        none for an image whose verdict is "unknown"; "class" and "unsure" have one.

        Args:
            image: address of an uploaded image, as for `predict`.
        """
        try:
            overlay, shown, _ = self._explained(image)
        except (ImageError, ModelError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        below = shown.convert("RGBA").resize(overlay.size)
        return Image.blend(below, Image.alpha_composite(below, overlay), HEATMAP_OPACITY)

    def _explained(self, upload: dict[str, Any] | None) -> tuple[Image.Image, Image.Image, str]:
        """Return the heatmap to lay over an image, the image, and the class that is explained.

        Raises:
            ImageError, ModelError: there is none; the message says why.
        """
        if self.explainer is None:
            raise ImageError(UNEXPECTED)
        image = self.read(self.uploaded(upload))
        self.precedence.pause()
        [prediction] = self.predictor.predict([image])
        if prediction.verdict == "unknown":
            raise ImageError(NO_CLASS)
        label = prediction.label
        pause, index = self.precedence.pause, self.predictor.labels.index(label)
        heat = self.explainer.explain(image, index, pause)
        if not heat.any():
            raise ImageError(f"No region of this image supports {label}.")
        return self.explainer.overlay(image, heat), image, label

    def uploaded(self, upload: dict[str, Any] | None) -> Path:
        """Return the path of an uploaded file; that of a preview's original for a preview.

        Raises:
            ImageError: nothing was sent, or the path is not an upload.
        """
        path = self.uploads.find(upload.get("path")) if upload else None
        if path and path.name.endswith(PREVIEW_SUFFIX):
            path = self.uploads.find(str(path).removesuffix(PREVIEW_SUFFIX))
        if path is None:
            raise ImageError(NO_FILE)
        return path

    def _preview(self, path: Path, image: Image.Image) -> Any:
        """Return a picture to show for a TIFF, which browsers can't show; skip other formats."""
        with path.open("rb") as file:
            if file.read(2) not in TIFF_STARTS:
                return gr.skip()
        small = image.copy()
        small.thumbnail((PREVIEW_PX, PREVIEW_PX))
        preview = path.with_name(f"{path.name}{PREVIEW_SUFFIX}")
        try:
            small.save(preview)
        except OSError as error:
            logger.warning("A picture can't be shown: %s", error)
            return gr.skip()
        return str(preview)

    def _shown(self, image: Image.Image) -> Any:
        """Return a picture that Gradio can store; on a full disk, change nothing on the page."""
        try:
            save_pil_to_cache(image, cache_dir=str(self.uploads.path), format="png")
        except OSError as error:
            logger.warning("A picture can't be shown: %s", error)
            return gr.skip()
        return image


def file_name(upload: dict[str, Any] | None) -> str | None:
    """Return the visitor's name of the file, if known."""
    return upload.get("orig_name") if upload else None
