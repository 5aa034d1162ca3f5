"""The tab for many images: files or a zip in; rows, a table and sorted copies out."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image, ImageOps

# In a Space on the Hub this package's parent is the root.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.batch.batch import Batch
    from space.batch.downloads import copy_of, write_copies, write_table
    from space.batch.examination import Examiner
    from space.batch.items import BatchError
    from space.batch.row import Row
    from space.batch.runner import BatchRunner, Progress
    from space.demo import Demo
    from space.inference.images.reader import MAX_FILE_BYTES, ImageError
    from space.server.inputs import take_turns
    from space.server.uploads import MAX_FILES
    from space.tabs.one_image import OneImage
    from space.ui import drift_panel
    from space.ui.prediction_panel import problem
    from space.ui.rendering import data_url
else:
    from batch.batch import Batch
    from batch.downloads import copy_of, write_copies, write_table
    from batch.examination import Examiner
    from batch.items import BatchError
    from batch.row import Row
    from batch.runner import BatchRunner, Progress
    from demo import Demo
    from inference.images.reader import MAX_FILE_BYTES, ImageError
    from server.inputs import take_turns
    from server.uploads import MAX_FILES
    from tabs.one_image import OneImage
    from ui import drift_panel
    from ui.prediction_panel import problem
    from ui.rendering import data_url

TITLE = "Many images"
ID = "many-images"

logger = logging.getLogger("space")

UI = Path(__file__).parents[1] / "ui"
THUMBNAIL_PX, THUMBNAIL_QUALITY = 96, 70
GONE = "These results were deleted in the meantime. Choose the images again."
# The browser holds the list of uploaded files; no component shows it.
CHOSEN = "() => [document.getElementById('many').chosen]"
FAILED = "() => document.getElementById('many').failed()"


class ManyImages:
    """Event handlers of the tab.

    Args:
        demo: the model and its page.
    """

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        examiner = Examiner(demo.predictor)
        self.runner = BatchRunner(
            demo.uploads,
            demo.read,
            examiner.examine,
            _thumbnail,
            examiner.baseline,
            demo.precedence.pause,
        )

    async def classify(self, files: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of a batch as they are answered."""
        try:
            state: dict[str, Any] = {}
            async for progress in self.runner.run(_paths(files)):
                state = _state(progress, state)
                yield state
            if state:
                yield state | {"done": True}
        except BatchError as error:
            yield {"error": str(error)}

    async def predict_batch(self, images: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Classify the surface defects on up to 2,000 images; a zip counts as the images in it.

        Returns an answer for each image, with its `file`. `verdict` is "class" (the answer is
        accepted), "unsure" (a person should review the image), "unknown" (an unknown surface: its
        `novelty` is above 1, and `label` means nothing), or "error" (`error` says why the file
        can't be used). A model that names several defects lists them as `defects`.

        Args:
            images: addresses of uploaded images or zips, each as for `predict`.
        """
        rows: list[Row] = []
        try:
            async for progress in self.runner.run(_paths(images)):
                rows = progress.rows
        except BatchError as error:
            raise gr.Error(str(error), print_exception=False) from error
        # Gradio's client would take a `path` for a file, and download it.
        answers = [row.as_json() | {"verdict": row.outcome} for row in rows]
        return [{"file": answer.pop("path"), **answer} for answer in answers]

    def open_row(self, event: gr.EventData) -> tuple[Any, str]:
        """Return the image of a row, and its answer panel, for the first tab."""
        try:
            path, name = copy_of(self._batch(event), event.index)
        except (ImageError, OSError) as error:
            message = str(error) if isinstance(error, ImageError) else GONE
            return None, problem(None, message)
        shown, panel = self.demo.show_upload({"path": str(path), "orig_name": name})
        # Where the browser can show the file itself, the page has it already: here it has not.
        return (str(path) if _is_skipped(shown) else shown), panel

    def table(self, event: gr.EventData) -> dict[str, Any]:
        """Return the answers of a batch as a CSV file."""
        return self._download(event, write_table)

    def copies(self, event: gr.EventData) -> dict[str, Any]:
        """Return the images of a batch as a zip, in folders by verdict and class."""
        return self._download(event, write_copies)

    def _download(self, event: gr.EventData, write: Any) -> dict[str, Any]:
        try:
            model = self.demo.predictor
            several = model.facts.multi_label
            path = write(self._batch(event), model.labels, several=several)
        except ImageError:
            return {"error": GONE}
        except OSError as error:
            logger.warning("A download could not be written: %s", error)
            return {"error": "The server can't store the file now. Try again later."}
        return {"download": {"path": str(path), "meta": {"_type": "gradio.FileData"}}}

    def _batch(self, event: gr.EventData) -> Batch:
        """Return the batch that an event names.

        Raises:
            ImageError: there is none.
        """
        batch = Batch.find(self.demo.uploads, getattr(event, "batch", None))
        if batch is None:
            raise ImageError(GONE)
        return batch


def build(demo: Demo, one: OneImage) -> ManyImages:
    """Lay out the tab and connect its events; return their handlers.

    Args:
        demo: the model and its page.
        one: the first tab, where a row is opened.
    """
    many = ManyImages(demo)
    page = gr.HTML(
        None,
        html_template=(UI / "many_images.html").read_text(encoding="utf-8"),
        js_on_load=(UI / "many_images.js").read_text(encoding="utf-8"),
        elem_id="many",
        limits={"files": MAX_FILES, "bytes": MAX_FILE_BYTES},
    )
    chosen = gr.File(file_count="multiple", visible=False)
    take_turns(chosen)
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    running = page.classify(
        many.classify,
        chosen,
        page,
        js=CHOSEN,
        preprocess=False,
        # Batches take turns in steps; see BatchRunner.
        concurrency_limit=None,
        **quiet,
    )
    running.failure(None, None, None, js=FAILED, **quiet)
    page.stop(None, None, None, cancels=[running], **quiet)
    page.open(many.open_row, None, [one.image, one.answer], trigger_mode="always_last", **quiet)
    for event, handler in ((page.table, many.table), (page.copies, many.copies)):
        event(handler, None, page, concurrency_limit=1, **quiet)
    return many


def _paths(files: list[dict[str, Any]]) -> list[tuple[Path, str]]:
    """Return path and name of the files of a request, which the Gate has checked."""
    return [(Path(each["path"]), each["orig_name"] or "") for each in files]


def _state(progress: Progress, before: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a batch; Gradio sends only what is new.

    At each step Gradio walks through all values, so the rows of a step are one text.

    Args:
        progress: of the batch.
        before: the state of the step before; empty at the first.
    """
    first = before.get("answered", 0)
    answered = zip(progress.rows[first:], progress.thumbnails[first:], strict=True)
    rows = [
        {
            "name": row.path,
            "verdict": row.outcome,
            "label": " + ".join(row.named) or None,
            "confidence": row.confidence,
            "error": row.error,
            "thumbnail": thumbnail,
        }
        for row, thumbnail in answered
    ]
    drift = progress.drift
    return {
        "batch": progress.batch.token,
        "total": progress.total,
        "skipped": progress.skipped,
        "answered": len(progress.rows),
        "steps": [*before.get("steps", []), json.dumps(rows, ensure_ascii=False)],
        "drift": drift and {"found": drift.found, "panel": drift_panel.panel(drift)},
    }


def _thumbnail(image: Image.Image) -> str:
    small = ImageOps.contain(image, (THUMBNAIL_PX, THUMBNAIL_PX))
    return data_url(small, THUMBNAIL_QUALITY)


def _is_skipped(update: Any) -> bool:
    return isinstance(update, dict) and update.get("__type__") == "update" and "value" not in update
