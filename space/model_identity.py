"""Name, version and age of the served model, as the page states them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingface_hub import constants

if TYPE_CHECKING:
    from pathlib import Path

    from space.model_report import Report

# Of a commit, as the Hub abbreviates it.
SHORT_COMMIT = 7


@dataclass(frozen=True)
class Identity:
    """What identifies a model for a visitor.

    Attributes:
        name: on the Hub; of a local folder, the network's, if known.
        card: URL of the model card; None for a local folder.
        version: its commit on the Hub, abbreviated.
        trained: the day on which its training started.
    """

    name: str
    card: str | None = None
    version: str | None = None
    trained: str | None = None


def identify(model_id: str, folder: Path, report: Report | None) -> Identity:
    """Return the identity of a model.

    Args:
        model_id: `hf-hub:USER/NAME[@REVISION]` or `local-dir:PATH`.
        folder: where it was loaded from; in the Hub's cache, it is named like the commit.
        report: of its training, if it was published with one.
    """
    started = report.machine.started if report and report.machine else None
    trained = f"{started.day} {started:%B %Y}" if started else None
    kind, _, place = model_id.partition(":")
    if kind != "hf-hub":
        name = report.model.architecture if report and report.model else "Local model"
        return Identity(name, trained=trained)
    repo_id, _, revision = place.partition("@")
    card = f"{constants.ENDPOINT}/{repo_id}" + (f"/tree/{revision}" if revision else "")
    commit = folder.name if folder.parent.name == "snapshots" else revision
    return Identity(repo_id, card, commit[:SHORT_COMMIT] or None, trained)
