"""Parts and folds: no group on two sides, classes in balance, chance by seed, split files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config.groups import DataConfig
from trainer.data.splits.split import divide, divide_into_folds, write_split
from trainer.errors import DataError

LABELS = ["Crazing", "Pitted"]
FEATURES = Features(
    {"label": ClassLabel(names=LABELS), "file": Value("string"), "group": Value("int64")}
)


def images(groups: dict[str, list[int]], first: int = 0) -> Dataset:
    """Return rows of two classes; `groups` gives the size of each class's groups."""
    rows: dict[str, list[object]] = {"label": [], "file": [], "group": []}
    group = first
    for label, sizes in groups.items():
        for size in sizes:
            for _ in range(size):
                rows["file"].append(f"{label}/{first + len(rows['file'])}.png")
                rows["label"].append(LABELS.index(label))
                rows["group"].append(group)
            group += 1
    return Dataset.from_dict(rows, features=FEATURES)


def halves(groups: dict[str, list[int]]) -> DatasetDict:
    return DatasetDict(train=images(groups))


def files(part: Dataset) -> set[str]:
    return set(part["file"][:])


group_sizes = st.lists(st.integers(1, 9), min_size=12, max_size=30)


@settings(max_examples=60, deadline=None)
@given(crazing=group_sizes, pitted=group_sizes, seed=st.integers(0, 99))
@pytest.mark.slow
def test_no_group_is_in_two_parts(crazing: list[int], pitted: list[int], seed: int) -> None:
    whole = halves({"Crazing": crazing, "Pitted": pitted})
    config = DataConfig(test_fraction=0.25, validation_fraction=0.25)
    parts, origins, division = divide(whole, config, seed)
    assert division == "grouped"
    assert "whole groups" in origins["test"]
    groups = [set(parts[name]["group"][:]) for name in ("train", "validation", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == len(crazing) + len(pitted)
    everything = [file for part in parts.values() for file in part["file"]]
    assert sorted(everything) == sorted(whole["train"]["file"][:])
    # A part can miss its size by no more than a group or so of each class.
    for label, sizes in enumerate((crazing, pitted)):
        tested = parts["test"]["label"][:].count(label)
        assert abs(tested - sum(sizes) / 4) <= 2 * max(sizes)
    again, _, _ = divide(whole, config, seed)
    assert all(files(again[name]) == files(part) for name, part in parts.items())


def test_another_seed_gives_another_grouped_split() -> None:
    whole = halves({"Crazing": [2] * 40, "Pitted": [3] * 40})
    tests = {frozenset(divide(whole, DataConfig(), seed)[0]["test"]["file"]) for seed in range(5)}
    assert len(tests) == 5


def test_a_group_too_large_for_the_test_part_stays_in_training() -> None:
    whole = halves({"Crazing": [60] + [1] * 40, "Pitted": [1] * 100})
    parts, _, _ = divide(whole, DataConfig(), 0)
    assert 0 in parts["train"]["group"]
    assert Counter(parts["test"]["label"][:])[1] == 20


def test_a_class_of_one_surface_is_refused() -> None:
    whole = halves({"Crazing": [50], "Pitted": [5] * 10})
    with pytest.raises(DataError, match=r"Crazing: 50 images of 1 separate piece of .* \(add 1\)"):
        divide(whole, DataConfig(), 0)


def test_random_split_does_not_look_at_groups() -> None:
    whole = halves({"Crazing": [10] * 10, "Pitted": [10] * 10})
    parts, origins, division = divide(whole, DataConfig(random_split=True), 0)
    assert division == "random"
    assert "at random (seed 0)" in origins["test"]
    assert set(parts["train"]["group"][:]) & set(parts["test"]["group"][:])
    assert Counter(parts["test"]["label"][:]) == {0: 20, 1: 20}


def test_a_small_share_of_small_classes_holds_an_image_of_each() -> None:
    # A tenth of 6 × 6 images is 4 rounded up: fewer than there are classes.
    rows = {
        "label": [*range(6)] * 6,
        "file": [f"{i}.png" for i in range(36)],
        "group": [*range(36)],
    }
    features = FEATURES.copy()
    features["label"] = ClassLabel(names=list("ABCDEF"))
    whole = DatasetDict(train=Dataset.from_dict(rows, features=features))
    parts, _, _ = divide(whole, DataConfig(test_fraction=1 / 3, validation_fraction=0.15), 0)
    assert sorted(parts["validation"]["label"][:]) == [0, 1, 2, 3, 4, 5]


def test_given_parts_stay_unless_regrouped() -> None:
    given_parts = DatasetDict(
        train=images({"Crazing": [2] * 20, "Pitted": [2] * 20}),
        test=images({"Crazing": [2] * 5, "Pitted": [2] * 5}, first=1000),
    )
    parts, origins, division = divide(given_parts, DataConfig(), 0)
    assert division == "given"
    assert origins["test"] == "as in the data"
    assert files(parts["test"]) == files(given_parts["test"])
    parts, origins, division = divide(given_parts, DataConfig(resplit=True), 0)
    assert division == "grouped"
    assert Counter(parts["test"]["label"][:]) == {0: 10, 1: 10}
    assert files(parts["test"]) & files(given_parts["train"])


@settings(max_examples=30, deadline=None)
@given(crazing=group_sizes, pitted=group_sizes, folds=st.integers(2, 5))
@pytest.mark.slow
def test_each_image_is_tested_once_and_no_group_twice(
    crazing: list[int], pitted: list[int], folds: int
) -> None:
    whole = halves({"Crazing": crazing, "Pitted": pitted})
    config = DataConfig(folds=folds, validation_fraction=0.25)
    divided = divide_into_folds(whole, config, 0)
    assert len(divided) == folds
    tested = [file for parts, _, _ in divided for file in parts["test"]["file"]]
    assert sorted(tested) == sorted(whole["train"]["file"][:])
    for parts, _, division in divided:
        assert division == "grouped"
        groups = [set(parts[name]["group"][:]) for name in ("train", "validation", "test")]
        assert sum(map(len, groups)) == len(set.union(*groups))
        assert sum(len(part) for part in parts.values()) == len(whole["train"])


def test_random_folds_are_stratified() -> None:
    whole = halves({"Crazing": [10] * 5, "Pitted": [10] * 10})
    for parts, _, division in divide_into_folds(whole, DataConfig(folds=5, random_split=True), 0):
        assert division == "random"
        assert Counter(parts["test"]["label"][:]) == {0: 10, 1: 20}


def test_too_many_folds_are_refused_with_the_number_that_works() -> None:
    whole = halves({"Crazing": [5, 5, 5], "Pitted": [1] * 50})
    with pytest.raises(DataError, match=r"at least 4 .*\n.*3 separate pieces(.|\n)*--folds 3"):
        divide_into_folds(whole, DataConfig(folds=4), 0)
    assert len(divide_into_folds(whole, DataConfig(folds=3), 0)) == 3


def test_a_split_can_be_given_back(tmp_path: Path) -> None:
    whole = halves({"Crazing": [3] * 20, "Pitted": [1] * 60})
    parts, _, _ = divide(whole, DataConfig(), 7)
    write_split(parts, tmp_path)
    head, first, *_ = (tmp_path / "split.csv").read_text().splitlines()
    assert head == "file,label,group,split"
    assert first.endswith(",train")
    config = DataConfig(split_file=tmp_path / "split.csv")
    back, origins, division = divide(whole, config, 0)
    assert division == "file"
    assert origins["test"] == "as split.csv says"
    assert all(files(back[name]) == files(part) for name, part in parts.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,split\n", "needs a first line that names the columns file and split"),
        ("file,split\na.png,training\n", "names the split training; known are train, validation"),
        ("file,split\nCrazing/0.png,train\n", "59 files are images that .* does not name"),
        ("file,split\nother.png,test\n{all}", "1 files are in .* not among the images: other.png"),
        ("file,split\n{all}", "has no image in the test split"),
        ("file,split\n\xff\n", "is no CSV text"),
        (None, "can't be read: No such file"),
    ],
)
def test_a_split_file_that_does_not_fit_is_reported(
    tmp_path: Path, text: str | None, message: str
) -> None:
    whole = halves({"Crazing": [1] * 30, "Pitted": [1] * 30})
    file = tmp_path / "split.csv"
    if text is not None:
        everything = "".join(f"{name},train\n" for name in whole["train"]["file"][:])
        file.write_bytes(text.replace("{all}", everything).encode("latin-1"))
    with pytest.raises(DataError, match=message):
        divide(whole, DataConfig(split_file=file), 0)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_each_class_of_a_split_file_is_trained_and_tested(tmp_path: Path, missing: str) -> None:
    whole = halves({"Crazing": [1] * 30, "Pitted": [1] * 30})
    rows = ["file,split"]
    for number, name in enumerate(whole["train"]["file"]):
        split = ("train", "validation", "test")[number % 3]
        given = name.startswith("Crazing") or split != missing
        rows.append(f"{name},{split if given else 'validation'}")
    file = tmp_path / "split.csv"
    file.write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=f"The class Pitted has no image in the {missing} split"):
        divide(whole, DataConfig(split_file=file), 0)
