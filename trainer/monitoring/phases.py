"""The numbered phases of a command, such as "3/5 train", announced on stderr."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config.groups import DataConfig
from trainer.config.run_folder import finished_folder
from trainer.data.folders.location import DRAWN_DIR, Source, find_sources

logger = logging.getLogger(__name__)

# The phase of a program that follows this one, such as the web page after training in `make demo`.
NEXT_PHASE_VARIABLE = "NEXT_PHASE"


@dataclass(frozen=True)
class Phase:
    """One phase: its name, and the training it belongs to if there are several."""

    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


class Phases:
    """The phases of the running command, in order, and the current one.

    There is one instance per process, like the log: a process writes to one terminal.
    """

    def __init__(self) -> None:
        self._planned: list[Phase] = []
        self._current = 0

    def plan(self, phases: Sequence[Phase]) -> None:
        """Replace the plan, and announce its first phase early: imports take seconds."""
        self._planned, self._current = list(phases), 0
        if phases:
            self.start(phases[0].name)

    def start(self, name: str) -> None:
        """Announce the next phase of this name; ignore a phase that is not planned."""
        if self._current and self._planned[self._current - 1].name == name:
            return
        if self._advance(name):
            logger.info(
                "%d/%d %s", self._current, len(self._planned), self._planned[self._current - 1]
            )

    def skip(self, *names: str) -> None:
        """Skip the next phases of these names, which an earlier run finished."""
        for name in names:
            self._advance(name)

    def left(self, name: str) -> int:
        """Return the number of phases of this name that have not started."""
        return sum(phase.name == name for phase in self._planned[self._current :])

    def _advance(self, name: str) -> bool:
        for place, phase in enumerate(self._planned[self._current :], self._current + 1):
            if phase.name == name:
                self._current = place
                return True
        return False


PHASES = Phases()


def run_phases(data: DataConfig, run_dir: Path | None, detail: str = "") -> list[Phase]:
    """Return the phases of a training run, none if its folder is finished.

    Args:
        data: the images and the number of folds.
        run_dir: the folder of the run, None for a new one.
        detail: the name of this run, if the command has several.

    Raises:
        DataError: there are no images at the place that `data` names.
    """
    if run_dir and finished_folder(run_dir):
        return []
    sources = find_sources(data)
    phases = [*_drawing(sources, detail), Phase("check", detail)]
    phases += [Phase("compare", detail)] if _may_overlap(sources) else []
    trainings = [
        ", ".join(filter(None, (detail, f"fold {fold} of {data.folds}")))
        for fold in range(1, data.folds + 1)
    ]
    for training in trainings or [detail]:
        phases += [Phase(name, training) for name in ("train", "test", "card")]
    return phases + ([Phase("join", detail)] if trainings else [])


def inspection_phases(config: DataConfig) -> list[Phase]:
    """Return the phases of `inspect_data.py`.

    Raises:
        DataError: there are no images at the place that `config` names.
    """
    sources = find_sources(config)
    return [*_drawing(sources), Phase("check"), Phase("compare"), Phase("report")]


def curve_phases(config: DataConfig) -> list[Phase]:
    """Return the phases of `learning_curve.py`.

    Raises:
        DataError: there are no images at the place that `config` names.
    """
    sources = find_sources(config)
    compare = [Phase("compare")] if _may_overlap(sources) else []
    rest = [Phase(name) for name in ("features", "measure", "report")]
    return [*_drawing(sources), Phase("check"), *compare, *rest]


def _drawing(sources: list[Source], detail: str = "") -> list[Phase]:
    drawn = any(source.kind == "drawn" for source in sources) and not DRAWN_DIR.exists()
    return [Phase("draw", detail)] if drawn else []


def _may_overlap(sources: list[Source]) -> bool:
    # Drawn images never show the same piece of surface.
    return any(source.kind != "drawn" for source in sources)


def next_phase() -> list[Phase]:
    """Return the phase of the program that follows this one, if NEXT_PHASE names it."""
    name = os.environ.get(NEXT_PHASE_VARIABLE)
    return [Phase(name)] if name else []
