"""Which test images a published folder offers to try."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Literal, cast

import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageColumn
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from space.decision import Prediction
from trainer.describe import choose_examples, write_examples
from trainer.images import Images

LABELS = ["Dent", "Rust", "Scale"]
Verdict = Literal["class", "unsure", "unknown"]


def _prediction(label: int, verdict: Verdict) -> Prediction:
    return Prediction(
        {name: 0.8 if n == label else 0.1 for n, name in enumerate(LABELS)}, verdict=verdict
    )


# (true class, predicted class, verdict) of each test image.
Rows = list[tuple[int, int, Verdict]]


def _choose(rows: Rows) -> list[int]:
    return choose_examples(
        [true for true, _, _ in rows], LABELS, [_prediction(named, v) for _, named, v in rows]
    )


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        # Dent: a mistake and an unsure image come first. Rust: half of its images are unsure.
        (
            [
                *((0, 1, "class"), (0, 0, "unsure"), (0, 0, "class"), (0, 0, "class")),
                *((1, 1, "class"), (1, 1, "unsure")),
                *((2, 2, "class"), (2, 2, "class")),
            ],
            [2, 5, 6],
        ),
        # Of Scale, the first is refused, the second unsure and wrong, the fourth unsure and right.
        (
            [
                *((0, 0, "class"), (1, 1, "class")),
                *((2, 2, "unknown"), (2, 0, "unsure"), (2, 2, "class"), (2, 2, "unsure")),
            ],
            [0, 1, 5],
        ),
        # Only a refused image shows that the model can refuse.
        ([(0, 0, "class"), (1, 1, "class"), (2, 2, "class"), (2, 2, "unknown")], [0, 1, 3]),
        # Nothing is left to a person: the first of each.
        ([(0, 0, "class"), (0, 0, "class"), (1, 1, "class"), (2, 2, "class")], [0, 2, 3]),
        # No image of Rust will do.
        ([(0, 0, "unsure"), (1, 0, "class"), (1, 2, "class"), (2, 2, "class")], [0, 1, 3]),
    ],
)
def test_examples_are_correct_but_for_one_on_purpose(rows: Rows, chosen: list[int]) -> None:
    assert _choose(rows) == chosen


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(0, 2), st.sampled_from(["class", "unsure", "unknown"])
        ),
        max_size=30,
    )
)
def test_there_is_one_example_of_each_class(rows: Rows) -> None:
    rows += [(0, 0, "class"), (1, 1, "class"), (2, 2, "class")]
    chosen = _choose(rows)
    assert [rows[row][0] for row in chosen] == [0, 1, 2]
    left = [rows[row][2] != "class" for row in chosen]
    assert sum(left) == any(verdict != "class" for _, _, verdict in rows)
    assert all(
        rows[row][0] == rows[row][1] for row, person in zip(chosen, left, strict=True) if not person
    )


def test_the_chosen_images_are_written_under_the_names_of_their_classes(tmp_path: Path) -> None:
    """Each of the images has a gray level of its own."""
    rows: Rows = [(0, 1, "class"), (1, 1, "class"), (0, 0, "class"), (2, 2, "unsure")]
    files = []
    for level in (10, 60, 110, 160):
        files.append(str(tmp_path / f"{level}.png"))
        Image.new("L", (8, 8), level).save(files[-1])
    labels = ["Dent", "Rust/scale", "Scale"]
    test = Dataset.from_dict(
        {"image": files, "label": [true for true, _, _ in rows]},
        features=Features({"image": ImageColumn(decode=False), "label": ClassLabel(names=labels)}),
    )
    images = cast(Images, SimpleNamespace(parts={"test": test}, labels=labels))
    predictions = [
        Prediction(
            {label: 0.8 if index == named else 0.1 for index, label in enumerate(labels)},
            verdict=verdict,
        )
        for _, named, verdict in rows
    ]
    write_examples(images, predictions, tmp_path)
    written = {
        file.name: Image.open(file).convert("L").getpixel((0, 0))
        for file in (tmp_path / "examples").iterdir()
    }
    assert written == {"Dent.png": 110, "Rust_scale.png": 60, "Scale.png": 160}
