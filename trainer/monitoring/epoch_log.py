"""What each epoch of a training came to, which one is best, and whether there is progress."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trainer.runtime.files import replaced_whole

# What a training keeps in its run folder: the log, all that a resumed run needs, the weights to
# publish.
METRICS, LAST, BEST = "metrics.jsonl", "last.safetensors", "best.safetensors"


@dataclass(frozen=True)
class EpochResult:
    """What an epoch came to; losses in nats, an image's mean."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


@dataclass
class History:
    """The epochs of a training so far."""

    epochs: list[EpochResult] = field(default_factory=list)

    @property
    def best(self) -> EpochResult:
        """The epoch with the highest validation accuracy; among equals, the lowest loss."""
        return max(self.epochs, key=lambda e: (e.validation_accuracy, -e.validation_loss))

    def stalled(self, patience: int) -> bool:
        """Tell whether validation has not improved for so many epochs; 0 waits for ever."""
        return bool(
            patience and self.epochs and self.epochs[-1].epoch - self.best.epoch >= patience
        )

    def write(self, run_dir: Path) -> None:
        """Write `metrics.jsonl`, a line an epoch, whole or not at all."""
        lines = [json.dumps(asdict(epoch)) + "\n" for epoch in self.epochs]
        with replaced_whole(run_dir / METRICS) as partial:
            partial.write_text("".join(lines), encoding="utf-8")
