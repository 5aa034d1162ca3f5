"""A table of results with the command, machine and date behind it, as JSON and as Markdown.

`--json` of a benchmark writes one; the pages of docs/results show it, by `docs.result_tables`.
"""

from __future__ import annotations

import datetime
import json
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import BaseModel, ConfigDict, Field, model_validator

COMMAND_COLUMNS = 110


@dataclass(frozen=True)
class RunSettings:
    """Finished runs whose results are shown as a table."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Their folders."""
    commands: tuple[str, ...] = ()
    """Commands that made the runs, for the record."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the table as JSON, too."""


Number = int | float
# Several numbers share a cell: a value and its interval.
Cell = str | Number | tuple[Number, ...] | None


class Record(BaseModel):
    """Base: unknown fields are errors, since they would not be shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(Record):
    """A column: its title, and how `str.format` writes the numbers of a cell."""

    title: str
    format: str = "{}"
    aligned_right: bool = True


class Table(Record):
    """Rows of results, and how they were measured.

    Attributes:
        commands: that anyone can repeat, one line each; none if they were not recorded.
        machine: processor or GPU, and number of cores.
        dates: of the measurement.
        versions: of Python and libraries, where they matter.
        conditions: all else that determines the numbers.
        transcribed: the rows were copied from printed output; the measured numbers with all their
            digits were not stored.
        columns: of the table.
        rows: text, numbers or nothing.
    """

    commands: tuple[str, ...]
    machine: str
    dates: tuple[datetime.date, ...] = Field(min_length=1)
    versions: dict[str, str] = {}
    conditions: str = ""
    transcribed: bool = False
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @model_validator(mode="after")
    def _rows_fill_the_columns(self) -> Table:
        for cells in self.rows:
            if len(cells) != len(self.columns):
                raise ValueError(f"{cells} are not {len(self.columns)} cells")
        return self

    @classmethod
    def read(cls, file: Path) -> Table:
        """Read a table.

        Raises:
            pydantic.ValidationError: the file is no table.
        """
        return cls.model_validate_json(file.read_text(encoding="utf-8"))

    def write(self, file: Path) -> None:
        """Write the table as JSON, a line for each row."""
        facts = self.model_dump(mode="json", exclude={"rows"})
        above = json.dumps(facts, indent=1, ensure_ascii=False).removesuffix("\n}")
        rows = ",\n".join(f"  {json.dumps(cells, ensure_ascii=False)}" for cells in self.rows)
        file.write_text(f'{above},\n "rows": [\n{rows}\n ]\n}}\n', encoding="utf-8")

    def cell(self, row_title: str, column_title: str) -> Cell:
        """Return the cell in a row, which its first cell names, and a column.

        Raises:
            KeyError: the table has no such row or column.
        """
        for cells in self.rows:
            for column, cell in zip(self.columns, cells, strict=True):
                if (cells[0], column.title) == (row_title, column_title):
                    return cell
        raise KeyError(f"{row_title}, {column_title}")

    def markdown(self) -> str:
        """Return the table, the line below it, and the commands."""
        lines = [head(self.columns), *(row(self.columns, cells) for cells in self.rows)]
        parts = ["\n".join(lines), textwrap.fill(self.measured(), 118)]
        if self.commands:
            commands = "\n".join(map(_wrapped, self.commands))
            parts.append(f"```bash\n{commands}\n```")
        return "\n\n".join(parts)

    def measured(self) -> str:
        """Return machine, date, versions and conditions as a line."""
        days = sorted(self.dates)
        one_month = len({(day.year, day.month) for day in days}) == 1
        others = [f"{day.day}" if one_month else f"{day.day} {day:%B %Y}" for day in days[:-1]]
        last = f"{days[-1].day} {days[-1]:%B %Y}"
        dates = f"{', '.join(others)} and {last}" if others else last
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        unknown = "" if self.commands else "the command was not recorded"
        facts = [f"{self.machine}, {dates}", versions, self.conditions, unknown]
        return "Measured: " + "; ".join(filter(None, facts)) + "."


def head(columns: Sequence[Column]) -> str:
    """Return the first two lines of a Markdown table."""
    marks = ["--:" if column.aligned_right else "---" for column in columns]
    return f"{_line([column.title for column in columns])}\n{_line(marks)}"


def row(columns: Sequence[Column], cells: Sequence[Cell]) -> str:
    """Return a line of a Markdown table."""
    return _line([text(cell, column.format) for column, cell in zip(columns, cells, strict=True)])


def text(cell: Cell, form: str) -> str:
    """Return a cell as it is shown; text and nothing are shown without the column's format."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    return form.format(*cell) if isinstance(cell, tuple) else form.format(cell)


def _line(cells: Sequence[str]) -> str:
    return " ".join([*(f"| {cell}" if cell else "|" for cell in cells), "|"])


def _wrapped(command: str) -> str:
    """Break a long command after a backslash, before an option."""
    first, *others = re.split(r" (?=-)", command)
    lines = [first]
    for words in others:
        if len(lines[-1]) + len(words) < COMMAND_COLUMNS:
            lines[-1] += f" {words}"
        else:
            lines.append(f"  {words}")
    return " \\\n".join(lines)
