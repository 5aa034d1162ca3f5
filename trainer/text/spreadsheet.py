"""CSV tables without formulas: a file or class called `=1+1` is shown as text.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# Characters that start a formula; full-width ones do so in East Asian spreadsheets.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def write_table(file: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows of cells as CSV, whole or not at all; an apostrophe precedes formulas."""
    # Imports safetensors, which is not installed where exported files run.
    from trainer.runtime.files import replaced_whole  # noqa: PLC0415

    with (
        replaced_whole(file) as partial,
        partial.open("w", newline="", encoding="utf-8") as opened,
    ):
        csv.writer(opened).writerows(map(_as_text, row) for row in rows)


def table_lines(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as CSV text, for a table that grows; an apostrophe precedes formulas."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(map(_as_text, row) for row in rows)
    return text.getvalue()


def read_table(file: Path) -> list[list[str]]:
    """Return the rows of a CSV file from `write_table` or another program.

    Raises:
        OSError: the file can't be read.
        csv.Error, UnicodeDecodeError: the file is not CSV text.
    """
    with file.open(newline="", encoding="utf-8-sig") as opened:
        return [from_text_cells(row) for row in csv.reader(opened)]


def from_text_cells(row: Iterable[str]) -> list[str]:
    """Return the cells of a row without the apostrophes that `write_table` put before formulas."""
    return [_from_text(cell) for cell in row]


def _as_text(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _from_text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
