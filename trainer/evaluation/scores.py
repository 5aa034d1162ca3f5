"""Scores of the test split, by the `evaluate` modules in `metrics/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import datasets
import evaluate
import numpy as np
from sklearn.metrics import confusion_matrix, roc_curve

from model_card.metrics import METRICS
from model_card.schema.base import Score
from model_card.schema.run.test_result import (
    ClassResult,
    Mistake,
    RocCurve,
    Scores,
    SourceResult,
    TestResult,
)
from space.inference.predictor import Prediction
from trainer.data.collection import source_names
from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.text.spreadsheet import write_table

METRICS_DIR = Path(__file__).parent / "metrics"
PREDICTIONS_FILE = "predictions.csv"


def score(
    split: datasets.Dataset,
    predictions: Sequence[Prediction],
    images_per_second: float,
    engine: str | None = None,
) -> TestResult:
    """Compute all scores of the report.

    Args:
        split: the test images, with the column `group` (see `trainer.data.splits.dataset`).
        predictions: in the same order.
        images_per_second: of the test.
        engine: name of what ran the network in it; None if the folds differ.
    """
    labels: list[str] = split.features["label"].names
    truth = np.asarray(split["label"][:])
    probabilities = np.asarray([[p.probabilities[name] for name in labels] for p in predictions])
    predicted = probabilities.argmax(axis=1)
    overall, by_class = _scores(truth, probabilities, split["group"][:])
    confusion = confusion_matrix(truth, predicted, labels=range(len(labels)))
    classes = []
    for index, name in enumerate(labels):
        false_rate, true_rate, _ = roc_curve(truth == index, probabilities[:, index])
        classes.append(
            ClassResult(
                label=name,
                images=int(confusion[index].sum()),
                predicted=int(confusion[:, index].sum()),
                scores=by_class[index],
                roc=RocCurve(
                    false_positive_rate=false_rate.tolist(), true_positive_rate=true_rate.tolist()
                ),
            )
        )
    return TestResult(
        images=len(truth),
        scores=overall,
        classes=classes,
        confusion=confusion.tolist(),
        mistakes=_mistakes(split["file"][:], [labels[t] for t in truth], predictions),
        images_per_second=images_per_second,
        engine=engine,
        sources=_by_source(split, predicted == truth),
    )


def _by_source(split: datasets.Dataset, right: np.ndarray) -> list[SourceResult]:
    """Return the accuracy on each source; none if there is only one."""
    names, groups = np.asarray(source_names(split)), np.asarray(split["group"][:])
    found = sorted(set(names.tolist()))
    return [
        SourceResult(
            source=name,
            images=int((names == name).sum()),
            accuracy=grouped_proportion(right[names == name], groups[names == name].tolist()),
        )
        for name in (found if len(found) > 1 else [])
    ]


def _scores(
    truth: np.ndarray, probabilities: np.ndarray, groups: Sequence[int]
) -> tuple[Scores, list[Scores]]:
    """Run the project's `evaluate` module; return the scores of all classes and of each class."""
    computed = evaluate.load(str(METRICS_DIR)).compute(
        predictions=probabilities, references=truth, groups=list(groups)
    )
    by_class = {name: computed[name].pop("by_class") for name in METRICS}
    return (
        {name: Score(**computed[name]) for name in METRICS},
        [
            {name: Score(**by_class[name][index]) for name in METRICS}
            for index in range(probabilities.shape[1])
        ],
    )


def _mistakes(
    files: list[str], truth: list[str], predictions: Sequence[Prediction]
) -> list[Mistake]:
    found = [
        Mistake(file=file, label=label, prediction=p.label, confidence=p.confidence)
        for file, label, p in zip(files, truth, predictions, strict=True)
        if p.label != label
    ]
    return sorted(found, key=lambda mistake: -mistake.confidence)


def write_predictions(
    split: datasets.Dataset, predictions: Sequence[Prediction], folder: Path
) -> None:
    """Write `predictions.csv`: one row per image, with the probability of each class."""
    names: list[str] = split.features["label"].names
    rows = [["file", "label", "prediction", "confidence", *names]]
    for file, label, p in zip(split["file"][:], split["label"][:], predictions, strict=True):
        probabilities = [f"{p.probabilities[name]:.6f}" for name in names]
        rows.append([file, names[label], p.label, f"{p.confidence:.6f}", *probabilities])
    write_table(folder / PREDICTIONS_FILE, rows)
