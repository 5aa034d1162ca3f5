"""What can be downloaded of a batch: a table, and a zip with the images in folders."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .batch import Batch
from .items import Contents
from .row import Row, answer_columns

# In a Space on the Hub, `inference` is a sibling of this package.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.images.reader import ImageError
    from space.inference.text.file_names import FileNames, safe_name
    from space.inference.text.spreadsheet import table_lines
else:
    from inference.images.reader import ImageError
    from inference.text.file_names import FileNames, safe_name
    from inference.text.spreadsheet import table_lines

TABLE_FILE = "predictions.csv"
COPIES_FILE = "sorted_images.zip"
FOLDERS = {"class": "accepted", "unsure": "unsure", "unknown": "unknown"}
# Without it, spreadsheet programs read umlauts wrongly.
BYTE_ORDER_MARK = "\ufeff"


def write_table(batch: Batch, labels: Sequence[str], *, several: bool = False) -> Path:
    """Write the answers as CSV; formulas in names are shown as text.

    Args:
        batch: finished, canceled or running.
        labels: the model's classes.
        several: whether the model names several defects of an image.

    Raises:
        OSError: the file can't be written, or the answers were deleted.
    """
    rows = [row for row, _ in batch.answers()]
    file = batch.folder / TABLE_FILE
    partial = file.with_suffix(".partial")
    partial.write_bytes(_table(rows, labels, several=several))
    return partial.replace(file)


def write_copies(batch: Batch, labels: Sequence[str], *, several: bool = False) -> Path:
    """Write a zip with `accepted/CLASS/`, `unsure/CLASS/`, `unknown/` and the table.

    Files without an answer are listed in the table with the reason, and not copied.

    Args:
        batch: finished, canceled or running.
        labels: the model's classes.
        several: whether the model names several defects of an image.

    Raises:
        OSError: the file can't be written, or the answers were deleted.
    """
    folders, names = FileNames(), FileNames()
    # A slash in a label makes no folder.
    by_label = {label: str(folders.free(safe_name(label))) for label in labels}
    file = batch.folder / COPIES_FILE
    partial = file.with_suffix(".partial")
    rows = []
    with Contents() as contents, zipfile.ZipFile(partial, "w") as copies:
        for row, item in batch.answers():
            try:
                if row.verdict is not None:
                    name = names.free(_place(row, row.verdict, by_label))
                    _copy(contents.open(item), copies, str(name))
            # It was deleted in the meantime.
            except ImageError as error:
                row = Row(row.path, error=str(error))
            rows.append(row)
        copies.writestr(TABLE_FILE, _table(rows, labels, several=several))
    return partial.replace(file)


def copy_of(batch: Batch, index: int) -> tuple[Path, str]:
    """Return the path of an image of a batch, and its name; one in a zip is written first.

    Raises:
        ImageError: there is no such image, or it can't be read.
        OSError: it can't be written.
    """
    for number, (row, item) in enumerate(batch.answers()):
        if number == index:
            with Contents() as contents:
                source = contents.open(item)
            if isinstance(source, Path):
                return source, row.path
            # Numbered, since names may repeat.
            path = batch.folder / str(index) / _file_name(row.path)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(source.read())
            return path, row.path
    raise ImageError("This row does not exist any more. Load the page again.")


def _place(row: Row, verdict: str, by_label: dict[str, str]) -> str:
    """Return the path of an image in the zip, before it is made unique."""
    place = [FOLDERS[verdict], _file_name(row.path)]
    if verdict != "unknown" and row.named:
        place.insert(1, " + ".join(by_label[label] for label in row.named))
    return "/".join(place)


def _file_name(path: str) -> str:
    """Return the name of a file without its folders, whichever system wrote them."""
    return safe_name(path.replace("\\", "/").rpartition("/")[2])


def _copy(source: Path | IO[bytes], copies: zipfile.ZipFile, name: str) -> None:
    opened = source.open("rb") if isinstance(source, Path) else source
    with opened as file, copies.open(name, "w") as copy:
        shutil.copyfileobj(file, copy)


def _table(rows: Sequence[Row], labels: Sequence[str], *, several: bool) -> bytes:
    header = answer_columns(labels, several=several)
    cells = [header, *(row.as_cells(labels, several=several) for row in rows)]
    return (BYTE_ORDER_MARK + table_lines(cells)).encode("utf-8", "replace")
