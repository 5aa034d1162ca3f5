"""What tuning gained: the tuned recipe against its preset, on folds that no trial used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.trial import TrialState
from pydantic import Field

from model_card.figures.style import BLUE, GREY, ORANGE, save_figure, styled
from model_card.schema.base import Schema, Score
from model_card.schema.comparison import Difference
from trainer.evaluation.metrics.intervals import grouped_proportion
from trainer.evaluation.metrics.pairs import paired_difference
from trainer.runtime.files import replaced_whole
from trainer.tuning.fold_training import HeldOut
from trainer.tuning.tuner import ended

REPORT_FILE = "tuning.json"
HISTORY_FILE, IMPORTANCE_FILE = "history.png", "importance.png"
LEAST_TRIALS_FOR_IMPORTANCE = 4
RESAMPLES = 2000


class LossGain(Schema):
    """Mean cross entropy of the preset minus that of the tuned recipe; above 0 is better."""

    value: float
    low: float = Field(description="of the 95 % interval, by resampling pieces of surface")
    high: float


class TuningReport(Schema):
    """The result of a search and its check."""

    ended_because: str
    trials: int = Field(gt=0, description="finished or pruned")
    pruned: int = Field(ge=0)
    best_loss: float = Field(description="mean validation cross entropy on the tuning folds, nats")
    preset_loss: float | None = Field(description="of the preset on the same folds; None: failed")
    parameters: dict[str, float]
    tuning_folds: int = Field(gt=0)
    check_folds: int = Field(gt=0, description="folds whose held-out images no trial validated on")
    images: int = Field(gt=0, description="held-out images of the check folds")
    preset: Score = Field(description="accuracy of the preset on them")
    tuned: Score
    difference: Difference = Field(description="tuned minus preset, paired by piece of surface")
    loss_gain: LossGain

    @property
    def sentence(self) -> str:
        """The result in words."""
        gap, loss = self.difference, self.loss_gain
        words = {
            "better": "The tuned recipe is more accurate than the preset",
            "equal": "These images do not distinguish the tuned recipe from the preset",
            "worse": "The tuned recipe is less accurate than the preset",
        }[gap.verdict]
        return (
            f"{words}: {100 * self.tuned.value:.2f} % against {100 * self.preset.value:.2f} % on "
            f"{self.images:,} images of folds that no trial validated on; difference "
            f"{100 * gap.value:+.2f} points (95 % interval {100 * gap.low:+.2f} to "
            f"{100 * gap.high:+.2f}), p = {gap.p_value:.2g}. Cross entropy is {loss.value:+.4f} "
            f"nats lower ({loss.low:+.4f} to {loss.high:+.4f})."
        )

    def write(self, folder: Path) -> None:
        """Write `tuning.json`, whole or not at all."""
        with replaced_whole(folder / REPORT_FILE) as partial:
            partial.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")


def summarize(
    study: optuna.Study,
    reason: str,
    start: dict[str, float],
    tuning_folds: int,
    preset: Sequence[HeldOut],
    tuned: Sequence[HeldOut],
    seed: int,
) -> TuningReport:
    """Return the result of a search whose best trial was checked.

    Args:
        study: the search.
        reason: why it ended.
        start: the parameters of the preset.
        tuning_folds: folds that trials validated on.
        preset: results of the preset, by check fold.
        tuned: those of the best trial, of the same folds.
        seed: of the resampling.
    """
    trials = ended(study)
    before, after, difference, gain = measured_gain(preset, tuned, seed)
    return TuningReport(
        ended_because=reason,
        trials=len(trials),
        pruned=sum(trial.state.name == "PRUNED" for trial in trials),
        best_loss=study.best_value,
        preset_loss=next((t.value for t in trials if t.params == start), None),
        parameters=study.best_trial.params,
        tuning_folds=tuning_folds,
        check_folds=len(preset),
        images=sum(len(fold.groups) for fold in preset),
        preset=before,
        tuned=after,
        difference=difference,
        loss_gain=gain,
    )


def measured_gain(
    preset: Sequence[HeldOut], tuned: Sequence[HeldOut], seed: int
) -> tuple[Score, Score, Difference, LossGain]:
    """Return both accuracies, their paired difference, and the gain in cross entropy.

    Args:
        preset: by check fold.
        tuned: of the same folds.
        seed: of the resampling.
    """
    groups = [group for fold in preset for group in fold.groups]
    before, after = (np.concatenate([f.hits for f in folds]) for folds in (preset, tuned))
    gains = np.concatenate([f.losses for f in preset]) - np.concatenate([f.losses for f in tuned])
    return (
        grouped_proportion(before, groups),
        grouped_proportion(after, groups),
        paired_difference(after, before, groups),
        loss_gain(gains, groups, seed),
    )


def loss_gain(gains: np.ndarray, groups: Sequence[int], seed: int) -> LossGain:
    """Return the mean gain with its percentile interval; whole groups are resampled."""
    members = np.unique(groups, return_inverse=True)[1]
    sums, counts = np.bincount(members, weights=gains), np.bincount(members)
    rows = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[rows].sum(axis=1) / counts[rows].sum(axis=1)
    value = float(gains.mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return LossGain(value=value, low=min(value, float(low)), high=max(value, float(high)))


def write_figures(study: optuna.Study, folder: Path) -> None:
    """Write the history of the search, and the importance of the settings if it is known."""
    save_figure(history_figure(study), folder / HISTORY_FILE)
    done = study.get_trials(states=(TrialState.COMPLETE,))
    if len(done) >= LEAST_TRIALS_FOR_IMPORTANCE and len({trial.value for trial in done}) > 1:
        importances = optuna.importance.get_param_importances(study)
        save_figure(importance_figure(importances), folder / IMPORTANCE_FILE)


@styled
def history_figure(study: optuna.Study) -> Figure:
    """Draw the loss of each trial, and the best so far."""
    figure = Figure(figsize=(8, 3.7), layout="constrained")
    axes = figure.subplots()
    trials = ended(study)
    done = [(t.number, t.value) for t in trials if t.state is TrialState.COMPLETE and t.value]
    pruned = [
        (t.number, last)
        for t in trials
        if t.state is TrialState.PRUNED and (last := t.value) is not None
    ]
    if pruned:
        axes.scatter(*zip(*pruned, strict=True), color=GREY, marker="x", label="pruned")
    if done:
        numbers, losses = zip(*done, strict=True)
        axes.scatter(numbers, losses, color=BLUE, label="finished")
        best = np.minimum.accumulate(losses)
        axes.step(numbers, best, color=ORANGE, where="post", label="best so far")
    axes.set_xlabel("Trial")
    axes.set_ylabel("Validation cross entropy (nats)")
    axes.legend()
    return figure


@styled
def importance_figure(importances: dict[str, float]) -> Figure:
    """Draw the share of the variance of the loss that each setting explains."""
    figure = Figure(figsize=(8, 3.7), layout="constrained")
    axes = figure.subplots()
    names = sorted(importances, key=lambda name: importances[name])
    axes.barh([name.replace("_", " ") for name in names], [importances[n] for n in names])
    axes.set_xlabel("Importance for the validation loss (fANOVA)")
    return figure
