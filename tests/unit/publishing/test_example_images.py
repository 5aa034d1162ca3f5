"""Which test images a published folder offers to try."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, cast

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageColumn
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from space import model_report
from space.inference.core.decision import Prediction
from trainer.config.groups import ModelConfig, RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.data.splits.dataset import Images
from trainer.publishing.report import writing
from trainer.publishing.report.example_images import MAX_EXAMPLES, choose_examples, write_examples
from trainer.publishing.report.image_figures import AUGMENTED

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


@settings(max_examples=20, deadline=None)
@given(classes=st.integers(13, 200), data=st.data())
def test_examples_of_many_classes_are_few_and_spread(classes: int, data: st.DataObject) -> None:
    hardest = data.draw(st.integers(0, classes - 1))
    labels = [f"{number:03}" for number in range(classes)]
    predictions = [
        Prediction({label: 1.0}, verdict="unsure" if number == hardest else "class")
        for number, label in enumerate(labels)
    ]
    chosen = choose_examples(range(classes), labels, predictions)
    assert len(chosen) == MAX_EXAMPLES == model_report.MAX_EXAMPLES
    assert chosen == sorted(chosen)
    assert hardest in chosen
    step = (classes - 1) / (MAX_EXAMPLES - 1)
    assert max(b - a for a, b in pairwise(chosen)) <= 2 * step + 1


def write_one_of_each(labels: list[str], folder: Path) -> dict[str, int]:
    """Write examples of classes whose images have gray levels of their own; return these."""
    files = []
    for level in range(len(labels)):
        files.append(str(folder / f"{level}.png"))
        Image.new("L", (8, 8), level).save(files[-1])
    test = Dataset.from_dict(
        {"image": files, "label": list(range(len(labels)))},
        features=Features({"image": ImageColumn(decode=False), "label": ClassLabel(names=labels)}),
    )
    images = cast(Images, SimpleNamespace(splits={"test": test}, labels=labels))
    write_examples(images, [Prediction({label: 1.0}, verdict="class") for label in labels], folder)
    return {
        file.stem: cast(int, Image.open(file).convert("L").getpixel((0, 0)))
        for file in (folder / "examples").iterdir()
    }


def test_classes_whose_names_read_alike_as_files_keep_their_examples(tmp_path: Path) -> None:
    labels = ["Rust/scale", "Rust:scale", "rust_scale", "Rust_scale_2"]
    assert write_one_of_each(labels, tmp_path) == {
        "Rust_scale": 0,
        "Rust_scale_2": 1,
        "rust_scale_3": 2,
        "Rust_scale_2_2": 3,
    }


def test_the_longest_names_of_classes_are_cut(tmp_path: Path) -> None:
    labels = ["é" * 127, "é" * 126 + "e", "x"]
    assert write_one_of_each(labels, tmp_path) == {"é" * 100: 0, "é" * 100 + "_2": 1, "x": 2}


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
    images = cast(Images, SimpleNamespace(splits={"test": test}, labels=labels))
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


@pytest.mark.parametrize("brightness", [0.0, 0.2])
def test_the_augmentation_figure_shows_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brightness: float
) -> None:
    """A recipe that leaves images alone, and one that makes them brighter or darker."""
    pixels = np.random.default_rng(0).integers(60, 200, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    train = Dataset.from_dict(
        {"image": [str(tmp_path / "a.png")]}, features=Features(image=ImageColumn(decode=False))
    )
    recipe = RecipeConfig(rotation=0, shear=0, translation=0, flip=False, brightness=brightness)
    data_config = {"input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 1.0}
    data_config |= {"crop_mode": "squash", "mean": (0.5,) * 3, "std": (0.2,) * 3}
    finished = SimpleNamespace(
        config=SimpleNamespace(model=ModelConfig(image_size=32), recipe=recipe, run=RunConfig()),
        images=SimpleNamespace(splits={"train": train}),
        backbone=SimpleNamespace(data_config=data_config),
        checks=SimpleNamespace(explained=[]),
        evaluation=SimpleNamespace(predictions=[]),
    )
    shown: list[Image.Image] = []
    monkeypatch.setattr(writing, "draw_samples", lambda *_: None)
    monkeypatch.setattr(writing, "draw_classes", lambda *_: None)
    monkeypatch.setattr(
        "trainer.publishing.report.image_figures.results.write_augmentations",
        lambda original, changed, _: shown.extend([original, *changed]),
    )
    writing._image_figures(cast(writing.FinishedRun, finished), tmp_path)
    levels = np.asarray([np.asarray(image, dtype=int) for image in shown])
    assert len(levels) == 1 + AUGMENTED
    change = np.abs(levels[1:] - levels[0]).max(axis=(1, 2, 3))
    assert (change > 1).all() if brightness else (change <= 1).all()
    # Two draws may round to the same levels.
    variants = {image.tobytes() for image in levels[1:]}
    assert len(variants) > AUGMENTED / 2 if brightness else len(variants) == 1
