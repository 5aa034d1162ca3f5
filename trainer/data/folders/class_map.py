"""The table of --class-map: the class that each source's own names mean, or that is left out."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainer.data.folders.entries import File
from trainer.data.folders.location import Source
from trainer.errors import DataError
from trainer.text.names import did_you_mean, listed, printable
from trainer.text.spreadsheet import read_table

NEEDED, OPTIONAL = ("name", "class"), "source"
LISTED_PROBLEMS = 10


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        number: of the row, the header being 1.
        source: its name; None for all sources.
        name: of the class in the data.
        meant: class of the model; None leaves the images out.
    """

    number: int
    source: str | None
    name: str
    meant: str | None


@dataclass(frozen=True)
class ClassMap:
    """A table of class names; names that it does not list stay as they are."""

    file: Path | None = None
    rows: list[Row] = field(default_factory=list)

    def of_source(self, source: Source) -> dict[str, str | None]:
        """Return the class of each listed name; a row of the source itself comes first."""
        shared = {row.name: row.meant for row in self.rows if row.source is None}
        own = {row.name: row.meant for row in self.rows if row.source == source.name}
        return shared | own

    def of_boxes(self, source: Source, names: Iterable[str]) -> dict[str, Mapping[str, str | None]]:
        """Return the classes that the names of boxes mean, as `BoxFolders` takes them.

        Args:
            source: of the images.
            names: of its classes, as they are in the data.
        """
        listed = self.of_source(source)
        return {"": {name: listed.get(name, name) for name in names}} if listed else {}

    def check(self, found: Mapping[str, Iterable[str]]) -> None:
        """Check that each row names a class of the data.

        Args:
            found: the class names of each source, as they are in the data.

        Raises:
            DataError: a row names none.
        """
        problems = []
        for row in self.rows:
            names = sorted({n for s, own in found.items() if row.source in (None, s) for n in own})
            if row.name not in names:
                where = "the data" if row.source is None else printable(row.source)
                problems.append(
                    f"row {row.number}: {where} has no class {printable(row.name)}, only "
                    f"{listed(names)}.{did_you_mean(row.name, names)}"
                )
        self._refuse(problems)

    def _refuse(self, problems: list[str]) -> None:
        if problems:
            raise table_error(self.file, problems)


def read_class_map(file: Path | None, sources: Iterable[Source]) -> ClassMap:
    """Read the table; without a file, all names stay as they are.

    Args:
        file: CSV with the columns `name` and `class`, and `source` if names differ by source.
        sources: of the run, by which the column `source` is read.

    Raises:
        DataError: the file can't be read, or rows are wrong; the message lists them.
    """
    if file is None:
        return ClassMap()
    try:
        header, *lines = read_table(file) or [[]]
    except OSError as error:
        raise DataError(f"--class-map {file} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"--class-map {file} is no CSV text: {error}.") from error
    columns = [cell.strip().lower() for cell in header]
    unknown = [cell for cell in columns if cell not in (*NEEDED, OPTIONAL)]
    if unknown or len(set(columns)) < len(columns) or not set(NEEDED) <= set(columns):
        raise table_error(
            file,
            [
                f"row 1: the columns are {listed(header)}. They must be name and class, and "
                "source if names differ by source."
            ],
        )
    known = {name: source.name for source in sources for name in (source.place, source.name)}
    table = ClassMap(file)
    problems = []
    seen: dict[tuple[str | None, str], Row] = {}
    for number, line in enumerate(lines, 2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(columns):
            problems.append(f"row {number}: it has {len(line)} cells instead of {len(columns)}.")
            continue
        cells = dict(zip(columns, (cell.strip() for cell in line), strict=True))
        named = cells.get(OPTIONAL) or None
        row = Row(number, known.get(named or "", named), cells["name"], cells["class"] or None)
        problems += _row_problems(row, known)
        key = (row.source, row.name)
        if key in seen:
            problems.append(
                f"row {number}: {printable(row.name)} is in row {seen[key].number} already. "
                "Remove one of them."
            )
        seen[key] = row
        table.rows.append(row)
    if not table.rows and not problems:
        problems.append("it has no row below the header. Add rows, or leave --class-map out.")
    table._refuse(problems)
    return table


def _row_problems(row: Row, known: Mapping[str, str]) -> list[str]:
    problems = []
    if not row.name:
        problems.append(f"row {row.number}: the name is empty. Name a class of the data.")
    if row.source is not None and row.source not in known.values():
        names = sorted(set(known.values()))
        problems.append(
            f"row {row.number}: there is no source {printable(row.source)}, only {listed(names)}."
            f"{did_you_mean(row.source, names)}"
        )
    if row.meant is not None and not row.meant.isprintable():
        problems.append(
            f"row {row.number}: {printable(row.meant)} is no class name: it has invisible "
            "characters. Write a plain name, or leave the cell empty to leave the images out."
        )
    return problems


def table_error(file: Path | None, problems: list[str]) -> DataError:
    """Return the error that lists the problems of the table."""
    shown = problems[:LISTED_PROBLEMS]
    more = len(problems) - len(shown)
    lines = [f"  {each}" for each in shown] + [f"  and {more} more"] * bool(more)
    return DataError(f"--class-map {file} can't be used:\n" + "\n".join(lines))


def renamed(
    splits: Mapping[str, Mapping[str, list[File]]], classes: Mapping[str, str | None]
) -> tuple[dict[str, dict[str, list[File]]], dict[str, int]]:
    """Return the files by split and class of the model, and the number left out by their name.

    Args:
        splits: files by split and name of the class in the data.
        classes: class of the model by name; None leaves the files out.
    """
    left_out: Counter[str] = Counter()
    found: dict[str, dict[str, list[File]]] = {}
    for split, own in splits.items():
        merged = found.setdefault(split, {})
        for name, files in own.items():
            meant = classes.get(name, name)
            if meant is None:
                left_out[name] += len(files)
            else:
                merged.setdefault(meant, []).extend(files)
    return found, dict(left_out)
