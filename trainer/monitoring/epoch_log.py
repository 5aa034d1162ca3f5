"""The results of each epoch, the best epoch, and whether validation still improves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trainer.runtime.files import replaced_whole

# The files of a training in its run folder: the log, the checkpoint to resume from, the weights to
# publish.
METRICS, LAST, BEST = "metrics.jsonl", "last.safetensors", "best.safetensors"


@dataclass(frozen=True)
class EpochResult:
    """The results of an epoch; losses are means over images, in nats."""

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
        """Return whether validation has not improved for `patience` epochs; never, if it is 0."""
        return bool(
            patience and self.epochs and self.epochs[-1].epoch - self.best.epoch >= patience
        )

    def write(self, run_dir: Path) -> None:
        """Write `metrics.jsonl`, one line per epoch, atomically."""
        lines = [json.dumps(asdict(epoch)) + "\n" for epoch in self.epochs]
        with replaced_whole(run_dir / METRICS) as partial:
            partial.write_text("".join(lines), encoding="utf-8")
