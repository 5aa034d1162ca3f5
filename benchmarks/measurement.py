"""A table while it is measured: rows are printed one by one and written together."""

from __future__ import annotations

import datetime
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch

from benchmarks.table import Cell, Column, Table, head, row
from trainer.runtime import system

NOTHING: Mapping[str, str] = MappingProxyType({})
# Not part of what was measured.
JSON_OPTION = "--json"


class Measurement:
    """Prints a table row by row.

    Args:
        columns: of the table.
        conditions: what determines the numbers, besides machine and versions.
        others: versions of further packages.
    """

    def __init__(
        self, columns: Sequence[Column], conditions: str, others: Mapping[str, str] = NOTHING
    ) -> None:
        versions = system.versions()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        processor = system.accelerator_name(device) or system.processor_name()
        self._heading = Table(
            commands=(command(sys.argv),),
            machine=f"{processor}, {system.core_count()} cores",
            dates=(datetime.datetime.now().astimezone().date(),),
            versions={name: versions[name] for name in ("python", "torch", "timm")} | dict(others),
            conditions=conditions,
            columns=tuple(columns),
            rows=(),
        )
        self._rows: list[tuple[Cell, ...]] = []
        print(f"{self._heading.measured()}\n\n{head(columns)}", flush=True)

    def add(self, *cells: Cell) -> None:
        """Print a row."""
        self._rows.append(cells)
        print(row(self._heading.columns, cells), flush=True)

    def write(self, file: Path | None) -> None:
        """Write the table as JSON, if there is a file to write to."""
        if file:
            facts = self._heading.model_dump() | {"rows": tuple(self._rows)}
            Table.model_validate(facts).write(file)


def command(arguments: Sequence[str]) -> str:
    """Return the command that started this benchmark, without `--json`."""
    module = f"benchmarks.{Path(arguments[0]).stem}"
    words = [word for word in arguments[1:] if not word.startswith(f"{JSON_OPTION}=")]
    if JSON_OPTION in words:
        at = words.index(JSON_OPTION)
        del words[at : at + 2]
    return shlex.join(["python", "-m", module, *words])


def text_column(title: str) -> Column:
    """Return a column of words."""
    return Column(title=title, aligned_right=False)


def number_column(title: str, form: str) -> Column:
    """Return a column of numbers, which `str.format` writes."""
    return Column(title=title, format=form)


def times_column(title: str) -> Column:
    """Return a column of ratios."""
    return number_column(title, "{:,.2f} ×")
