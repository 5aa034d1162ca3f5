"""What a report says of the images: splits, sources, sizes, shared surfaces, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from space.inference.core.decision import Prediction
from tests.unit.inspection.test_pictures import pair
from trainer.data.collection import SourceRecord
from trainer.data.splits.dataset import Images
from trainer.data.splits.overlap_groups import SharedSurface, Surfaces
from trainer.data.voc_boxes import BoxFolders
from trainer.publishing.report.data import data_facts, unseen_test

FEATURES = Features(
    {
        "file": Value("string"),
        "label": ClassLabel(names=["A", "B"]),
        "group": Value("int64"),
        "size_px": List(Value("int64")),
        "source": Value("string"),
        "bit_depth": Value("int64"),
    }
)
# By split: file, class, group, (width, height), source.
ROWS: dict[str, list[tuple[str, int, int, tuple[int, int], str]]] = {
    "train": [
        ("1", 0, 0, (100, 100), "mill"),
        ("2", 1, 0, (90, 200), "mill"),
        ("3", 1, 1, (100, 100), "lab"),
        ("4", 0, 2, (100, 100), "lab"),
        ("5", 0, 3, (300, 20), "lab"),
        ("11", 0, 1, (100, 100), "mill"),
    ],
    "validation": [("6", 0, 1, (100, 100), "mill"), ("7", 1, 4, (100, 100), "mill")],
    "test": [
        ("8", 0, 2, (100, 100), "mill"),
        ("9", 1, 5, (100, 100), "lab"),
        ("10", 0, 6, (100, 100), "lab"),
    ],
}
GROUPS = {row[0]: row[2] for rows in ROWS.values() for row in rows}


def between(one: str, other: str, turn: int, **more: Any) -> SharedSurface:
    return pair(one, other, turn, 0, 9).model_copy(update=more)


PAIRS = [
    between("1", "2", 1, label_b="B"),
    between("3", "6", 0),
    between("6", "11", 0),
    between("4", "8", 5),
    # Of an image that --train-on leaves out.
    between("8", "left out", 2),
]


@pytest.fixture
def images() -> Images:
    splits = DatasetDict()
    for name, rows in ROWS.items():
        files, labels, groups, sizes, sources = zip(*rows, strict=True)
        columns: dict[str, Any] = {
            "file": files,
            "label": labels,
            "group": groups,
            "size_px": sizes,
        }
        columns |= {"source": sources, "bit_depth": [8] * len(rows)}
        splits[name] = Dataset.from_dict({k: list(v) for k, v in columns.items()}, FEATURES)
    return Images(
        splits=splits,
        origins={name: f"how {name} was made" for name in splits},
        division="grouped",
        surfaces=Surfaces(PAIRS, GROUPS | {"left out": 2}),
        contents={file: f"{int(file):012x}ffff" for file in GROUPS},
        source="mill, lab",
        kind="folder",
        origin="Two folders.",
        skipped=[],
        boxes=BoxFolders(),
        sources=[
            SourceRecord("mill", "folder", ["A", "B"], {"C": 4}),
            SourceRecord("lab", "hub", ["A", "B"], revision="abc"),
        ],
        unshared={"D": 2},
    )


def test_splits_sources_and_sizes(images: Images) -> None:
    facts = data_facts(images, seed=3, streamed_images=None, images_shared=False)
    assert [(s.name, s.images, s.images_by_class, s.origin) for s in facts.splits] == [
        ("train", 6, {"A": 4, "B": 2}, "how train was made"),
        ("validation", 2, {"A": 1, "B": 1}, "how validation was made"),
        ("test", 3, {"A": 2, "B": 1}, "how test was made"),
    ]
    assert facts.splits[2].fingerprints == [8, 9, 10]
    # By their area, not by their width.
    assert (facts.smallest_px, facts.largest_px) == ((300, 20), (90, 200))
    assert [(s.name, s.kind, s.revision, s.images, s.left_out) for s in facts.sources] == [
        ("mill", "folder", None, {"train": 3, "validation": 2, "test": 1}, {"C": 4}),
        ("lab", "hub", "abc", {"train": 3, "validation": 0, "test": 2}, {}),
    ]
    assert (facts.seed, facts.division, facts.unshared) == (3, "grouped", {"D": 2})
    assert (facts.images_shared, facts.bit_depth) == (False, 8)


def test_shared_surfaces_and_leaks(images: Images) -> None:
    facts = data_facts(images, seed=3, streamed_images=None, images_shared=False).surfaces
    assert facts is not None
    assert (facts.images, facts.pairs, facts.turned_pairs) == (11, 4, 2)
    assert facts.pairs_across_classes == 1
    # Two groups of two, one of three, four of one.
    assert (facts.sharing_images, facts.groups, facts.largest_group) == (7, 7, 3)
    leaks = [(leak.split, leak.seen_in, leak.images, leak.of) for leak in facts.leakage]
    assert leaks == [
        # Two training images overlap it.
        ("validation", "training", 1, 2),
        ("test", "training or validation", 1, 3),
    ]


def test_images_that_do_not_leak_are_scored_by_themselves(images: Images) -> None:
    """The image 8 leaks; of the others, 9 is right and 10 is wrong."""
    answers = [Prediction({label: 1.0}, verdict="class") for label in ("A", "B", "B")]
    found = unseen_test(images, answers)
    assert found is not None
    assert (found.images, found.accuracy.value) == (2, 0.5)
    whole = Images(**{**vars(images), "surfaces": Surfaces([], GROUPS)})
    assert unseen_test(whole, answers) is None
