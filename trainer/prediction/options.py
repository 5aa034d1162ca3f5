"""The options of predict.py: format of the table, which rows to write, which fail a script."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from trainer.errors import ConfigError, UserError
from trainer.prediction.row import OUTCOMES, Row
from trainer.text.names import did_you_mean, listed, printable

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
# Parquet can't grow; the rows are in a file beside it until all are there.
GROWING_SUFFIX = ".rows.jsonl"


@dataclass(frozen=True)
class Selection:
    """A condition on rows.

    Attributes:
        outcomes: verdicts to take, "error" among them; None takes all.
        labels: classes to take; None takes all.
    """

    outcomes: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None

    @property
    def takes_all(self) -> bool:
        """Whether no row is left out."""
        return self.outcomes is None and self.labels is None

    def takes(self, row: Row) -> bool:
        """Return whether a row fulfills the condition."""
        if self.labels is not None:
            return any(label in self.labels for label in row.named)
        return self.outcomes is None or row.outcome in self.outcomes

    def done(self, rows: Sequence[str], images: Sequence[str], table: Path | None) -> int:
        """Return the number of images that are done, the last of them with the last row.

        Args:
            rows: paths in the rows that an interrupted command wrote.
            images: paths of all images.
            table: file of the rows, for messages.

        Raises:
            UserError: the rows are not those of these images, in this order.
        """
        numbers = {name: number for number, name in enumerate(images)}
        at = -1
        for path in rows:
            number = numbers.get(path, -1)
            if number <= at or (number > at + 1 and self.takes_all):
                raise UserError(
                    f"{table} can't be continued: its row {path!r} does not follow in the list of "
                    "images. Name the same images in the same order, or another file with "
                    "--output."
                )
            at = number
        return at + 1

    def check_labels(self, known: Sequence[str]) -> None:
        """Check that the model has the classes.

        Raises:
            ConfigError: it lacks one.
        """
        for label in self.labels or ():
            if label not in known:
                raise ConfigError(
                    f"--where label={printable(label)}: the model has no such class."
                    f"{did_you_mean(label, known)} It has {listed(known)}."
                )


def check_model(models: Collection[str | None], model: str, table: Path | None) -> None:
    """Check that one model makes all rows of a table.

    Args:
        models: fingerprints in the rows that an interrupted command wrote.
        model: fingerprint of the one that continues.
        table: file of the rows, for messages.

    Raises:
        UserError: the rows are of another one.
    """
    others = set(models) - {model}
    if others:
        raise UserError(
            f"{table} can't be continued: its rows are of another model, "
            f"{listed(sorted(map(str, others)))}; this one is {model}. Use that model, or name "
            "another file with --output."
        )


def read_condition(text: str | None) -> Selection:
    """Return the selection that --where describes; None selects all.

    Raises:
        ConfigError: the text is no condition.
    """
    if text is None:
        return Selection()
    field, equals, value = text.partition("=")
    if equals and value and field == "verdict":
        return Selection(outcomes=read_outcomes("--where verdict=", value))
    if equals and value and field == "label":
        return Selection(labels=tuple(value.split(",")))
    raise ConfigError(
        f"--where takes verdict=… or label=…, not {printable(text)}. Examples: "
        "--where verdict=unsure,unknown and --where label=Scratches."
    )


def read_outcomes(flag: str, text: str | None) -> tuple[str, ...]:
    """Return the verdicts in a list with commas, none for None.

    Raises:
        ConfigError: one is no verdict.
    """
    words = tuple(text.split(",")) if text is not None else ()
    unknown = [word for word in words if word not in OUTCOMES]
    if unknown:
        *first, last = OUTCOMES
        raise ConfigError(
            f"{flag} takes {', '.join(first)} and {last}, not "
            f"{listed(unknown)}.{did_you_mean(unknown[0], OUTCOMES)}"
        )
    return words


def format_of(path: Path | None) -> Format | None:
    """Return the format that a file's suffix names; CSV for stdout, None for another suffix."""
    if path is None:
        return "csv"
    return next((kind for kind in FORMATS if path.suffix.lower() == f".{kind}"), None)


def growing_path(path: Path, kind: Format) -> Path:
    """Return the file that grows while images are predicted."""
    return path.with_name(path.name + GROWING_SUFFIX) if kind == "parquet" else path
