"""Which columns of a Hub dataset are the images and the classes."""

from __future__ import annotations

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value

from trainer.data.hub_columns import find_columns, with_class_labels
from trainer.errors import DataError

CLASSES = ClassLabel(names=["a", "b"])
WORDS = Value("string")


@pytest.mark.parametrize(
    ("features", "asked", "expected"),
    [
        ({"photo": Image(), "kind": CLASSES, "text": WORDS}, (None, None), ("photo", "kind")),
        ({"image": Image(), "Label": WORDS, "text": WORDS}, (None, None), ("image", "Label")),
        ({"image": Image(), "label": Value("int32")}, (None, None), ("image", "label")),
        ({"image": Image(), "text": WORDS}, (None, "text"), ("image", "text")),
        ({"a": Image(), "mask": Image(), "label": CLASSES}, ("a", None), ("a", "label")),
        ({"jpg": Value("binary"), "cls": Value("int64")}, ("jpg", "cls"), ("jpg", "cls")),
        # What is typed as a class goes before what is only called one.
        ({"image": Image(), "label": WORDS, "defect": CLASSES}, (None, None), ("image", "defect")),
    ],
)
def test_columns_that_are_found(
    features: dict[str, object], asked: tuple[str | None, str | None], expected: tuple[str, str]
) -> None:
    assert find_columns(features, "ada/steel", *asked) == expected


@pytest.mark.parametrize(
    ("features", "asked", "words"),
    [
        (
            {"image": Image(), "fine": CLASSES, "coarse": CLASSES},
            (None, None),
            "Of these, fine, coarse can be it. Name it with --label-column.",
        ),
        (
            {"image": Image(), "mask": Image(), "label": CLASSES},
            (None, None),
            "Of these, image, mask can be it. Name it with --image-column.",
        ),
        ({"image": Image(), "text": WORDS}, (None, None), "Of these, text can be it"),
        ({"image": Image(), "score": Value("float32")}, (None, None), "--label-column"),
        ({"image": Image(), "label": CLASSES}, ("img", None), "--image-column: the column img"),
        ({"image": Image(), "labels": CLASSES}, (None, "label"), "Did you mean labels?"),
        ({"image": Image(), "label": List(CLASSES)}, (None, "label"), "can't be used as one"),
        # A dataset must not be able to name the files of this machine.
        ({"path": WORDS, "label": CLASSES}, ("path", None), "path of ada/steel can't be used"),
        ({}, (None, None), "Leave --stream-images out"),
    ],
)
def test_columns_that_are_not_clear(
    features: dict[str, object], asked: tuple[str | None, str | None], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        find_columns(features, "ada/steel", *asked)
    assert words in str(caught.value)


def part(labels: list[object], kind: object) -> Dataset:
    files = [f"{number}" for number in range(len(labels))]
    features = Features(label=kind, file=Value("string"))
    return Dataset.from_dict({"label": labels, "file": files}, features=features)


def test_numbers_are_classes_in_their_order() -> None:
    parts = DatasetDict(train=part([10, 2, 2], Value("int64")), test=part([7], Value("int64")))
    encoded = with_class_labels(parts, "ada/steel")
    assert encoded["train"].features["label"].names == ["2", "7", "10"]
    assert encoded["train"]["label"][:] == [2, 0, 0]
    assert encoded["test"]["label"][:] == [1]
    assert encoded["test"]["file"][:] == ["0"]


def test_labels_that_are_no_classes() -> None:
    with pytest.raises(DataError, match="a label of its own"):
        with_class_labels(DatasetDict(train=part(["x", "y", "z"], WORDS)), "ada/steel")
    other = ClassLabel(names=["b", "a"])
    with pytest.raises(DataError, match="different classes"):
        with_class_labels(DatasetDict(train=part([0], CLASSES), test=part([0], other)), "ada/steel")
