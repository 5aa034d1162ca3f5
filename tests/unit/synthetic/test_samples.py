"""The drawn sample images: the same everywhere, all different, and laid out as a data folder."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainer.errors import ConfigError
from trainer.synthetic.samples import CLASSES, SIZE_PX, draw_image, write_samples

EXAMPLES = Path(__file__).parents[3] / "space" / "examples"
# To draw them again: draw_image(label, EXAMPLE_SEEDS[label]).save(EXAMPLES / f"{label}.png")
EXAMPLE_SEEDS = {
    "Crazing": 2010,
    "Inclusion": 2003,
    "Patches": 2011,
    "Pitted": 2014,
    "Rolled": 2013,
    "Scratches": 2010,
}
GOLDEN_SHA256 = "65870a6e42fcb8aa0e9826ad8b2bf449b2d1d7815c87e6e6543291352334f029"


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainer.synthetic.samples", *arguments],
        cwd=EXAMPLES.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )


def digest(images: Iterable[Image.Image]) -> str:
    return hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest()


def test_the_six_classes() -> None:
    assert CLASSES == ("Crazing", "Inclusion", "Patches", "Pitted", "Rolled", "Scratches")


@pytest.mark.slow
def test_pixels_are_those_of_every_other_machine() -> None:
    images = [draw_image(label, seed) for label in CLASSES for seed in range(3)]
    assert digest(images) == GOLDEN_SHA256


@settings(max_examples=30, deadline=None)
@given(label=st.sampled_from(CLASSES), seed=st.integers(min_value=0, max_value=2**80))
@pytest.mark.slow
def test_any_seed_gives_a_picture_with_something_on_it(label: str, seed: int) -> None:
    image = draw_image(label, seed)
    assert image.mode == "L"
    assert image.size == (SIZE_PX, SIZE_PX) == (200, 200)
    pixels = np.asarray(image, dtype=np.float64)
    assert 20 < pixels.mean() < 254
    assert pixels.std() > 2
    assert len(np.unique(pixels)) >= 16
    assert image.tobytes() == draw_image(label, seed).tobytes()


@pytest.mark.slow
def test_labels_and_seeds_all_differ() -> None:
    seeds = [0, 1, 2, 100_000, 2**32, 2**32 + 1]
    pictures = {draw_image(label, seed).tobytes() for label in CLASSES for seed in seeds}
    assert len(pictures) == len(CLASSES) * len(seeds)


@pytest.mark.slow
def test_brightness_and_contrast_alone_do_not_separate_the_classes() -> None:
    # Half of the images stand for their classes, the nearest five classify the other half.
    features, labels = [], []
    for index, label in enumerate(CLASSES):
        for seed in range(40):
            pixels = np.asarray(draw_image(label, seed), dtype=np.float64)
            features.append((pixels.mean(), pixels.std()))
            labels.append(index)
    points = np.array(features) / np.std(features, axis=0)
    truth = np.array(labels)
    known, queries = slice(0, None, 2), slice(1, None, 2)
    distances = np.linalg.norm(points[queries, None] - points[None, known], axis=2)
    votes = truth[known][np.argsort(distances, axis=1)[:, :5]]
    guesses = np.array([np.bincount(row).argmax() for row in votes])
    accuracy = np.mean(guesses == truth[queries])
    assert 1 / len(CLASSES) < accuracy < 0.75


@pytest.mark.parametrize("label", ["crazing", "Crack", ""])
def test_unknown_label_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="known are Crazing, Inclusion, Patches"):
        draw_image(label, 0)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        draw_image("Crazing", -1)


@pytest.mark.slow
def test_folder_layout_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "samples"
    write_samples(folder, train_per_class=2, test_per_class=1)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert files == sorted(
        f"{part}/{label}/{label.lower()}_{number:04d}.png"
        for part, count in (("train", 2), ("test", 1))
        for label in CLASSES
        for number in range(1, count + 1)
    )
    for file in files:
        with Image.open(folder / file) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (200, 200))
    with Image.open(folder / "train" / "Rolled" / "rolled_0001.png") as image:
        assert image.tobytes() == draw_image("Rolled", 0).tobytes()


@pytest.mark.slow
def test_no_image_is_written_twice_not_even_under_another_seed(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_samples(tmp_path / str(seed), train_per_class=2, test_per_class=2, seed=seed)
    contents = {path.read_bytes() for path in tmp_path.rglob("*.png")}
    assert len(contents) == 2 * 2 * 2 * len(CLASSES)


@pytest.mark.parametrize(
    ("train", "test", "seed", "message"),
    [
        (0, 1, 0, "--train-per-class is 0; give a number from 1 to 100000"),
        (1, -3, 0, "--test-per-class is -3"),
        (100_001, 1, 0, "--train-per-class is 100001"),
        (1, 1, -1, "--seed is -1"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, train: int, test: int, seed: int, message: str
) -> None:
    folder = tmp_path / "samples"
    with pytest.raises(ConfigError, match=message):
        write_samples(folder, train_per_class=train, test_per_class=test, seed=seed)
    assert not folder.exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty"):
        write_samples(tmp_path, train_per_class=1, test_per_class=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "samples"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"can't be written to .*samples: File exists"):
        write_samples(file, train_per_class=1, test_per_class=1)


@pytest.mark.slow
def test_command_writes_the_folder_and_refuses_to_write_it_again(tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    arguments = ["--output-dir", str(folder), "--train-per-class", "1", "--test-per-class", "1"]
    first = run_module(*arguments)
    assert (first.returncode, first.stdout) == (0, "")
    assert f"6 classes × 1 training and 1 test images into {folder}" in first.stderr
    assert len(list(folder.rglob("*.png"))) == 12
    again = run_module(*arguments)
    assert (again.returncode, again.stdout) == (2, "")
    assert (
        again.stderr == f"{folder} is not empty; name a new folder or remove its content first.\n"
    )


@pytest.mark.parametrize("label", CLASSES)
def test_example_of_the_demo_is_drawn(label: str) -> None:
    path = EXAMPLES / f"{label}.png"
    assert path.stat().st_size < 60_000
    with Image.open(path) as image:
        assert image.tobytes() == draw_image(label, EXAMPLE_SEEDS[label]).tobytes()


def test_there_is_one_example_a_class() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {f"{label}.png" for label in CLASSES}
