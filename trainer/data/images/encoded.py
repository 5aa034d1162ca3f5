"""Rows with encoded images: bytes, or the path of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import IO, Any

import datasets
import pyarrow
from datasets import ClassLabel, Dataset, Features, Value
from datasets.table import InMemoryTable

from space.inference.images.reader import ImageError, read_content
from trainer.text.names import is_text

UNDECODED = datasets.Image(decode=False)


def image_source(row: dict[str, Any]) -> str | IO[bytes]:
    """Return the path of the encoded image of a row, or its bytes as a file.

    Raises:
        ImageError: the row holds neither.
    """
    image = row["image"] or {"path": None, "bytes": None}
    if image["bytes"] is not None:
        return io.BytesIO(image["bytes"])
    if image["path"] is None:
        raise ImageError("the row holds no image")
    path: str = image["path"]
    return path


def stored_image(path: str) -> dict[str, Any]:
    """Return the path of an image, or its bytes if the path can't be stored as text."""
    if is_text(path):
        return {"path": path, "bytes": None}
    return {"path": None, "bytes": read_content(path)}


def image_rows(
    images: Sequence[dict[str, Any]],
    labels: Sequence[int],
    files: Sequence[str],
    classes: Sequence[str],
) -> Dataset:
    """Return images as rows with the columns `image`, `label` and `file`.

    Args:
        images: each as `stored_image` returns it.
        labels: of each, as an index of `classes`.
        files: names for messages and tables.
        classes: all of them, in the order of the network's outputs.
    """
    # An Arrow array takes a third of the time of single rows.
    return Dataset.from_dict(
        {"image": pyarrow.array(images, UNDECODED.pa_type), "label": labels, "file": files},
        features=Features(
            image=UNDECODED, label=ClassLabel(names=list(classes)), file=Value("string")
        ),
    )


def with_column(rows: Dataset, name: str, values: pyarrow.Array, feature: Any) -> Dataset:
    """Return rows with another column.

    Args:
        rows: without this column.
        name: of the column.
        values: of all rows.
        feature: type of the column in `datasets`.
    """
    # With Arrow, since `add_column` fails on an empty selection.
    if len(rows.data) != len(rows):
        rows = rows.flatten_indices()
    info = rows.info.copy()
    info.features = Features({**rows.features, name: feature})
    table = InMemoryTable(rows.data.table.append_column(name, values))
    return Dataset(table, info=info, split=rows.split)
