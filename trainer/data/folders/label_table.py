"""Read the class of each image from a table beside the images.

`metadata.csv`, `metadata.jsonl` and `metadata.parquet` are those of ImageFolder in `datasets`
(https://huggingface.co/docs/datasets/image_dataset): a column `file_name`, relative to the table,
and a column of labels. Roboflow exports `_classes.csv`: one column of zeros and ones per class.
"""

from __future__ import annotations

import csv
import json
import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet

from trainer.data.folders.entries import File, Folder
from trainer.errors import DataError
from trainer.text.names import did_you_mean, listed, printable

ONE_HOT_NAME = "_classes.csv"
TABLE_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet", ONE_HOT_NAME)
FILE_COLUMNS = ("file_name", "filename", "file", "image")
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target")

Row = Mapping[str, object]


@dataclass(frozen=True)
class LabelTable:
    """The classes in one table.

    Attributes:
        name: of the table, below the folder of the images.
        columns: candidates for the class column, if it is not known.
        labels: by path of the image relative to the table, in NFC.
        reasons: why an image has no class, by its path.
        broken: whether the table can't be read, which is a problem of its own.
    """

    name: str
    columns: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    broken: bool = False

    def add(self, file: str, labels: list[str]) -> None:
        """Add a row: the image's class, or why it has none."""
        file = unicodedata.normalize("NFC", posixpath.normpath(file.replace("\\", "/")))
        if file in self.labels and labels == [self.labels[file]]:
            return
        if file in self.labels:
            labels = [self.labels.pop(file), *labels]
        if file in self.reasons:
            return
        if len(labels) == 1:
            self.labels[file] = labels[0]
        elif labels:
            names = listed(labels)
            self.reasons[file] = f"{printable(self.name)} gives it several classes: {names}"
        else:
            self.reasons[file] = f"{printable(self.name)} gives it no class"


def has_table(folder: Folder) -> bool:
    """Return whether a folder has a table of labels."""
    return bool(_tables(folder))


def _tables(folder: Folder) -> list[File]:
    return [file for file in folder.files if file.basename.lower() in TABLE_NAMES]


def read_table(folder: Folder, label_column: str | None) -> LabelTable:
    """Read the label table of a folder.

    Args:
        folder: the folder with the table.
        label_column: the column of classes; None finds it by its name.

    Raises:
        DataError: it can't be read, or the class column is ambiguous.
    """
    tables = _tables(folder)
    if len(tables) > 1:
        names = listed([file.name for file in tables])
        raise DataError(f"There are several tables of labels: {names}. Keep one of them.")
    file = tables[0]
    if file.trouble:
        raise DataError(f"{printable(file.name)} can't be read: {file.trouble}.")
    rows = _read(file)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    file_column = next((c for name in FILE_COLUMNS for c in columns if c.lower() == name), None)
    if file_column is None:
        raise DataError(
            f"{printable(file.name)} needs a column file_name and one of labels; it has "
            f"{listed(columns)}."
        )
    if file.basename.lower() == ONE_HOT_NAME:
        return _one_hot(file, rows, file_column)
    others = [column for column in columns if column != file_column]
    label = _label_column(file, others, label_column)
    if label is None:
        return LabelTable(file.name, columns=others)
    return _labeled(file, rows, file_column, label)


def _read(file: File) -> list[Row]:
    try:
        rows = list(_rows(file))
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{printable(file.name)} can't be read: {reason}.") from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise DataError(f"{printable(file.name)} is damaged: {printable(str(error))}") from error
    if not rows:
        raise DataError(f"{printable(file.name)} has no rows. Fill or remove it.")
    return rows


def _labeled(file: File, rows: list[Row], file_column: str, column: str) -> LabelTable:
    table = LabelTable(file.name)
    for number, row in enumerate(rows, 1):
        if not (image := _text(row.get(file_column))):
            raise DataError(f"Row {number} of {printable(file.name)} names no file.")
        label = _text(row.get(column))
        table.add(image, [label] if label else [])
    return table


def _one_hot(file: File, rows: list[Row], file_column: str) -> LabelTable:
    table = LabelTable(file.name)
    for number, row in enumerate(rows, 1):
        if not (image := _text(row.get(file_column))):
            raise DataError(f"Row {number} of {printable(file.name)} names no file.")
        cells = {name: _text(cell) for name, cell in row.items() if name != file_column}
        odd = [cell for cell in cells.values() if cell not in ("0", "1")]
        if odd:
            raise DataError(
                f"Row {number} of {printable(file.name)} holds {printable(odd[0] or 'nothing')}; "
                "each class should have 0 or 1."
            )
        table.add(image, [name for name, cell in cells.items() if cell == "1"])
    return table


def _label_column(file: File, columns: list[str], asked: str | None) -> str | None:
    """Return the class column; None if none has a usual name, as in a table of captions."""
    if asked is not None:
        if asked in columns:
            return asked
        raise DataError(
            f"--label-column {printable(asked)}: {printable(file.name)} has no such column, only "
            f"{listed(columns)}.{did_you_mean(asked, columns)}"
        )
    known = [column for name in LABEL_COLUMNS for column in columns if column.lower() == name]
    if len(known) > 1:
        raise DataError(
            f"{printable(file.name)} has the columns {listed(known)}. Name the one that holds the "
            "classes with --label-column."
        )
    return known[0] if known else None


def _rows(file: File) -> Iterator[Row]:
    if file.suffix == ".parquet":
        yield from pyarrow.parquet.read_table(file.path).to_pylist()
        return
    with Path(file.path).open(encoding="utf-8-sig", newline="") as opened:
        if file.suffix == ".jsonl":
            for line in opened:
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError(f"a line is no object: {line.strip()[:40]}")
                    yield row
            return
        first = opened.readline()
        opened.seek(0)
        # Spreadsheets write semicolons if the comma is the decimal separator.
        delimiter = max(",;\t", key=first.count)
        reader = csv.DictReader(opened, delimiter=delimiter, skipinitialspace=True)
        for row in reader:
            if None in row:
                raise ValueError(f"line {reader.line_num} has more cells than the first line")
            yield {name.strip(): cell for name, cell in row.items()}


def _text(value: object) -> str:
    """Return a cell as the name of a class or file; empty if it is neither text nor a number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int | float) else ""
