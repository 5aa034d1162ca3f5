"""Where the tables of strips go, and what can be wrong with that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.config.paths import shown

SUFFIXES = (".csv", ".json")


@dataclass(frozen=True)
class CoilOutput:
    """Where the coil view goes, besides the web page.

    Attributes:
        strips: file of the strips; None writes none.
        cache_dir: folder of cached overlap searches; None is the user's cache folder.
    """

    strips: Path | None
    cache_dir: Path | None


def strip_problems(
    strips: Path | None, others: Iterable[Path | None], *, merged: bool
) -> Iterator[str]:
    """Yield why the table of strips can't be written.

    Args:
        strips: file of the strips.
        others: files that the command writes besides.
        merged: whether overlaps are merged.
    """
    if strips is None:
        return
    if not merged:
        yield "--strips needs --merge-overlaps."
    if strips.suffix.lower() not in SUFFIXES:
        yield f"--strips {shown(strips)} has none of the suffixes {', '.join(SUFFIXES)}."
    taken = {other.absolute() for other in others if other}
    for file in table_paths(strips):
        if file.absolute() in taken:
            yield f"--strips writes {shown(file)}, as another option does. Name another file."


def table_paths(strips: Path) -> list[Path]:
    """Return the files of the tables: for CSV also one of the images and one of the defects."""
    if strips.suffix.lower() != ".csv":
        return [strips]
    return [
        strips,
        *(strips.with_name(f"{strips.stem}.{kind}.csv") for kind in ("images", "defects")),
    ]
