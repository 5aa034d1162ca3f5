"""What a person at a terminal sees while an epoch runs; elsewhere nothing is shown."""

from __future__ import annotations

import torch
from tqdm import tqdm

# Reading the loss makes a GPU wait, so not more often than eyes can follow.
SECONDS_BETWEEN_LOOKS = 0.5


class ProgressBar(tqdm):  # type: ignore[misc]
    """Images a second, time left, running loss and accuracy, and the last validation accuracy.

    Args:
        title: what is under way.
        images: how many there are.
        done: how many of them were done before.
        shown: whether this process is the one that speaks.
        validated: the last validation accuracy, if there is one.
    """

    def __init__(
        self,
        title: str,
        images: int,
        *,
        done: int = 0,
        shown: bool = True,
        validated: float | None = None,
    ) -> None:
        self.validated = validated
        super().__init__(
            desc=title,
            total=images,
            initial=done,
            unit=" images",
            leave=False,
            mininterval=SECONDS_BETWEEN_LOOKS,
            # None switches the bar off where nobody watches a terminal.
            disable=None if shown else True,
            # All of it fits into 80 columns.
            bar_format="{desc} |{bar}| {rate_noinv_fmt}, {remaining} left{postfix}",
        )

    def advance(self, images: int, totals: torch.Tensor | None = None) -> None:
        """Count images as done.

        Args:
            images: how many more.
            totals: sum of losses, right answers and images of the epoch so far.
        """
        if not self.update(images) or totals is None:
            return
        loss, right, seen = totals.tolist()
        words = f"loss {loss / seen:.3f}, acc {100 * right / seen:.1f} %"
        if self.validated is not None:
            words += f", val {100 * self.validated:.1f} %"
        self.set_postfix_str(words)
