"""Run batches in small steps, in turn, so that none makes others wait.

At most one step of all batches runs at a time: it takes one thread and one decoding process, and
leaves the others to single images.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from .batch import Batch, Predict, Read
from .items import BatchError, collect
from .row import Row

if TYPE_CHECKING:
    from PIL import Image

# In a Space on the Hub, `server` is a sibling of this package.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.server.uploads import UploadFolder
else:
    from server.uploads import UploadFolder

STEP_S = 0.3
MAX_BATCHES = 32
BUSY = f"The server works on {MAX_BATCHES} batches. Try again in a few minutes."
NO_SPACE = "The server can't store the answers now. Try again later."


@dataclass
class Progress:
    """What is known of a batch that runs.

    Attributes:
        batch: where the answers are stored.
        total: number of images.
        skipped: files of the operating system in zips, which are left out.
        rows: the answers so far, in order.
        thumbnails: of the answered images; None where there is no image.
        ended: whether nobody waits for further answers.
    """

    batch: Batch
    total: int
    skipped: int
    rows: list[Row] = field(default_factory=list)
    thumbnails: list[str | None] = field(default_factory=list)
    ended: bool = False


class BatchRunner:
    """Runs the batches of one server.

    Args:
        uploads: folder of the visitors' files.
        read: decodes an image, or raises ImageError.
        predict: images with the model.
        thumbnail: returns a small picture of an image as a data URL.
    """

    def __init__(
        self,
        uploads: UploadFolder,
        read: Read,
        predict: Predict,
        thumbnail: Callable[[Image.Image], str],
    ) -> None:
        self._uploads, self._read, self._predict = uploads, read, predict
        self._thumbnail = thumbnail
        self._running = 0
        # Those who wait get it in the order in which they came.
        self._turns = CapacityLimiter(1)

    async def run(self, files: Sequence[tuple[Path, str]]) -> AsyncIterator[Progress]:
        """Answer the images of uploaded files and zips; yield the progress after each step.

        Args:
            files: as for `items.collect`.

        Raises:
            BatchError: the batch can't be used, or the server is busy.
        """
        if self._running >= MAX_BATCHES:
            raise BatchError(BUSY)
        self._running += 1
        try:
            items, skipped = await run_sync(collect, files, limiter=self._turns)
            progress = Progress(Batch.create(self._uploads), len(items), skipped)
            answers = progress.batch.run(items, self._read, self._predict)
            try:
                while await run_sync(self._step, progress, answers, limiter=self._turns):
                    yield progress
            finally:
                progress.ended = True
                # A step that still runs when the batch is canceled closes them itself.
                with suppress(ValueError):
                    answers.close()
        except OSError as error:
            raise BatchError(NO_SPACE) from error
        finally:
            self._running -= 1

    def _step(self, progress: Progress, answers: Generator[tuple[Row, Image.Image | None]]) -> bool:
        """Add the answers of a moment; return whether there were any."""
        before, end = len(progress.rows), time.monotonic() + STEP_S
        for row, image in answers:
            progress.rows.append(row)
            progress.thumbnails.append(None if image is None else self._thumbnail(image))
            if progress.ended:
                answers.close()
            if progress.ended or time.monotonic() > end:
                break
        return len(progress.rows) > before
