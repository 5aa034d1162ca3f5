"""A hint when training runs far below the speed that it had: other programs, mostly."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.monitoring.progress import rate

# A window is long enough that a slow disk or a batch of another size does not matter.
WINDOW_S, WINDOW_STEPS = 10.0, 3
# A collapse lasts; a backup that starts, or a computer that sleeps, fills fewer windows.
SLOW_WINDOWS = 3
SLOW_SHARE = 0.5


@dataclass
class Slowdown:
    """Compares the speed of training steps, window by window, with the best one of the run.

    Windows go on across epochs, but validation and the first step of an epoch are not timed.
    """

    best: float = 0.0
    _slow_windows: int = 0
    _images: int = 0
    _seconds: float = 0.0
    _steps: int = 0
    _last_s: float | None = None

    def start_epoch(self) -> None:
        """Begin an epoch; its first step, which starts the loader, is not timed."""
        self._last_s = None

    def step(self, images: int, now_s: float) -> str | None:
        """Note that a step ended.

        Args:
            images: of the step.
            now_s: the time, in seconds from any moment.

        Returns:
            the hint, when the speed has been low for long enough.
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
