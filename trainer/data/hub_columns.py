"""Find the image and class columns of a dataset on the Hub; encode text labels as ClassLabel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Value

from trainer.data.folders.label_table import LABEL_COLUMNS
from trainer.errors import DataError
from trainer.text.names import did_you_mean, listed, printable


def find_columns(
    features: Mapping[str, object], repo_id: str, image: str | None, label: str | None
) -> tuple[str, str]:
    """Return the names of the column of images and of the column of classes.

    Args:
        features: the types of the columns, by name.
        repo_id: of the dataset, for messages.
        image: the column of images, if the user set it.
        label: the column of classes, likewise.

    Raises:
        DataError: a column is missing, has another type, or is ambiguous.
    """
    if not features:
        raise DataError(
            f"The columns of {repo_id} are not known before it is downloaded. Leave "
            "--stream-images out."
        )
    images = [name for name, kind in features.items() if _may_be_image(kind)]
    if image is None:
        # Columns of bytes may hold image files, too; they are used only by name.
        images = [name for name in images if isinstance(features[name], datasets.Image)]
    words = [name for name, kind in features.items() if _may_be_label(kind)]
    classes = [name for name in words if isinstance(features[name], ClassLabel)]
    known = [name for usual in LABEL_COLUMNS for name in words if name.lower() == usual]
    return (
        _column(image, "image", images, images, repo_id, features),
        _column(label, "label", words, classes or known, repo_id, features),
    )


def _column(
    asked: str | None,
    what: str,
    possible: list[str],
    likely: list[str],
    repo_id: str,
    features: Mapping[str, object],
) -> str:
    """Return the column that the user set, or the only suitable one."""
    columns = ", ".join(f"{printable(name)} ({kind})" for name, kind in features.items())
    if asked is not None:
        if asked in possible:
            return asked
        where = "can't be used as one" if asked in features else "is not there"
        raise DataError(
            f"--{what}-column: the column {printable(asked)} of {repo_id} {where}; the columns are "
            f"{columns}.{did_you_mean(asked, possible)}"
        )
    if len(likely) == 1:
        return likely[0]
    choice = f" Of these, {listed(likely or possible)} can be it." if likely or possible else ""
    raise DataError(
        f"It is not clear which column of {repo_id} holds the {what}s; its columns are {columns}."
        f"{choice} Name it with --{what}-column."
    )


def _may_be_image(kind: object) -> bool:
    # Not text: a dataset could name any file of this machine.
    return isinstance(kind, datasets.Image) or (
        isinstance(kind, Value) and kind.dtype in ("binary", "large_binary")
    )


def _may_be_label(kind: object) -> bool:
    if isinstance(kind, ClassLabel):
        return True
    if not isinstance(kind, Value):
        return False
    return kind.dtype in ("string", "large_string", "bool") or "int" in kind.dtype


def with_class_labels(splits: DatasetDict, repo_id: str) -> DatasetDict:
    """Encode the text or numbers in the column `label` of all splits as one ClassLabel.

    Raises:
        DataError: the classes differ between splits, or each image has its own.
    """
    kinds = [rows.features["label"] for rows in splits.values()]
    if all(isinstance(kind, ClassLabel) for kind in kinds):
        if any(kind.names != kinds[0].names for kind in kinds):
            raise DataError(f"The splits of {repo_id} have different classes.")
        return splits
    values = Counter(value for rows in splits.values() for value in rows["label"][:])
    images = sum(len(rows) for rows in splits.values())
    if 1 < images == len(values):
        raise DataError(
            f"Each of the {images} images of {repo_id} has a label of its own. Name the column "
            "that holds the classes with --label-column."
        )
    # Like `Dataset.class_encode_column`, but for all splits at once.
    names = [str(value) for value in sorted(values)]
    numbers = {name: number for number, name in enumerate(names)}
    return DatasetDict({split: _encoded(rows, names, numbers) for split, rows in splits.items()})


def _encoded(rows: Dataset, names: list[str], numbers: Mapping[str, int]) -> Dataset:
    labels = [numbers[str(value)] for value in rows["label"][:]]
    unlabeled = rows.remove_columns("label")
    return unlabeled.add_column("label", labels, feature=ClassLabel(names=names))
