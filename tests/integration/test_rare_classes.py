"""A class of two images is trained and tested; the card says that it was not validated."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_card.schema.report import Report
from tests.support.small_run import small_config
from trainer.run import train


def test_a_class_of_two_images_is_carried_to_the_card(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    for name, count, level in (("Good", 14, 60), ("Hole", 13, 200), ("Rare", 2, 120)):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(rng.normal(level, 30, (32, 32)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    caplog.set_level("INFO", logger="trainer")
    published = train(small_config(tmp_path / "data", tmp_path / "run", epochs=2))
    [warned] = [r.getMessage() for r in caplog.records if "validation image" in r.getMessage()]
    assert warned.startswith("No validation image is left for Rare:")
    with (tmp_path / "run" / "split.csv").open(newline="") as opened:
        rows = [(row["label"], row["split"]) for row in csv.DictReader(opened)]
    assert Counter(part for label, part in rows if label == "Rare") == {"train": 1, "test": 1}
    report = Report.read(published)
    assert {result.label: result.images for result in report.test.classes}["Rare"] == 1
    card = (published / "README.md").read_text(encoding="utf-8")
    assert "Rare had too few images for validation: neither the choice of the epoch" in card
