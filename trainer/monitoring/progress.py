"""Progress of the training loop in a terminal: a bar, and one line per epoch.

Both fit into 80 columns. A log file gets the same lines without bars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

from model_card.formatting import number
from trainer.monitoring.epoch_log import EpochResult

if TYPE_CHECKING:
    # It takes seconds to import, and only training needs it.
    import torch

# Reading the loss makes a GPU wait, so read it only as often as a person can follow.
SECONDS_BETWEEN_LOOKS = 0.5
LEGEND = "training → validation, ★ best epoch so far; time and images/s of the epoch"


class ProgressBar(tqdm):  # type: ignore[misc]
    """Images per second, time left of the bar and of the run, running loss and accuracy.

    Args:
        title: of the bar.
        images: their number.
        done: the number of images that were done before.
        shown: whether this process prints.
    """

    def __init__(self, title: str, images: int, *, done: int = 0, shown: bool = True) -> None:
        super().__init__(
            desc=title,
            total=images,
            initial=done,
            unit=" img",
            leave=False,
            mininterval=SECONDS_BETWEEN_LOOKS,
            # None switches the bar off where stderr is not a terminal.
            disable=None if shown else True,
            dynamic_ncols=True,
            bar_format="{desc} |{bar}| {rate_noinv_fmt} {remaining}{postfix}",
        )

    def advance(
        self, images: int, totals: torch.Tensor | None = None, run_s: float | None = None
    ) -> None:
        """Count images as done.

        Args:
            images: the number of images since the last call.
            totals: sum of losses, correct predictions and images of the epoch so far.
            run_s: remaining seconds of the run, if they can be estimated.
        """
        if not self.update(images):
            return
        words = [f"run {duration(run_s)} left"] if run_s is not None else []
        if totals is not None:
            loss, correct, seen = totals.tolist()
            words.append(f"loss {_loss(loss / seen)} acc {100 * correct / seen:.1f} %")
        self.set_postfix_str(", ".join(words))


def epoch_title(epoch: int, epochs: int) -> str:
    """Return "epoch  7/25"; long numbers drop the word, then the total."""
    digits = len(str(epochs))
    if digits > 5:
        return f"{epoch:>{digits}}"
    return f"{'epoch ' if digits < 3 else ''}{epoch:>{digits}}/{epochs}"


def epoch_line(
    result: EpochResult, epochs: int, *, best: bool, images_per_second: float, run_s: float
) -> str:
    """Return the line of an epoch, at most 80 columns wide, with aligned numbers.

    Args:
        result: of the epoch.
        epochs: of the whole training.
        best: whether no earlier epoch was better.
        images_per_second: of its training steps.
        run_s: remaining seconds of the run.
    """
    accuracies = result.train_accuracy, result.validation_accuracy
    before, after = map(number, accuracies)
    return (
        f"{epoch_title(result.epoch, epochs)}"
        f"  loss {_loss(result.train_loss):>4} → {_loss(result.validation_loss):>4}"
        f"  acc {before:>4} → {after:>4} % {'★' if best else ' '}"
        f"  {duration(result.seconds):>6}"
        f"  {rate(images_per_second):>4}/s"
        f"  {duration(run_s):>6} left"
    )


def duration(seconds: float) -> str:
    """Return a duration in at most six characters: 3 s, 12:34, 1 h 05, 12 h, 3 d."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours = minutes // 60
    if whole < 60:
        return f"{whole} s"
    if hours == 0:
        return f"{minutes}:{rest:02}"
    if hours < 10:
        return f"{hours} h {minutes % 60:02}"
    if hours < 100:
        return f"{hours} h"
    return f"{min(hours // 24, 9999)} d"


def _loss(value: float) -> str:
    """Return a loss in at most four characters."""
    if value < 9.995:
        return f"{value:.2f}"
    if value < 99.95:
        return f"{value:.1f}"
    if value < 9999.5:
        return f"{value:.0f}"
    digit, exponent = f"{min(value, 9e99):.0e}".split("e+")
    return f"{digit}e{int(exponent)}"


def rate(value: float) -> str:
    """Return images per second in at most four characters."""
    if value < 9.95:
        return f"{value:.1f}"
    if value < 9999.5:
        return f"{value:.0f}"
    return f"{value / 1000:.0f}k" if value < 999_500 else f"{value / 1e6:.0f}M"
