"""Progress of a long prediction."""

from __future__ import annotations

import logging
import sys
import time

from model_card.formatting import counted
from trainer.monitoring.progress import ProgressBar, duration, rate

logger = logging.getLogger(__name__)

# In a log file, lines stand for the bar.
SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """A bar in a terminal, a line each minute in a log file."""

    def __init__(self, images: int, done: int) -> None:
        self.images, self.done, self.first = images, done, done
        self.started = self.line_at = time.monotonic()
        self.bar = ProgressBar("predict", images, done=done)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.bar.close()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            logger.warning(
                "Stopped after %s of %s.", f"{self.done:,}", counted(self.images, "image")
            )

    def advance(self, images: int) -> None:
        """Count images as done."""
        self.done += images
        self.bar.advance(images)
        now = time.monotonic()
        if sys.stderr.isatty() or now - self.line_at < SECONDS_BETWEEN_LINES:
            return
        self.line_at = now
        speed = (self.done - self.first) / (now - self.started)
        logger.info(
            "%s of %s images, %s/s, %s left",
            f"{self.done:,}",
            f"{self.images:,}",
            rate(speed),
            duration((self.images - self.done) / speed),
        )
