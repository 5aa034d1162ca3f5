"""Store a decision in a published folder, and load it as untrusted input."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import save_file

from .core.decision import Decision, Rules
from .core.errors import ModelError, shortened
from .core.novelty import MahalanobisDetector
from .model_folder import ModelFolder

RULES_FILE = "decision.json"
DETECTOR_FILE = "decision.safetensors"
ADVICE = f"Publish the model again, or remove both {RULES_FILE} and {DETECTOR_FILE}."


def save_decision(decision: Decision, folder: Path) -> None:
    """Write a decision into a published folder."""
    text = json.dumps(decision.rules.to_json(), indent=2, ensure_ascii=False)
    (folder / RULES_FILE).write_text(text + "\n", encoding="utf-8")
    if decision.detector is not None:
        arrays = {n: a.astype("float32") for n, a in decision.detector.arrays().items()}
        save_file(arrays, folder / DETECTOR_FILE)


def load_decision(folder: Path, labels: list[str]) -> Decision | None:
    """Load what `save_decision` wrote; None if the folder was published without a decision.

    Raises:
        ModelError: it is damaged or belongs to another model.
    """
    files = ModelFolder(folder)
    if not files.has(RULES_FILE):
        if files.has(DETECTOR_FILE):
            raise ModelError(f"{folder} has {DETECTOR_FILE} but no {RULES_FILE}. {ADVICE}")
        return None
    try:
        rules = Rules.from_json(files.read_object(RULES_FILE))
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{folder / RULES_FILE} can't be used: {error}. {ADVICE}") from error
    if rules.labels != labels:
        raise ModelError(
            f"{folder / RULES_FILE} belongs to a model with other classes: "
            f"{shortened(rules.labels, 200)}. {ADVICE}"
        )
    if rules.novelty_limit is None:
        if files.has(DETECTOR_FILE):
            raise ModelError(
                f"{folder / RULES_FILE} has no novelty_limit, but there is {DETECTOR_FILE}. "
                f"{ADVICE}"
            )
        return Decision(rules, None)
    try:
        arrays = files.read_arrays(DETECTOR_FILE)
        return Decision(rules, MahalanobisDetector.from_arrays(arrays))
    except ValueError as error:
        raise ModelError(
            f"{folder / DETECTOR_FILE} can't be used: {shortened(error)}. {ADVICE}"
        ) from error
