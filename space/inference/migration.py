"""Read folders that were published by earlier versions.

On 26 November 2026 fields were renamed to standard terms: `trust` became `reliability`,
`strangeness` became `novelty`. Since then a report also describes its metrics. Models published
earlier stay on the Hub unchanged and must load.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

# Parsed JSON takes ten times the memory of its text; no earlier report has a tenth of this size.
MAX_BYTES = 8 * 2**20
RENAMED = {
    # decision.json
    "strangeness_limit": "novelty_limit",
    "look": "review",
    # report.json
    "trust": "reliability",
    "localisation": "localization",
    "unknown_surfaces": "ood_detection",
    "known_images": "reference_images",
    "known_rejected": "test_rejected",
    "known_strangeness": "reference_novelty",
    "foreign": "kinds",
    "strangeness": "novelty",
    "cost_look": "cost_review",
    "automatic_right": "automatic_accuracy",
    "strength": "severity",
    "part": "split",
    "kept": "published",
    "kept_epoch": "best_epoch",
}
# Each file of an earlier version has one of these keys at the top level.
EARLIER = ("strangeness_limit", "trust")
# What earlier reports measured: name, title, meaning, and whether it is written in percent.
EARLIER_METRICS = (
    ("accuracy", "Accuracy", "share of images classified correctly", True),
    ("error_rate", "Error rate", "share of images classified incorrectly", True),
    (
        "sensitivity",
        "Sensitivity",
        "recall: share of a class's images that were found; mean over classes",
        True,
    ),
    (
        "specificity",
        "Specificity",
        "share of other images not assigned to a class; mean over classes",
        True,
    ),
    (
        "precision",
        "Precision",
        "share of correct images among those assigned to a class; mean over classes",
        True,
    ),
    ("f1", "F1", "harmonic mean of precision and sensitivity; mean over classes", True),
    (
        "auc",
        "AUC",
        "area under the ROC curve, one class against the rest; mean over classes",
        False,
    ),
)
# The keys of these are names of classes, packages and files, which are not renamed.
NAMES_OF_OTHERS = {"images_by_class", "versions", "files"}


def migrated(content: Any) -> Any:
    """Return the content of `report.json` or `decision.json` with the current field names.

    Content that has them already, and any other content, is returned unchanged.
    """
    if not isinstance(content, dict) or not content.keys() & EARLIER:
        return content
    return _renamed(content)


def in_current_names(text: bytes) -> bytes:
    """Return the text of a JSON file with the current field names; see `migrated`.

    Text that is not JSON is returned unchanged: the schema reports the error.
    """
    if len(text) > MAX_BYTES or not any(f'"{name}"'.encode() in text for name in EARLIER):
        return text
    try:
        content = from_json(text)
    except ValueError:
        return text
    current = migrated(content)
    return text if current is content else to_json(current, inf_nan_mode="constants")


def _renamed(content: Any) -> Any:
    if isinstance(content, list):
        return [_renamed(each) for each in content]
    if not isinstance(content, dict):
        return content
    return {
        RENAMED.get(key, key): value if key in NAMES_OF_OTHERS else _renamed(value)
        for key, value in content.items()
    }
