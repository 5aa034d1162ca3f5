"""Rare classes: each is trained and tested, or refused with advice that works."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pictures
from sklearn.model_selection import StratifiedGroupKFold

from trainer.config.groups import DataConfig
from trainer.data.splits.pieces import Ints, Pieces
from trainer.data.splits.split import divide, divide_into_folds
from trainer.errors import DataError

NAMES = "ABCD"
# The classes that a piece of surface shows, a letter an image: "AAB" is two images of A, one of B.
Surface = str


def images(surfaces: Sequence[Surface], classes: int) -> DatasetDict:
    rows = [
        {"label": NAMES.index(name), "file": f"{group}-{place}.png", "group": group}
        for group, surface in enumerate(surfaces)
        for place, name in enumerate(surface)
    ]
    features = Features(
        label=ClassLabel(names=list(NAMES[:classes])), file=Value("string"), group=Value("int64")
    )
    return DatasetDict(train=Dataset.from_list(rows, features=features))


def singles(**counts: int) -> DatasetDict:
    surfaces = [name for name, count in counts.items() for _ in range(count)]
    return images(surfaces, len(counts))


def classes_in(part: Dataset) -> Counter[str]:
    return Counter(NAMES[label] for label in part["label"][:])


@st.composite
def collections(draw: st.DrawFn) -> tuple[list[Surface], int]:
    """Draw classes of one piece and more, and some pieces that show two classes."""
    classes = draw(st.integers(2, 4))
    surfaces = [
        name * size
        for name in NAMES[:classes]
        for size in draw(st.lists(st.integers(1, 4), min_size=0, max_size=6))
    ]
    pairs = st.permutations(NAMES[:classes]).map(lambda names: names[0] + names[1])
    surfaces += draw(st.lists(pairs, max_size=4))
    missing = set(NAMES[:classes]) - set("".join(surfaces))
    return surfaces + sorted(missing), classes


def follow(message: str) -> list[Surface]:
    """Return the pieces of surface that a message asks for."""
    asked = [
        *re.findall(r"^  (\w): .* \(add (\d+)\)$", message, re.MULTILINE),
        *re.findall(r"Add images of (\w) from (\d+) other pieces", message),
        *[(name, count) for count, name in re.findall(r"(\d+) to (\w), for example", message)],
    ]
    assert asked, message
    return [name for name, count in asked for _ in range(int(count))]


@settings(max_examples=80, deadline=None)
@given(
    collection=collections(),
    fractions=st.sampled_from([(0.2, 0.1), (0.05, 0.15), (0.5, 0.5), (0.9, 0.34)]),
    folds=st.sampled_from([0, 0, 2, 3]),
    random_split=st.booleans(),
    seed=st.integers(0, 5),
)
@pytest.mark.slow
def test_each_class_is_trained_and_tested_or_the_advice_works(
    collection: tuple[list[Surface], int],
    fractions: tuple[float, float],
    folds: int,
    random_split: bool,
    seed: int,
) -> None:
    surfaces, classes = collection
    config = DataConfig(
        test_fraction=fractions[0],
        validation_fraction=fractions[1],
        folds=folds,
        random_split=random_split,
    )
    # One refusal for what is rare, and one a class for what shares all its surface.
    for _ in range(classes + 2):
        whole = images(surfaces, classes)
        try:
            divided = (
                divide_into_folds(whole, config, seed) if folds else [divide(whole, config, seed)]
            )
            break
        except DataError as error:
            surfaces = surfaces + follow(str(error))
    else:
        raise AssertionError("the advice did not help")
    for parts, _, _ in divided:
        everything = [file for part in parts.values() for file in part["file"][:]]
        assert sorted(everything) == sorted(whole["train"]["file"][:])
        for name in ("train", "test"):
            assert set(classes_in(parts[name])) == set(NAMES[:classes])
        assert len(parts["validation"])
        groups = [set(part["group"][:]) for part in parts.values()]
        if not random_split:
            assert sum(map(len, groups)) == len(set.union(*groups)) == len(surfaces)


@pytest.mark.parametrize("random_split", [False, True])
@pytest.mark.parametrize("rare", range(3, 12))
def test_a_rare_class_has_an_image_in_each_split(rare: int, random_split: bool) -> None:
    config = DataConfig(random_split=random_split)
    whole = singles(A=60, B=60, C=rare)
    for seed in range(3):
        parts, _, _ = divide(whole, config, seed)
        counts = {name: classes_in(part) for name, part in parts.items()}
        assert counts["validation"]["C"] == 1
        assert 1 <= counts["test"]["C"] <= 3
        # The share of the others is not pulled along by the rare one.
        assert 12 <= counts["test"]["A"] <= 13


def test_a_class_of_two_does_without_validation(caplog: pytest.LogCaptureFixture) -> None:
    parts, _, _ = divide(images(["A"] * 20 + ["B", "B"] + ["AC"] * 5, 3), DataConfig(), 0)
    assert classes_in(parts["train"])["B"] == classes_in(parts["test"])["B"] == 1
    assert classes_in(parts["validation"])["B"] == 0
    [record] = caplog.records
    assert "No validation image is left for B:" in record.getMessage()


def test_nothing_is_said_where_each_class_is_validated(caplog: pytest.LogCaptureFixture) -> None:
    divide(singles(A=20, B=3), DataConfig(), 0)
    assert not caplog.records


@pytest.mark.parametrize("random_split", [False, True])
def test_a_large_test_share_leaves_a_rare_class_for_training_and_validation(
    random_split: bool,
) -> None:
    config = DataConfig(test_fraction=0.9, random_split=random_split)
    whole = singles(A=60, B=60, C=3)
    for seed in range(3):
        parts, _, _ = divide(whole, config, seed)
        assert [classes_in(part)["C"] for part in parts.values()] == [1, 1, 1]


def test_folds_name_a_class_without_validation(caplog: pytest.LogCaptureFixture) -> None:
    folds = divide_into_folds(singles(A=20, B=2), DataConfig(folds=2), 0)
    assert [classes_in(parts["validation"])["B"] for parts, _, _ in folds] == [0, 0]
    [record] = caplog.records
    assert "No validation image is left for B:" in record.getMessage()


def test_classes_of_two_alone_leave_no_validation() -> None:
    with pytest.raises(DataError, match="1 to A, for example"):
        divide(singles(A=2, B=2), DataConfig(), 0)


def test_which_images_of_a_rare_class_are_tested_is_chance() -> None:
    whole = images(["AAA"] * 12 + ["BB", "BB", "BB", "BB"], 2)
    tested = {tuple(divide(whole, DataConfig(), seed)[0]["test"]["file"][:]) for seed in range(8)}
    rare = {file for files in tested for file in files if int(file.split("-")[0]) >= 12}
    assert len(rare) > 2


def test_copies_of_one_picture_are_called_so() -> None:
    buffer = BytesIO()
    Pictures.fromarray(np.zeros((8, 8), np.uint8)).save(buffer, "PNG")
    black = {"bytes": buffer.getvalue(), "path": None}
    rows = [
        {"image": black, "label": int(row > 7), "file": f"{row}.png", "group": max(0, row - 7)}
        for row in range(16)
    ]
    features = Features(
        image=Image(decode=False),
        label=ClassLabel(names=["NoStrip", "Scratch"]),
        file=Value("string"),
        group=Value("int64"),
    )
    whole = DatasetDict(train=Dataset.from_list(rows, features=features))
    with pytest.raises(DataError) as refused:
        divide(whole, DataConfig(), 0)
    message = str(refused.value)
    assert "NoStrip: 8 images, all copies of one picture (add 1)" in message
    assert "part" not in message
    assert "Scratch:" not in message


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=60),
    singles=st.lists(st.integers(0, 30), min_size=4, max_size=4),
    folds=st.integers(2, 7),
    seed=st.integers(0, 3),
)
def test_pieces_are_dealt_evenly(
    sizes: list[tuple[int, int]], singles: list[int], folds: int, seed: int
) -> None:
    """Of pieces that show one class each, no fold has more than the largest piece too much."""
    sizes = sizes + [(label, 1) for label, count in enumerate(singles) for _ in range(count)]
    labels = [label for label, size in sizes for _ in range(size)]
    groups = [group for group, (_, size) in enumerate(sizes) for _ in range(size)]
    pieces = Pieces(labels, groups, 4)
    fold = pieces.dealt(folds, seed)
    counts = np.zeros((folds, 4))
    np.add.at(counts, (fold[pieces.of_image], np.asarray(labels)), 1)
    for label in range(4):
        largest = max((size for own, size in sizes if own == label), default=0)
        assert np.ptp(counts[:, label]) <= largest
        if len(sizes) > 1 and singles[label] >= (folds - 1) * largest:
            assert np.ptp(counts[:, label]) <= 1
    assert (fold == pieces.dealt(folds, seed)).all()


def test_folds_are_of_one_size_where_classes_have_an_image_each() -> None:
    pieces = Pieces(range(40), range(40), 40)
    assert np.bincount(pieces.dealt(4, 0)).tolist() == [10] * 4


def test_a_rare_class_counts_as_much_as_a_frequent_one() -> None:
    """The last piece goes where its one image of the rare class is missing."""
    surfaces = [[0] * 10, [1] * 6, [0] * 6, [0, 0, 0, 0, 1]]
    labels = [label for surface in surfaces for label in surface]
    groups = [group for group, surface in enumerate(surfaces) for _ in surface]
    assert Pieces(labels, groups, 2).dealt(2, 0).tolist() == [0, 1, 1, 0]


def test_pieces_of_several_classes_are_dealt_evenly() -> None:
    """As evenly as scikit-learn's StratifiedGroupKFold, whose way it is."""
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 150, 600))
    # Most pieces show one class, and some images of another.
    labels = np.where(rng.random(600) < 0.9, groups % 6, rng.integers(0, 6, 600))
    pieces = Pieces(labels.tolist(), groups.tolist(), 6)

    def unevenness(fold: Ints) -> float:
        counts = np.zeros((5, 6))
        np.add.at(counts, (fold, labels), 1)
        return float((counts / counts.sum(axis=0)).std(axis=0).mean())

    theirs = np.empty(600, dtype=np.int64)
    split = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    for number, (_, rows) in enumerate(split):
        theirs[rows] = number
    ours = pieces.dealt(5, 0)[pieces.of_image]
    assert unevenness(ours) <= 1.5 * unevenness(theirs)
    assert unevenness(ours) < 0.01
    assert (ours != pieces.dealt(5, 1)[pieces.of_image]).any()


def test_pieces_are_counted() -> None:
    pieces = Pieces([0, 0, 1, 1, 2], [7, 7, 7, 3, 9], 3)
    assert len(pieces) == 3
    assert pieces.per_class.tolist() == [1, 2, 1]
    assert pieces.alone.tolist() == [0, 1, 1]
    assert pieces.neighbors(1) == [0]
    assert pieces.counts(np.array([0, 1, 1]), 2).tolist() == [[0, 1, 0], [1, 1, 1]]
