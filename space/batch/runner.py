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

from .batch import Answered, Batch, Examine, Read
from .items import BatchError, collect
from .row import Row

if TYPE_CHECKING:
    from PIL import Image

    from space.inference.drift.baseline import Baseline
    from space.inference.drift.comparison import DriftReport

# In a Space on the Hub, `server` and `inference` are siblings of this package.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.drift.comparison import DriftComparison
    from space.server.uploads import UploadFolder
else:
    from inference.drift.comparison import DriftComparison
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
        comparison: with the model's baseline; None if it has none.
        ended: whether nobody waits for further answers.
    """

    batch: Batch
    total: int
    skipped: int
    rows: list[Row] = field(default_factory=list)
    thumbnails: list[str | None] = field(default_factory=list)
    comparison: DriftComparison | None = None
    ended: bool = False

    def add(self, answered: Answered, thumbnail: str | None) -> None:
        """Take one more answer."""
        row = answered.row
        self.rows.append(row)
        self.thumbnails.append(thumbnail)
        if self.comparison and row.label is not None and row.confidence is not None:
            self.comparison.add(
                row.label, row.confidence, row.novelty, row.outcome, answered.statistics
            )

    @property
    def drift(self) -> DriftReport | None:
        """The comparison of the answers so far."""
        return self.comparison.report() if self.comparison else None


class BatchRunner:
    """Runs the batches of one server.

    Args:
        uploads: folder of the visitors' files.
        read: decodes an image, or raises ImageError.
        examine: an image with the model.
        thumbnail: returns a small picture of an image as a data URL.
        baseline: healthy images, with which each batch is compared.
        pause: is called before each image, and returns when it may be answered.
    """

    def __init__(
        self,
        uploads: UploadFolder,
        read: Read,
        examine: Examine,
        thumbnail: Callable[[Image.Image], str],
        baseline: Baseline | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._uploads, self._read, self._examine = uploads, read, examine
        self._thumbnail, self._baseline, self._pause = thumbnail, baseline, pause
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
            if self._baseline is not None:
                progress.comparison = DriftComparison(self._baseline)
            answers = progress.batch.run(items, self._read, self._examine)
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

    def _step(self, progress: Progress, answers: Generator[Answered]) -> bool:
        """Add the answers of a moment; return whether there were any."""
        before, end = len(progress.rows), time.monotonic() + STEP_S
        while not progress.ended:
            self._pause()
            answered = next(answers, None)
            if answered is None:
                break
            image = answered.image
            progress.add(answered, None if image is None else self._thumbnail(image))
            if time.monotonic() > end:
                break
        if progress.ended:
            answers.close()
        return len(progress.rows) > before
