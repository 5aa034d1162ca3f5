"""How long a run will still take, by hand."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import pytest

from trainer.fitting import time_left
from trainer.fitting.time_left import TimeLeft, Workload, advice

CONVNEXT_BASE = 88_000_000


WORK = Workload(train_images=100, validation_images=20, tested_images=50, side_px=224)


def _left(**changes: Any) -> TimeLeft:
    sizes = {each.name for each in fields(Workload)} & changes.keys()
    work = replace(WORK, **{name: changes.pop(name) for name in sizes})
    return replace(TimeLeft(work, epochs=10), **changes)


def test_nothing_is_said_before_a_step_was_timed() -> None:
    left = _left()
    left.start_epoch(0)
    assert left.run_s is None
    left.step(16, now_s=5.0)
    assert left.run_s is None, "the first step warms up"


def test_the_first_steps_give_a_first_estimate() -> None:
    left = _left()
    left.start_epoch(0)
    # The first step took 5 s, the next two 3 s each: 6 s for 30 images, 0.2 s an image.
    for now_s, images in ((5.0, 10), (8.0, 15), (11.0, 15)):
        left.step(images, now_s)
    # A look takes a third: 1/15 s. An epoch: 100 × 0.2 + 20 / 15; done: 40 images; tests: 50 / 15.
    assert left.run_s == pytest.approx(10 * (20 + 20 / 15) - 40 * 0.2 + 50 / 15)
    assert not left.certain
    left.step(15, 14.5)
    assert not left.certain, "9.5 s are not long enough"
    left.step(15, 15.5)
    assert left.certain


def test_measured_epochs_replace_it_and_old_ones_are_forgotten() -> None:
    left = _left()
    for epoch, train_s in enumerate((1000.0, 30.0, 40.0, 50.0)):
        left.start_epoch(epoch)
        left.end_epoch(train_s, validation_s=4.0)
    # The last three: 0.4 s an image, 0.2 s a look; six epochs are left.
    assert left.run_s == pytest.approx(6 * (40 + 4) + 50 * 0.2)
    left.start_epoch(4, images_done=30)
    left.step(20, now_s=0.0)
    assert left.run_s == pytest.approx(6 * (40 + 4) + 50 * 0.2 - 50 * 0.4)


def test_further_trainings_and_known_test_speed_count() -> None:
    left = _left(trainings_after=2, test_image_s=3.0)
    left.start_epoch(0)
    left.end_epoch(train_s=10.0, validation_s=2.0)
    # A training takes 10 × 12 s, its tests 150 s; of the first, one epoch is done.
    assert left.run_s == pytest.approx(9 * 12 + 150 + 2 * (120 + 150))


def test_after_the_last_epoch_the_tests_are_left() -> None:
    left = _left(epochs=1)
    left.start_epoch(0)
    left.end_epoch(10.0, 2.0)
    assert left.run_s == pytest.approx(50 * 0.1)


def _slow(seconds_an_image: float, **changes: Any) -> TimeLeft:
    left = _left(**changes)
    left.start_epoch(0)
    left.end_epoch(100 * seconds_an_image, 20 * seconds_an_image / 3)
    return left


def test_a_short_run_gets_no_advice() -> None:
    assert advice(_slow(1.0), CONVNEXT_BASE) is None


def test_a_long_run_gets_advice_with_numbers() -> None:
    # 9 epochs of 100 × 6 + 20 × 2 = 640 s, and 50 × 2 s of tests: 5,860 s.
    text = advice(_slow(6.0), CONVNEXT_BASE)
    assert text is not None
    assert "about 1 h 37." in text
    # The features: 120 × 2 s, and the tests.
    assert re.search(r"--tune head +about 5:40\n", text)
    assert re.search(r"--image-size 128 +about 31:53\n", text)
    # 5 × 640 + 100 = 3,300 s; with six epochs it would be over an hour.
    assert re.search(r"--epochs 5 +about 55:00\n", text)
    assert re.search(r"--model convnext_atto\.d2_in1k +3\.4 instead of 88 million p\w+$", text)
    assert "GPU" in text
    assert max(map(len, text.splitlines())) <= 80


def test_only_what_helps_is_advised() -> None:
    text = advice(_slow(60.0, epochs=2, side_px=96), 3_000_000)
    assert text is not None
    assert "--image-size" not in text
    assert "--epochs" not in text
    assert "--model" not in text


def test_views_are_passes_of_a_head() -> None:
    # 3 × 100 + 20 passes of 2 s for features, and 50 of the tests.
    text = advice(_slow(6.0, views=2), CONVNEXT_BASE)
    assert text is not None
    assert re.search(r"--tune head +about 12:20\n", text)


def test_advice_counts_each_fold() -> None:
    """Two trainings with their tests: 2 × (120 × 2 + 100) s of a head, or two epochs of each."""
    text = advice(_slow(6.0, trainings_after=1), CONVNEXT_BASE)
    assert text is not None
    assert re.search(r"--tune head +about 11:20\n", text)
    assert re.search(r"--epochs 2 +about 46:00\n", text)


def test_all_passes_of_the_tests_are_counted() -> None:
    images = {"train": 100, "validation": 20, "test": 30}
    # Ten images without corruption, and with 11 kinds of 5 severities.
    assert time_left.tested_images(images, 60, 10) == 60 + 20 + 30 + 10 * (1 + 55)
    assert time_left.tested_images(images, 200, 0) == 100 + 20 + 30
    assert time_left.tested_images(images, 0, 99) == 20 + 30 + 30 * (1 + 55)
