"""The search without a network: first trial, pruning, budget, resume, and the file it writes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.cli.run_settings import read_train_config
from trainer.config.groups import ModelConfig
from trainer.config.preset_file import Preset
from trainer.config.recipe import PRESETS
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError, UserError
from trainer.monitoring.epoch_log import EpochResult
from trainer.runtime.interruption import Stopped
from trainer.train import COMMAND
from trainer.tuning import tuner
from trainer.tuning.fold_training import HeldOut
from trainer.tuning.report import loss_gain, measured_gain
from trainer.tuning.search_space import Candidate, SearchSpace
from trainer.tuning.tuner import STUDY_FILE, Budget, OnEpoch, ended, open_study, search

RECIPE = replace(PRESETS["recommended"], lr=1e-3)
SPACE = SearchSpace(RECIPE, ModelConfig(image_size=160))


def epoch(number: int, loss: float) -> EpochResult:
    return EpochResult(number, 0.1, loss, 0.5, loss, 0.5, 1.0)


class Trainings:
    """Stands in for trainings; the loss is lower for a higher learning rate."""

    def __init__(self) -> None:
        self.seen: list[tuple[Candidate, int]] = []

    def __call__(self, candidate: Candidate, fold: int, work: Path, on_epoch: OnEpoch) -> float:
        self.seen.append((candidate, fold))
        # Each training leaves checkpoints in its folder.
        work.mkdir(parents=True)
        loss = abs(np.log10(candidate.recipe.lr) + 2.5) + fold
        on_epoch(epoch(1, loss))
        on_epoch(epoch(2, loss))
        return float(loss)


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep studies in memory, for tests that open theirs once."""
    monkeypatch.setattr(tuner, "_storage", lambda file: optuna.storages.InMemoryStorage())


@pytest.fixture(scope="module")
def new_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a new study; its tables take longer to create than a search without a network."""
    folder = tmp_path_factory.mktemp("study")
    open_study(folder, "one", seed=0)
    return folder / STUDY_FILE


@pytest.fixture
def folder(new_study: Path, tmp_path: Path) -> Path:
    """The folder of a new study."""
    shutil.copy(new_study, tmp_path)
    return tmp_path


def run(folder: Path, train: Any, trials: int, **budget: Any) -> tuple[optuna.Study, str]:
    study = open_study(folder, "one", seed=0)
    limits = {"trials": trials, "minutes": 0.0, "patience": 100} | budget
    return study, search(study, SPACE, train, 2, folder, Budget(**limits))


@pytest.mark.usefixtures("in_memory")
def test_the_first_trial_is_the_preset_and_each_trial_trains_on_each_tuning_fold(
    tmp_path: Path,
) -> None:
    train = Trainings()
    study, reason = run(tmp_path, train, 3)
    assert reason == "3 trials are done"
    first = replace(RECIPE, search_decay=False)
    assert train.seen[:2] == [(Candidate(first, 160), 0), (Candidate(first, 160), 1)]
    # log10(1e-3) is 0.5 from -2.5; the second fold is 1 worse.
    assert study.trials[0].value == pytest.approx(0.5 + 0.5)
    assert not list((tmp_path / "trials").glob("*"))


@pytest.mark.slow
def test_a_repeat_resumes_and_does_not_train_the_finished_trials(folder: Path) -> None:
    run(folder, Trainings(), 2)
    again = Trainings()
    study, _ = run(folder, again, 3)
    assert len(ended(study)) == 3
    assert 1 <= len(again.seen) <= 2


def test_an_interrupted_trial_runs_again_with_its_settings(folder: Path) -> None:
    def stops(*_: object) -> float:
        raise Stopped(2)

    with pytest.raises(Stopped):
        run(folder, stops, 1)
    train = Trainings()
    study, _ = run(folder, train, 1)
    assert train.seen[0][0].recipe.lr == pytest.approx(RECIPE.lr)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]


@pytest.mark.usefixtures("in_memory")
def test_a_trial_worse_than_the_median_is_pruned_at_its_epoch(tmp_path: Path) -> None:
    seen: list[int] = []

    def train(candidate: Candidate, fold: int, work: Path, on_epoch: OnEpoch) -> float:
        # The sixth trial is the first one after the start that is worse than all others.
        trial = int(work.parent.name)
        loss = 9.0 if trial == 5 else 1.0 - trial / 100
        for number in (1, 2, 3):
            on_epoch(epoch(number, loss))
            seen.append(trial)
        return loss

    study, _ = run(tmp_path, train, 6)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 5 + ["PRUNED"]
    # After the warm-up of one epoch: reported at the second, which ends it.
    assert seen.count(5) == 1


@pytest.mark.usefixtures("in_memory")
def test_the_search_ends_without_improvement(tmp_path: Path) -> None:
    losses = iter([1.0, 1.0, *[2.0] * 20])
    _, reason = run(tmp_path, lambda *_: next(losses), 9, patience=3)
    assert reason == "3 trials brought no improvement"


@pytest.mark.usefixtures("in_memory")
@pytest.mark.usefixtures("in_memory")
def test_the_search_ends_after_its_minutes_and_says_how_long_it_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each look at the clock comes 20 seconds after the one before; a trial takes two looks."""
    looks = iter(range(0, 10_000, 20))
    monkeypatch.setattr(tuner, "time", SimpleNamespace(monotonic=lambda: float(next(looks))))
    with caplog.at_level("INFO"):
        study, reason = run(tmp_path, Trainings(), 100, minutes=2)
    assert reason == "2 minutes are over"
    # At 20, 60 and 100 seconds it goes on.
    assert len(study.trials) == 3
    said = [line for line in caplog.messages if "left of the search" in line]
    # 40 seconds for one of 100 trials, but the minutes end before.
    assert said[0].endswith("at most about 1:20 left of the search")


def test_the_time_left_is_that_of_this_process(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten trials four are done, one of them by this process, in 30 seconds."""
    monkeypatch.setattr(tuner, "_storage", lambda file: optuna.storages.InMemoryStorage())
    study, _ = run(tmp_path, Trainings(), 4)
    with caplog.at_level("INFO"):
        tuner._log(study, study.trials[-1], Budget(10, 0, 9), seconds=30, own=1)
    assert caplog.messages[-1].endswith("at most about 3:00 left of the search")


@pytest.mark.usefixtures("in_memory")
def test_a_process_that_resumes_draws_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    sampler = optuna.samplers.TPESampler

    def seeded(seed: int | None = None) -> optuna.samplers.BaseSampler:
        # The library makes one without a seed for each study.
        seeds.extend([] if seed is None else [seed])
        return sampler(seed=seed)

    monkeypatch.setattr(optuna.samplers, "TPESampler", seeded)
    study, _ = run(tmp_path, Trainings(), 2)
    monkeypatch.setattr(optuna, "create_study", lambda **_: study)
    open_study(tmp_path, "one", seed=0)
    assert seeds == [0, 2]


def test_settings_that_fail_do_not_end_the_search(tmp_path: Path) -> None:
    calls = iter([True, False, False])

    def train(*_: object) -> float:
        if next(calls):
            raise UserError("The loss is no longer a number.")
        return 1.0

    study, _ = run(tmp_path, train, 1)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]


@pytest.mark.usefixtures("in_memory")
def test_a_search_in_which_all_fails_says_so(tmp_path: Path) -> None:
    def train(*_: object) -> float:
        raise UserError("no")

    with pytest.raises(UserError, match="3 trials failed, and none succeeded"):
        run(tmp_path, train, 9, patience=3)


def test_a_study_of_other_images_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="other images or settings"):
        open_study(folder, "two", seed=0)


def test_a_damaged_study_is_explained(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigError, match=r"study\.db can't be opened"):
        open_study(tmp_path, "one", seed=0)


@given(st.sampled_from(sorted(PRESETS)), st.integers(32, 2048), st.integers(0, 2**20))
def test_each_candidate_is_a_valid_recipe(preset: str, size: int, seed: int) -> None:
    recipe = replace(PRESETS[preset], lr=PRESETS[preset].lr or 1e-4)
    space = SearchSpace(recipe, ModelConfig(image_size=size))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    candidate = space.suggest(trial)
    # Checks each bound and each rule.
    TrainConfig(recipe=candidate.recipe, model=ModelConfig(image_size=candidate.image_size))
    assert space.candidate(trial.params) == candidate


def test_a_preset_file_sets_the_defaults_and_its_options_repeat_the_run(tmp_path: Path) -> None:
    file = tmp_path / "preset.json"
    recipe = replace(PRESETS["recommended"], lr=3e-4, epochs=20)
    Preset(recipe=recipe, image_size=128).write(file)
    config = read_train_config(["--preset", str(file), "--epochs", "5"], COMMAND)
    assert config.recipe == replace(recipe, epochs=5)
    assert config.model.image_size == 128
    words = config.command().split()[2:]
    assert str(file) not in words
    assert read_train_config(words, COMMAND) == config


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read: No such file"),
        ("{", "has no settings of tune.py"),
        ('{"recipe": {"epochs": 0}, "image_size": 64}', "--epochs must be at least 1"),
    ],
)
def test_a_bad_preset_file_is_explained(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "preset.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        read_train_config([f"--preset={file}"], COMMAND)


def held_out(hits: list[int], losses: list[float], groups: list[int]) -> HeldOut:
    return HeldOut(np.array(hits, dtype=bool), np.array(losses), groups)


def test_the_gain_is_paired_over_all_check_folds() -> None:
    """Six surfaces gain an image each: p = 2 / 2^6. Losses fall by 1 on half of the images."""
    preset = [held_out([0, 0, 0], [2, 2, 2], [0, 1, 2]), held_out([0, 0, 0], [3, 3, 3], [3, 4, 5])]
    tuned = [held_out([1, 1, 1], [1, 1, 1], [0, 1, 2]), held_out([1, 1, 1], [3, 3, 3], [3, 4, 5])]
    before, after, difference, gain = measured_gain(preset, tuned, seed=0)
    assert (before.value, after.value) == (0, 1)
    assert difference.value == 1
    assert difference.p_value == pytest.approx(2 / 64)
    assert gain.value == pytest.approx(0.5)
    assert gain.low < 0.5 < gain.high


def test_a_single_surface_gives_its_gain_no_width() -> None:
    gain = loss_gain(np.array([0.25, 0.75]), [7, 7], seed=0)
    assert (gain.value, gain.low, gain.high) == (0.5, 0.5, 0.5)
