"""Plausible facts of calibration, sets, rejection and operating point: made up, for reports."""

from __future__ import annotations

from collections.abc import Sequence

from model_card.schema.reliability import Reliability, SeveralDefects


def example_reliability(labels: Sequence[str], **changes: object) -> Reliability:
    """Return what a good model would come to; `changes` replace parts."""
    parts: dict[str, object] = {
        "calibration": {
            "temperature": 1.4142,
            "fitted_on": "validation",
            "fitted_images": 114,
            "before": _agreement(0.0312, 0.0331, 0.0122, 0.0391, 0.0873),
            "after": _agreement(0.0087, 0.0093, 0.0101, 0.0356, 0.0752),
        },
        "sets": {
            "target": 0.95,
            "least_probability": 0.4321,
            "coverage": _share(0.958, 0.929, 0.976),
            "mean_size": 1.04,
            "classes": [
                {
                    "label": label,
                    "images": 48,
                    "coverage": _share(0.9375, 0.8316, 0.9785),
                    "mean_size": 1.03,
                }
                for label in labels
            ],
        },
        "ood_detection": {
            "stages": [1, 2, 3],
            "limit": 8.125,
            "allowed": 0.02,
            "reference_images": 1152,
            "test_rejected": _share(0.0139, 0.0054, 0.0352),
            "reference_novelty": _spread(0.1),
            "kinds": [_ood("noise", 0.9911, 0.975), _ood("text", 0.9984, 0.995)],
            "left_out": [
                {"label": label, "images": 48, "auroc": auroc, "false_positive_rate": 1 - auroc}
                for label, auroc in zip(labels, (0.85, 0.95) * len(labels), strict=False)
            ],
            "network_saw_left_out": True,
        },
        "operating_point": example_operating_point(),
    }
    return Reliability.model_validate(parts | changes)


def example_operating_point(**changes: object) -> dict[str, object]:
    """Return the facts of an operating point; `changes` replace some."""
    parts: dict[str, object] = {
        "cost_missed": 20.0,
        "cost_false_alarm": 2.0,
        "cost_review": 1.0,
        "no_defect": None,
        "confidence_limit": 0.9545,
        "unsure": _share(0.0625, 0.0399, 0.0966),
        "unknown": _share(0.0139, 0.0054, 0.0352),
        "automatic_accuracy": _share(0.9962, 0.9791, 0.9993),
        "mean_cost": 0.153,
        "mean_cost_automatic": 0.306,
        "mean_cost_manual": 1.0,
        "curve": {"coverage": [0.5, 0.9236, 1.0], "risk": [0.0, 0.0038, 0.0139], "area": 0.0027},
    }
    return parts | changes


def example_several_defects(labels: Sequence[str], **changes: object) -> SeveralDefects:
    """Return the results of a model that names several defects; `changes` replace parts."""
    reliability = example_reliability(labels).model_dump()
    parts: dict[str, object] = {
        "calibration": reliability["calibration"],
        "classes": [
            {
                "label": label,
                "images": 61 + place,
                "named_from": 0.511 + place / 100,
                "absent_below": 0.031 + place / 100,
                "precision": _share(0.912, 0.807, 0.963),
                "recall": _share(0.834, 0.719, 0.908),
                "missed": _share(0.043, 0.011, 0.151),
                "average_precision": 0.917 + place / 100,
            }
            for place, label in enumerate(labels)
        ],
        "mean_average_precision": 0.943,
        "exact": _share(0.861, 0.816, 0.897),
        "one_defect": 263,
        "one_exact": _share(0.924, 0.885, 0.951),
        "several": 23,
        "second_named": _share(0.478, 0.292, 0.671),
        "second_possible": _share(0.739, 0.535, 0.875),
        "missed": {
            "promised": 0.05,
            "fitted_groups": 71,
            "groups": 93,
            "share": _share(0.0121, 0.0021, 0.0587),
            "of_all": _share(0.0353, 0.0194, 0.0635),
        },
        "cost_missed": 20.0,
        "cost_false_alarm": 2.0,
        "cost_review": 1.0,
        "unsure": _share(0.216, 0.172, 0.267),
        "unknown": _share(0.0137, 0.0054, 0.0352),
        "automatic_exact": _share(0.951, 0.912, 0.973),
        "mean_cost": 0.477,
        "ood_detection": reliability["ood_detection"],
    }
    return SeveralDefects.model_validate(parts | changes)


def _agreement(*errors: float) -> dict[str, object]:
    names = ("ece", "adaptive_ece", "ece_by_chance", "brier", "negative_log_likelihood")
    bins = [
        {"low": 0.6, "high": 0.6667, "images": 8, "confidence": 0.64, "accuracy": 0.75},
        {"low": 0.9333, "high": 1.0, "images": 280, "confidence": 0.985, "accuracy": 0.9929},
    ]
    return {**dict(zip(names, errors, strict=True)), "bins": bins}


def _ood(kind: str, auroc: float, rejected: float) -> dict[str, object]:
    return {
        "kind": kind,
        "images": 40,
        "auroc": auroc,
        "false_positive_rate": round(1 - auroc, 4),
        "rejected": _share(rejected, rejected - 0.1, 0.999),
        "novelty": _spread(1.5),
    }


def _share(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def _spread(unit: float) -> dict[str, float]:
    return {f"p{percentile}": unit * (1 + percentile / 20) for percentile in (5, 25, 50, 75, 95)}
