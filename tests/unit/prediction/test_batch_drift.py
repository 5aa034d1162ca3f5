"""The comparison of a batch with a baseline, in sentences, as predict.py prints it."""

from __future__ import annotations

import numpy as np

from space.inference.drift.baseline import Baseline
from tests.unit.prediction.test_rows import BAD
from tests.unit.space.test_drift import IMAGES, picture
from trainer.prediction.drift.batch import NOT_LOOKED, BatchDrift
from trainer.prediction.row import Row

BASELINE = Baseline.model_validate(
    {
        "labels": ["A", "B"],
        "predicted": [0] * 4,
        "confidence": [0.9] * 4,
        "novelty": [0.25] * 4,
        "verdicts": {"class": 3, "unsure": 1},
        "images": IMAGES,
    }
)


def answer(path: str, verdict: str) -> Row:
    return Row(path, label="A", confidence=0.8, verdict=verdict, novelty=0.5)


def test_a_batch_is_described_by_shares_and_medians() -> None:
    drift = BatchDrift(BASELINE, "the test images of the model")
    drift.add([answer("1", "class"), BAD, answer("2", "unknown")])
    lines = [line.replace("\u00a0", " ") for line in drift.sentences()]
    assert lines[0].startswith(
        "Drift not found: 2 images compared with the test images of the model (4 images), p = "
    )
    assert lines[1:] == [
        "Accepted 50.0 % (baseline 75.0 %), unsure 0 % (baseline 25.0 %), "
        "unknown surface 50.0 % (baseline 0 %).",
        "Median confidence 0.80 (baseline 0.90), median novelty 0.50 (baseline 0.25).",
        NOT_LOOKED,
    ]


def test_without_an_answer_nothing_is_compared() -> None:
    drift = BatchDrift(BASELINE, "x")
    drift.add([BAD])
    assert drift.sentences() == ("Drift: no image could be compared.",)


def test_statistics_are_kept_until_the_answer_alone() -> None:
    """A folder has a million images; threads measure them ahead, in any order."""
    drift = BatchDrift(BASELINE, "x")
    for name in ("2", "1", "3"):
        drift.examine(name, picture(int(name), 40))
    assert drift._statistics.keys() == {"1", "2", "3"}
    drift.add([answer("1", "class"), answer("2", "class")])
    assert drift._statistics.keys() == {"3"}
    assert np.isfinite(drift._comparison._sum).all()
    assert drift._comparison._measured == 2
