"""The leaderboard: one row per network, its paired difference to the first named network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from model_card.schema.base import Schema, Score
from model_card.schema.comparison import Difference, Verdict
from trainer.comparison.network_result import NetworkFacts, NetworkResult
from trainer.errors import DataError
from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.evaluation.metrics.pairs import adjusted, paired_difference
from trainer.runtime.files import replaced_whole

LEADERBOARD_FILE = "comparison.json"


class Row(NetworkFacts):
    """A network that was trained and tested."""

    accuracy: Score = Field(description="on the test images of all folds")
    difference: Difference | None = Field(
        description="to the baseline; its p-value is adjusted for the number of differences "
        "(Holm 1979); None: this is the baseline"
    )

    @property
    def verdict(self) -> Verdict | None:
        """Whether the network differs from the baseline; None for the baseline itself."""
        return self.difference.verdict if self.difference else None


class Failure(Schema):
    """A network without a result."""

    model: str
    reason: str


class Leaderboard(Schema):
    """All networks of a comparison; the most accurate first."""

    command: str = Field(description="command line that repeats the comparison")
    source: str = Field(description="folder or dataset of the images")
    folds: int = Field(ge=0, description="0: a single test split")
    images: int = Field(gt=0, description="test images, the same for each network")
    groups: int = Field(gt=0, description="pieces of surface that they show")
    processor: str
    cores: int = Field(gt=0)
    baseline: str = Field(description="first named network that has a result")
    rows: list[Row] = Field(min_length=1)
    failures: list[Failure]

    def write(self, folder: Path) -> None:
        """Write `comparison.json` into a folder, whole or not at all."""
        with replaced_whole(folder / LEADERBOARD_FILE) as partial:
            partial.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def ranked(results: Sequence[NetworkResult]) -> list[Row]:
    """Return the rows of a leaderboard, the most accurate network first.

    Networks of equal accuracy stay in the given order.

    Args:
        results: of the same test images; the first one is the baseline.

    Raises:
        DataError: two networks were tested on different images.
    """
    baseline, others = results[0], results[1:]
    for result in others:
        if result.files != baseline.files or result.groups != baseline.groups:
            raise DataError(
                f"{result.facts.model} was tested on other images than {baseline.facts.model}: "
                f"the images changed since. Remove the folder {result.facts.folder} of the "
                "comparison; the same command then trains this network again."
            )
    pairs = [paired_difference(each.hits, baseline.hits, each.groups) for each in others]
    p_values = adjusted([pair.p_value for pair in pairs])
    differences = [
        None,
        *(
            pair.model_copy(update={"p_value": p_value})
            for pair, p_value in zip(pairs, p_values, strict=True)
        ),
    ]
    rows = [
        Row(
            **dict(result.facts),
            accuracy=grouped_proportion(result.hits, result.groups),
            difference=difference,
        )
        for result, difference in zip(results, differences, strict=True)
    ]
    return sorted(rows, key=lambda row: -row.accuracy.value)
