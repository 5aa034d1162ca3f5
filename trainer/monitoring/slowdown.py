"""A hint when training slows down, mostly because of other programs."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.monitoring.progress import rate

# Windows are long enough to even out a slow disk or a batch of another size.
WINDOW_S, WINDOW_STEPS = 10.0, 3
# A real slowdown lasts; a short backup or a computer that sleeps fills fewer windows.
SLOW_WINDOWS = 3
SLOW_SHARE = 0.5


@dataclass
class Slowdown:
    """Compares the speed of training steps in windows with the best speed of the run.

    Windows span epochs; validation and the first step of an epoch are not timed.
    """

    best: float = 0.0
    _slow_windows: int = 0
    _images: int = 0
    _seconds: float = 0.0
    _steps: int = 0
    _last_s: float | None = None

    def start_epoch(self) -> None:
        """Start an epoch; its first step, which starts the data loader, is not timed."""
        self._last_s = None

    def step(self, images: int, now_s: float) -> str | None:
        """Record the end of a step.

        Args:
            images: of the step.
            now_s: time of any monotonic clock, in seconds.

        Returns:
            the hint, once the speed has been low for long enough.
        """
        last_s, self._last_s = self._last_s, now_s
        if last_s is None:
            return None
        self._images += images
        self._seconds += now_s - last_s
        self._steps += 1
        if self._steps < WINDOW_STEPS or self._seconds < WINDOW_S:
            return None
        speed = self._images / self._seconds
        self._images, self._seconds, self._steps = 0, 0.0, 0
        self.best = max(self.best, speed)
        self._slow_windows = self._slow_windows + 1 if speed < SLOW_SHARE * self.best else 0
        if self._slow_windows < SLOW_WINDOWS:
            return None
        return (
            f"Training is slow: {rate(speed)} images/s, {rate(self.best)} before. Close other "
            "programs, or stop with Ctrl-C and resume later; the results stay the same."
        )
