"""The numbered phases of a command, "3/5 train": announced on stderr, so one sees how far it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.config.run_folder import finished_folder
from trainer.config.settings import DataConfig, TrainConfig
from trainer.data.folders.location import DRAWN_DIR, SourceKind, find_source

logger = logging.getLogger(__name__)

# What another program does after this one, such as the web page after `make demo` has trained.
NEXT_PHASE_VARIABLE = "NEXT_PHASE"


@dataclass(frozen=True)
class Phase:
    """One phase: what is done, and in which of several trainings."""

    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


class Phases:
    """The phases of the running command, in order, and which of them has begun.

    There is one for the whole process, like the log: a process writes to one terminal.
    """

    def __init__(self) -> None:
        self._planned: list[Phase] = []
        self._begun = 0

    def plan(self, phases: Sequence[Phase]) -> None:
        """Replace the plan, and announce its first phase before it begins: imports take seconds."""
        self._planned, self._begun = list(phases), 0
        if phases:
            self.start(phases[0].name)

    def start(self, name: str) -> None:
        """Announce the next phase of this name; a phase that is not planned passes in silence."""
        if self._begun and self._planned[self._begun - 1].name == name:
            return
        if self._pass_over(name):
            logger.info("%d/%d %s", self._begun, len(self._planned), self._planned[self._begun - 1])

    def skip(self, *names: str) -> None:
        """Leave out the next phases of these names, which were done earlier."""
        for name in names:
            self._pass_over(name)

    def left(self, name: str) -> int:
        """Return how many phases of this name have not begun."""
        return sum(phase.name == name for phase in self._planned[self._begun :])

    def _pass_over(self, name: str) -> bool:
        for place, phase in enumerate(self._planned[self._begun :], self._begun + 1):
            if phase.name == name:
                self._begun = place
                return True
        return False


PHASES = Phases()


def run_phases(config: TrainConfig, detail: str = "") -> list[Phase]:
    """Return the phases of a training run, none if its folder is finished.

    Args:
        config: the settings of the run.
        detail: which of several runs of one command it is.

    Raises:
        DataError: there are no images where `config` says.
    """
    if config.run.run_dir and finished_folder(config.run.run_dir):
        return []
    kind = find_source(config.data)[1]
    phases = [*_drawing(kind, detail), Phase("check", detail)]
    # Drawings never show the same piece of surface.
    phases += [Phase("compare", detail)] if kind != "drawn" else []
    trainings = [
        ", ".join(filter(None, (detail, f"fold {fold} of {config.data.folds}")))
        for fold in range(1, config.data.folds + 1)
    ]
    for training in trainings or [detail]:
        phases += [Phase(name, training) for name in ("train", "test", "card")]
    return phases + ([Phase("join", detail)] if trainings else [])


def inspection_phases(config: DataConfig) -> list[Phase]:
    """Return the phases of `inspect_data.py`.

    Raises:
        DataError: there are no images where `config` says.
    """
    kind = find_source(config)[1]
    return [*_drawing(kind), Phase("check"), Phase("compare"), Phase("report")]


def _drawing(kind: SourceKind, detail: str = "") -> list[Phase]:
    return [Phase("draw", detail)] if kind == "drawn" and not DRAWN_DIR.exists() else []


def next_phase() -> list[Phase]:
    """Return the phase of the program that follows this one, if whoever started both names it."""
    name = os.environ.get(NEXT_PHASE_VARIABLE)
    return [Phase(name)] if name else []
