"""CSV text without formulas: a file or class called `=1+1` is shown as text.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

# Characters that start a formula; full-width ones do so in East Asian spreadsheets.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def table_lines(rows: Iterable[Sequence[str]]) -> str:
    """Return rows of cells as CSV text; an apostrophe precedes formulas."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(map(as_text_cells, rows))
    return text.getvalue()


def as_text_cells(row: Iterable[str]) -> list[str]:
    """Return the cells of a row with an apostrophe before formulas."""
    return [f"'{cell}" if _FORMULA.match(cell) else cell for cell in row]


def from_text_cells(row: Iterable[str]) -> list[str]:
    """Return the cells of a row without the apostrophes of `as_text_cells`."""
    return [cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell for cell in row]


def whole_records(content: bytes, *, quoted: bool = True) -> int:
    """Return the length of the complete records of a file that was cut off.

    Args:
        content: of the file.
        quoted: whether a line end inside quotes ends no record, as in CSV.
    """
    end = len(content)
    while end:
        end = content.rfind(b"\n", 0, end) + 1
        if not quoted or content.count(b'"', 0, end) % 2 == 0:
            return end
        end -= 1
    return 0
