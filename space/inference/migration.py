"""Read folders that were published with earlier names of fields.

On 26 November 2026 fields took the field's own words: `trust` became `reliability`, `strangeness`
became `novelty`. People have published models before; their folders stay as they are on the Hub.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

# Parsed JSON takes ten times its memory. No report of that time had a tenth of this.
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
    "kept": "published",
    "kept_epoch": "best_epoch",
}
# Each file of an earlier version has one of these at its top.
EARLIER = ("strangeness_limit", "trust")
# Their keys are names of classes, packages and files.
NAMES_OF_OTHERS = {"images_by_class", "versions", "files"}


def migrated(content: Any) -> Any:
    """Return the content of `report.json` or `decision.json` with today's names of fields.

    Content that already has them, and whatever else is no such file, is returned as it is.
    """
    if not isinstance(content, dict) or not content.keys() & EARLIER:
        return content
    return _renamed(content)


def in_current_names(text: bytes) -> bytes:
    """Return the text of a JSON file with today's names of fields; see `migrated`.

    What is no JSON is returned as it is: its schema says what is wrong with it.
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
