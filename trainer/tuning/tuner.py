"""The search: trials that share one SQLite file, pruned by epoch, until a budget ends."""

from __future__ import annotations

import logging
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from trainer.errors import ConfigError, UserError
from trainer.monitoring.epoch_log import EpochResult
from trainer.monitoring.progress import duration
from trainer.tuning.search_space import Candidate, SearchSpace

logger = logging.getLogger(__name__)

STUDY_FILE = "study.db"
TRIALS_DIR = "trials"
# A process that has not reported for this long is taken as killed; its trial is run again.
HEARTBEAT_S, GRACE_S = 30, 120
# Trials before the median says anything.
STARTUP_TRIALS = 4
IDENTITY = "identity"

OnEpoch = Callable[[EpochResult], None]
# Trains a candidate on a tuning fold, in a folder; returns the mean validation loss at the end.
Train = Callable[[Candidate, int, Path, OnEpoch], float]


@dataclass(frozen=True)
class Budget:
    """When the search ends: whichever comes first.

    Attributes:
        trials: of all processes together.
        minutes: of this process; 0: no limit.
        patience: trials without improvement.
    """

    trials: int
    minutes: float
    patience: int


def open_study(folder: Path, identity: str, seed: int) -> optuna.Study:
    """Open the study in a folder, or create it; several processes may share it.

    Args:
        folder: of the tuning.
        identity: fingerprint of images and settings that all trials share.
        seed: of the sampler.

    Raises:
        ConfigError: the study in the folder is of other images or settings, or can't be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = folder / STUDY_FILE
    try:
        storage = _storage(file)
        study = optuna.create_study(
            study_name="recipe",
            storage=storage,
            load_if_exists=True,
            direction="minimize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=2),
        )
    # The library raises errors of its database layer.
    except Exception as error:
        raise ConfigError(
            f"The study {file} can't be opened: {error}. Remove it to start again, or name another "
            "folder with --run-dir."
        ) from error
    # A process that resumes must not draw the same again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    known = study.user_attrs.get(IDENTITY)
    if known is None:
        study.set_user_attr(IDENTITY, identity)
    elif known != identity:
        raise ConfigError(
            f"The study in {folder} was started with other images or settings. Repeat its "
            "command, or name another folder with --run-dir."
        )
    return study


def _storage(file: Path) -> optuna.storages.RDBStorage:
    with warnings.catch_warnings():
        # Heartbeats have been in the library since 2021; `constraints.txt` pins its version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            f"sqlite:///{file.absolute()}",
            # A pool would keep connections open until Python collects it.
            engine_kwargs={"connect_args": {"timeout": 60}, "poolclass": NullPool},
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=_queue_again,
        )


def search(
    study: optuna.Study, space: SearchSpace, train: Train, folds: int, folder: Path, budget: Budget
) -> str:
    """Run trials until the budget ends; return why it ended.

    The preset itself is the first trial.

    Args:
        study: shared by all processes.
        space: of the settings.
        train: see `Train`.
        folds: number of tuning folds; each trial trains on each of them.
        folder: of the tuning.
        budget: of the search.

    Raises:
        Stopped: a signal arrived; the trial in progress is put back into the queue.
    """
    if not study.trials:
        study.enqueue_trial(space.start, skip_if_exists=True)
    start = time.monotonic()
    own: list[int] = []

    def objective(trial: optuna.trial.Trial) -> float:
        return _loss(trial, space, train, folds, folder / TRIALS_DIR / str(trial.number))

    def log(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        own.append(trial.number)
        _log(study, trial, budget, time.monotonic() - start, len(own))

    while (reason := why_ended(study, budget, time.monotonic() - start)) is None:
        # The settings of a failed trial can't work, such as a loss that is no number; others can.
        study.optimize(objective, n_trials=1, catch=(UserError,), callbacks=[log])
    return reason


def _loss(
    trial: optuna.trial.Trial, space: SearchSpace, train: Train, folds: int, work: Path
) -> float:
    """Return the mean validation loss of a trial over the folds, unless it is pruned."""
    candidate = space.suggest(trial)
    logger.info("Trial %d: %s", trial.number, described(trial.params))
    losses: list[float] = []

    def report(result: EpochResult) -> None:
        # Later folds compare the mean so far with that of other trials at the same epoch.
        step = len(losses) * 2 * space.recipe.epochs + result.epoch
        trial.report(float(np.mean([*losses, result.validation_loss])), step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        for fold in range(folds):
            losses.append(train(candidate, fold, work / f"fold-{fold + 1}", report))
    except UserError as error:
        logger.warning("Trial %d failed: %s", trial.number, error)
        raise
    except KeyboardInterrupt:
        trial.study.enqueue_trial(trial.params)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return float(np.mean(losses))


def _queue_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Put the settings of a killed process's trial back into the queue."""
    study.enqueue_trial(trial.params)


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that were finished or pruned, in their order."""
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def why_ended(study: optuna.Study, budget: Budget, seconds: float) -> str | None:
    """Return why the search is over, None if it is not."""
    done = ended(study)
    failed = len(study.get_trials(states=(TrialState.FAIL,)))
    if len(done) >= budget.trials:
        return f"{len(done)} trials are done"
    if budget.minutes and seconds >= 60 * budget.minutes and _has_best(study):
        return f"{budget.minutes:g} minutes are over"
    if _has_best(study):
        since = sum(trial.number > study.best_trial.number for trial in done)
        if since >= budget.patience:
            return f"{since} trials brought no improvement"
    elif failed >= budget.patience:
        raise UserError(f"{failed} trials failed, and none succeeded. The reasons are above.")
    return None


def described(parameters: dict[str, float]) -> str:
    """Return the parameters of a trial on one line."""
    return ", ".join(f"{name} {value:.3g}" for name, value in sorted(parameters.items()))


def _has_best(study: optuna.Study) -> bool:
    return bool(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _log(
    study: optuna.Study, trial: optuna.trial.FrozenTrial, budget: Budget, seconds: float, own: int
) -> None:
    done = len(ended(study))
    best = f", best {study.best_value:.4f}" if _has_best(study) else ""
    value = trial.state.name.lower() if trial.value is None else f"loss {trial.value:.4f}"
    if trial.state is TrialState.PRUNED:
        value = "pruned"
    left = seconds / max(1, own) * (budget.trials - done)
    if budget.minutes:
        left = min(left, 60 * budget.minutes - seconds)
    logger.info(
        "%d of %d trials are done: %s%s; at most about %s left of the search",
        *(done, budget.trials, value, best, duration(left)),
    )
