"""A plausible report for tests: invented, but consistent."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from model_card.schema.base import Score
from model_card.schema.report import Export, Figure, Report
from model_card.schema.run.data import Data, SharedSurfaces
from model_card.schema.run.test_result import (
    ClassResult,
    CrossValidation,
    Mistake,
    RocCurve,
    TestResult,
)
from model_card.schema.run.training import Epoch, Machine, Model, Setting, Training
from tests.support.reliability_facts import example_reliability

LABELS = ["Crazing", "Inclusion", "Patches", "Pitted", "Rolled", "Scratches"]
# 48 images of each class; four mistakes.
CONFUSION = [
    [48, 0, 0, 0, 0, 0],
    [0, 47, 0, 0, 0, 1],
    [0, 0, 48, 0, 0, 0],
    [0, 1, 1, 46, 0, 0],
    [0, 0, 0, 0, 48, 0],
    [0, 1, 0, 0, 0, 47],
]


def example_report(
    confusion: Sequence[Sequence[int]] = CONFUSION,
    labels: Sequence[str] = LABELS,
    **changes: object,
) -> Report:
    """Return the report of a confusion matrix; `changes` replace parts (`machine=…`, `data=…`)."""
    parts: dict[str, object] = {
        "model": example_model(labels=list(labels)),
        "data": example_data(confusion, labels),
        "training": example_training(),
        "machine": example_machine(),
        "export": Export(
            compared_images=16, largest_logit_difference=1.9e-6, weights_bytes=13_527_152
        ),
        "test": example_test(confusion, labels),
        "unseen_test": None,
        "cross_validation": None,
        "reliability": example_reliability(labels),
        "figures": example_figures(),
    }
    return Report.model_validate(parts | changes)


def example_model(**changes: object) -> Model:
    """Return a network that started from weights of the Hub."""
    parts: dict[str, object] = {
        "architecture": "convnext_atto",
        "labels": LABELS,
        "parameters": 3_376_870,
        "trained_parameters": 3_376_870,
        "weights_origin": "hub",
        "base_model": "timm/convnext_atto.d2_in1k",
        "weights_file": None,
        "license": "apache-2.0",
        "input_size_px": 224,
        "resize": "squash",
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    }
    return Model.model_validate(parts | changes)


def example_data(
    confusion: Sequence[Sequence[int]] = CONFUSION,
    labels: Sequence[str] = LABELS,
    **changes: object,
) -> Data:
    """Return a folder with 173 and 19 images a class for training and validation."""

    def split(name: str, counts: Sequence[int], origin: str) -> dict[str, object]:
        by_class = dict(zip(labels, counts, strict=True))
        return {"name": name, "images": sum(counts), "images_by_class": by_class, "origin": origin}

    parts: dict[str, object] = {
        "source": "strip-photographs",
        "kind": "folder",
        "origin": "The images come from a folder named strip-photographs.",
        "streamed_images": None,
        "splits": [
            split("train", [173] * len(labels), "what the other two parts left"),
            split("validation", [19] * len(labels), "10 % of each training class, drawn by chance"),
            split("test", [sum(row) for row in confusion], "20 % of each class, drawn by chance"),
        ],
        "seed": 0,
        "division": "grouped",
        "surfaces": example_surfaces(),
        "skipped": [],
        "smallest_px": (200, 200),
        "largest_px": (200, 200),
        "images_shared": False,
    }
    return Data.model_validate(parts | changes)


def example_surfaces(leaking: int = 0, **changes: object) -> SharedSurfaces:
    """Return 451 groups among 1,440 images; `leaking` of 288 test images repeat training."""
    parts: dict[str, object] = {
        "images": 1440,
        "pairs": 2360,
        "turned_pairs": 242,
        "pairs_across_classes": 5,
        "sharing_images": 1205,
        "groups": 451,
        "largest_group": 63,
        "leakage": [
            {"split": "validation", "seen_in": "training", "images": 0, "of": 114},
            {"split": "test", "seen_in": "training or validation", "images": leaking, "of": 288},
        ],
        "random_split_leakage": 0.676,
    }
    return SharedSurfaces.model_validate(parts | changes)


def example_cross_validation() -> CrossValidation:
    """Return two folds that were right on 284 and 280 of 288 images each."""
    folds = [
        {
            "train_images": 260,
            "test_images": 288,
            "best_epoch": epoch,
            "accuracy": wilson(right, 288),
        }
        for epoch, right in ((7, 284), (5, 280))
    ]
    doubled = [[2 * count for count in row] for row in CONFUSION]
    doubled[5][5], doubled[5][0] = doubled[5][5] - 4, 4
    return CrossValidation.model_validate(
        {
            "folds": folds,
            "mean_accuracy": (284 + 280) / 2 / 288,
            "accuracy_deviation": 4 / 288 / sqrt(2),
            "all_images": example_test(doubled),
            "reliability": example_reliability(LABELS),
        }
    )


def example_epochs(count: int = 8, published: int = 7) -> list[Epoch]:
    """Return epochs whose losses fall, the validation loss and rise after the published one."""
    return [
        Epoch(
            epoch=n,
            lr=1e-3 * (1 - (n - 1) / count),
            train_loss=round(1.8 * 0.55**n + 0.03, 4),
            train_accuracy=round(1 - 0.5 * 0.6**n, 4),
            validation_loss=round(1.5 * 0.5**n + 0.05 + 0.01 * max(0, n - published), 4),
            validation_accuracy=round(1 - 0.4 * 0.55**n - 0.004 * max(0, n - published), 4),
            seconds=71.5,
            published=n == published,
        )
        for n in range(1, count + 1)
    ]


def example_training(**changes: object) -> Training:
    """Return eight epochs of training with two settings that differ from the defaults."""
    parts: dict[str, object] = {
        "command": "python trainer/train.py --data-dir strip-photographs "
        "--model convnext_atto.d2_in1k --epochs 8",
        "settings": [
            Setting(
                flag="--model",
                value="convnext_atto.d2_in1k",
                default="convnext_base.fb_in22k_ft_in1k",
            ),
            Setting(flag="--epochs", value="8", default="50"),
            Setting(flag="--batch-size", value="16", default="16"),
            Setting(flag="--lr", value="0.0001", default="0.0001"),
            Setting(flag="--weight-decay", value="0.01", default="0.01"),
            Setting(flag="--seed", value="0", default="0"),
        ],
        "epochs": example_epochs(),
        "epoch_choice": "best",
        "stopped_early": False,
        "weights_averaged": False,
    }
    return Training.model_validate(parts | changes)


def example_machine(**changes: object) -> Machine:
    """Return a small machine without an accelerator."""
    parts: dict[str, object] = {
        "processor": "Intel Xeon Platinum 8481C",
        "cores": 2,
        "accelerator": None,
        "processes": 1,
        "precision": "bf16",
        "started": "2026-11-20T09:30:00Z",
        "training_seconds": 592.4,
        "versions": {
            "Python": "3.11.14",
            "torch": "2.15.0",
            "torchvision": "0.29.2",
            "timm": "1.0.31",
        },
    }
    return Machine.model_validate(parts | changes)


def example_figures() -> list[Figure]:
    """Return the entries of the figures that every card shows."""
    return [
        Figure(file=f"figures/{name}.png", title=title, alt=f"What the picture of {title} shows")
        for name, title in (
            ("learning_curves", "Learning curves"),
            ("confusion_matrix", "Confusion matrix"),
            ("roc_curves", "ROC curves"),
            ("reliability", "Confidence and accuracy"),
            ("novelty", "Novelty scores"),
            ("risk_coverage", "Risk and coverage"),
        )
    ]


def example_test(
    confusion: Sequence[Sequence[int]] = CONFUSION, labels: Sequence[str] = LABELS
) -> TestResult:
    """Return what follows from a confusion matrix; only AUC and confidences are made up."""
    total = sum(map(sum, confusion))
    called = [sum(column) for column in zip(*confusion, strict=True)]
    classes = [
        _class_result(label, hits=row[i], positives=sum(row), predicted=called[i], total=total)
        for i, (label, row) in enumerate(zip(labels, confusion, strict=True))
    ]
    right = sum(row[i] for i, row in enumerate(confusion))
    macro = {
        name: _mean([result.scores[name] for result in classes])
        for name in ("sensitivity", "specificity", "precision", "f1", "auc")
    }
    return TestResult(
        images=total,
        scores={
            "accuracy": wilson(right, total),
            "error_rate": wilson(total - right, total),
            **macro,
        },
        classes=classes,
        confusion=[list(row) for row in confusion],
        mistakes=_mistakes(confusion, labels),
        images_per_second=51.6,
        engine="OpenVINO 2026.4.1, float32",
    )


def wilson(hits: int, trials: int) -> Score:
    """Return a proportion with its Wilson score interval; nothing is known of no trials."""
    if trials == 0:
        return Score(value=0, low=0, high=1)
    z = 1.959964
    p = hits / trials
    centre = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * sqrt(p * (1 - p) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return Score(value=p, low=max(0, min(p, centre - half)), high=min(1, max(p, centre + half)))


def _mean(scores: Sequence[Score]) -> Score:
    """Return the mean of independent scores with the interval of Zou and Donner (2008)."""
    count = len(scores)
    value = sum(score.value for score in scores) / count
    below = sqrt(sum((score.value - score.low) ** 2 for score in scores)) / count
    above = sqrt(sum((score.high - score.value) ** 2 for score in scores)) / count
    return Score(value=min(1, value), low=max(0, value - below), high=min(1, value + above))


def _class_result(
    label: str, *, hits: int, positives: int, predicted: int, total: int
) -> ClassResult:
    misses, alarms = positives - hits, predicted - hits
    negatives = total - positives
    # Half of what was missed is found at twice the false alarms, the rest at 30 %.
    x, y = alarms / negatives, hits / positives
    rises = [0, 0, x, min(2 * x + 0.01, 0.2), 0.3, 1]
    finds = [0, 0.6 * y if alarms else y, y, (1 + y) / 2, 1, 1]
    area = sum(
        (rises[k + 1] - rises[k]) * (finds[k] + finds[k + 1]) / 2 for k in range(len(rises) - 1)
    )
    # Python 3.12 sums more precisely than 3.11: an area of 1 is 1 in both.
    auc = round(area, 12)
    around = wilson(round(auc * positives), positives)
    return ClassResult(
        label=label,
        images=positives,
        predicted=predicted,
        scores={
            "accuracy": wilson(total - misses - alarms, total),
            "error_rate": wilson(misses + alarms, total),
            "sensitivity": wilson(hits, positives),
            "specificity": wilson(negatives - alarms, negatives),
            "precision": wilson(hits, predicted),
            "f1": _f1(hits, misses + alarms),
            "auc": Score(value=auc, low=min(auc, around.low), high=max(auc, around.high)),
        },
        roc=RocCurve(false_positive_rate=rises, true_positive_rate=finds),
    )


def _f1(hits: int, wrong: int) -> Score:
    """Return F1 with the interval that follows from hits / (hits + wrong) by F1 = 2 p / (1 + p)."""
    share = wilson(hits, hits + wrong)
    value, low, high = (2 * p / (1 + p) for p in (share.value, share.low, share.high))
    return Score(value=value, low=low, high=high)


def _mistakes(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> list[Mistake]:
    pairs = [
        (labels[i], labels[j], k + 1)
        for i, row in enumerate(confusion)
        for j, count in enumerate(row)
        if i != j
        for k in range(count)
    ]
    return [
        Mistake(
            file=f"{label}/{prediction.lower()}-like_{k}.jpg",
            label=label,
            prediction=prediction,
            confidence=round(0.972 * 0.9**rank, 4),
        )
        for rank, (label, prediction, k) in enumerate(pairs)
    ]
