"""Files of CSV tables without formulas; see `space.inference.text.spreadsheet`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from space.inference.text.spreadsheet import as_text_cells, from_text_cells
from trainer.runtime.files import replaced_whole


def write_table(file: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows of cells as CSV, whole or not at all; an apostrophe precedes formulas."""
    with (
        replaced_whole(file) as partial,
        partial.open("w", newline="", encoding="utf-8") as opened,
    ):
        csv.writer(opened).writerows(map(as_text_cells, rows))


def read_table(file: Path) -> list[list[str]]:
    """Return the rows of a CSV file from `write_table` or another program.

    Raises:
        OSError: the file can't be read.
        csv.Error, UnicodeDecodeError: the file is not CSV text.
    """
    with file.open(newline="", encoding="utf-8-sig") as opened:
        return [from_text_cells(row) for row in csv.reader(opened)]
