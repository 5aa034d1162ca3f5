"""What one network of a comparison reached, read from its finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from model_card.schema.base import Schema, Score
from model_card.schema.reliability import Reliability
from model_card.schema.report import Report
from model_card.schema.robustness import Robustness
from trainer.comparison.cost import Cost
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.data.splits.split import SPLIT_FILE
from trainer.errors import DataError
from trainer.evaluation.metrics.pairs import Hits
from trainer.evaluation.scores import PREDICTIONS_FILE
from trainer.text.spreadsheet import read_table


class WorstCorruption(Schema):
    """The corruption under which the network is least accurate, at its highest severity."""

    name: str
    accuracy: Score


class NetworkFacts(Schema):
    """Measured facts of one network beside its accuracy."""

    model: str
    folder: str = Field(description="of its run, inside the folder of the comparison")
    initial_weights: Literal["hub", "file", "random"]
    preset: str
    epochs: int = Field(gt=0, description="per fold")
    input_size_px: int = Field(gt=0)
    parameters: int = Field(gt=0)
    trained_parameters: int = Field(gt=0)
    ece: float | None = Field(ge=0, le=1, description="expected calibration error, 15 bins")
    ood_auroc: float | None = Field(
        ge=0, le=1, description="drawn OOD images against test images; None without a detector"
    )
    worst_corruption: WorstCorruption | None = Field(description="None: not tested")
    training_seconds: float = Field(ge=0, description="epochs of all folds")
    license: str | None = Field(description="Hub id of the license of the initial weights")
    missing: list[str] = Field(description="what the network can't give")
    cost: Cost


@dataclass(frozen=True)
class NetworkResult:
    """A network's facts, and which test images it predicts correctly.

    Attributes:
        facts: of the network.
        files: the test images, sorted.
        groups: number of the piece of surface that each one shows.
        hits: which of them are predicted correctly, [image].
    """

    facts: NetworkFacts
    files: list[str]
    groups: list[int]
    hits: Hits

    @classmethod
    def read(
        cls, model: str, run_dir: Path, recipe: RecipeConfig, missing: list[str], cost: Cost
    ) -> NetworkResult:
        """Read the result of a finished run.

        Args:
            model: as named on the command line.
            run_dir: of the network.
            recipe: that it was trained with.
            missing: what the network can't give.
            cost: of one image.

        Raises:
            DataError: a file of the run is missing or damaged.
        """
        try:
            report = Report.read(run_dir / PUBLISHED_DIR)
            groups = _groups(run_dir)
            predicted = {row[0]: row[1] == row[2] for row in _rows(run_dir / PREDICTIONS_FILE)}
            files = sorted(predicted)
            shown = [groups[file] for file in files]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise DataError(
                f"The run in {run_dir} can't be read: {error}. Remove that folder; the same "
                "command then trains this network again."
            ) from error
        folds = report.cross_validation
        robustness = folds.robustness if folds else report.robustness
        facts = NetworkFacts(
            model=model,
            folder=run_dir.name,
            initial_weights=report.model.weights_origin,
            preset=recipe.preset,
            epochs=recipe.epochs,
            input_size_px=report.model.input_size_px,
            parameters=report.model.parameters,
            trained_parameters=report.model.trained_parameters,
            **_reliability(folds.reliability if folds else report.reliability),
            worst_corruption=_worst(robustness) if robustness else None,
            training_seconds=sum(
                Report.read(folder / PUBLISHED_DIR).machine.training_seconds
                for folder in _trainings(run_dir)
            ),
            license=report.model.license,
            missing=missing,
            cost=cost,
        )
        hits = np.asarray([predicted[file] for file in files])
        return cls(facts, files, shown, hits)


def _trainings(run_dir: Path) -> list[Path]:
    """Return the folder of each training of a run: of its folds, or of the run itself."""
    return sorted(run_dir.glob("fold-*")) or [run_dir]


def _groups(run_dir: Path) -> dict[str, int]:
    """Return the group of each test image by file."""
    rows = [row for folder in _trainings(run_dir) for row in _rows(folder / SPLIT_FILE)]
    return {file: int(group) for file, _, group, split in rows if split == "test"}


def _rows(file: Path) -> list[list[str]]:
    return read_table(file)[1:]


def _reliability(reliability: Reliability | None) -> dict[str, float | None]:
    if reliability is None:
        return {"ece": None, "ood_auroc": None}
    ood = reliability.ood_detection
    kinds = ood.kinds if ood else []
    images = sum(kind.images for kind in kinds)
    # The test images are the same for each kind, so the mean is the AUROC of all kinds together.
    auroc = sum(kind.auroc * kind.images for kind in kinds) / images if images else None
    return {"ece": reliability.calibration.after.ece, "ood_auroc": auroc}


def _worst(robustness: Robustness) -> WorstCorruption:
    worst = robustness.worst
    return WorstCorruption(name=worst.name, accuracy=worst.steps[-1].accuracy)
