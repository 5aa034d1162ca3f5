"""Tables as CSV that a spreadsheet shows as text: a file or class called `=1+1` is no formula.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from trainer.runtime.files import replaced_whole

# What makes a spreadsheet compute; full-width signs do so in East Asian ones.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def write_table(file: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows of cells as CSV, whole or not at all; an apostrophe precedes formulas."""
    with (
        replaced_whole(file) as partial,
        partial.open("w", newline="", encoding="utf-8") as opened,
    ):
        csv.writer(opened).writerows(map(_as_text, row) for row in rows)


def read_table(file: Path) -> list[list[str]]:
    """Return the rows that `write_table` wrote, or those of another program's CSV.

    Raises:
        OSError: the file can't be read.
        csv.Error, UnicodeDecodeError: it is no CSV text.
    """
    with file.open(newline="", encoding="utf-8-sig") as opened:
        return [[_from_text(cell) for cell in row] for row in csv.reader(opened)]


def _as_text(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _from_text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
