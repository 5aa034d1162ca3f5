"""Real training on a tiny drawn data set: the loop, its checkpoints, resuming after a stop."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from model_card.schema.report import Report
from tests.support.small_run import going_on, small_config, train_until
from trainer.config.settings import TrainConfig
from trainer.data.image_record import RECORD_FILE
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images
from trainer.errors import ConfigError, DataError, UserError
from trainer.fitting.loop import TrainingLoop
from trainer.fitting.state import TrainingState
from trainer.fitting.step import TrainingStep
from trainer.inputs.held import HeldImages
from trainer.inputs.loading import Batch
from trainer.model.compilation import KERNELS_VARIABLE
from trainer.monitoring.epoch_log import BEST, LAST, METRICS
from trainer.run import train
from trainer.runtime import checkpoint
from trainer.runtime.interruption import Stopped
from trainer.synthetic.samples import write_samples


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "strips"
    write_samples(folder, train_per_class=4, test_per_class=2)
    return folder


def test_test_images_are_decoded_once_while_they_are_examined(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = []

    def package(config: Any, images: Images, *_: Any) -> None:
        row = images.splits["test"][0]
        same.append(open_image(row) is open_image(row))

    monkeypatch.setattr("trainer.training.build_package", package)
    train(small_config(data_dir, tmp_path / "run", epochs=1))
    assert same == [True]


def test_epochs_that_settle_are_the_last_ones(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settling all the time is the same as never turning or moving an image."""
    monkeypatch.setattr("trainer.training.build_package", lambda *_: None)
    still = {"rotation": 0.0, "shear": 0.0, "translation": 0.0}
    runs: dict[str, dict[str, Any]] = {
        "usual": {"epochs": 1},
        "settling": {"plain_epochs": 2},
        "still": {"plain_epochs": 3},
        "without": still,
    }
    logs = {}
    for name, recipe in runs.items():
        train(small_config(data_dir, tmp_path / name, **recipe))
        lines = (tmp_path / name / METRICS).read_text().splitlines()
        logs[name] = [json.loads(line)["train_loss"] for line in lines]
    assert logs["settling"][0] == logs["usual"][0]
    assert logs["still"] == logs["without"]
    assert logs["still"][0] != logs["usual"][0]
    assert logs["settling"][1:] != logs["still"][1:]


def test_steps_are_recorded_unless_no_graphs_is_given(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are compiled in long trainings of large networks, or on demand."""
    recorded = []

    class Recorder:
        def __init__(self, step: TrainingStep, *, compile_blocks: bool) -> None:
            assert step.passes is step.model, "blocks are compiled instead of the network"
            recorded.append(compile_blocks)
            self.step = step.step

    # As on a GPU.
    monkeypatch.setattr("trainer.fitting.loop.graphs_fit", lambda _: True)
    monkeypatch.setattr("trainer.fitting.loop.GraphedSteps", Recorder)
    monkeypatch.setattr("trainer.training.build_package", lambda *_: None)
    monkeypatch.setattr("trainer.run._check_machine", lambda *_: None)
    worth = []

    def noted(network: torch.nn.Module, side_px: int, images: int) -> bool:
        worth.append((side_px, images))
        return len(worth) == 2

    monkeypatch.setattr("trainer.fitting.loop.worth_compiling", noted)
    # Set before it is deleted: so it is missing after the test, too.
    monkeypatch.setenv(KERNELS_VARIABLE, "")
    monkeypatch.delenv(KERNELS_VARIABLE)
    all_options: list[dict[str, Any]] = [{"graphs": False}, {}, {}, {"compile": True}]
    for number, options in enumerate(all_options):
        config = small_config(data_dir, tmp_path / str(number), epochs=1)
        assert config.run.graphs
        run = replace(config.run, cache_dir=tmp_path / "cache", **options)
        train(replace(config, run=run))
    assert recorded == [False, True, True]
    assert worth == 2 * [(config.model.image_size, 18)]
    assert os.environ[KERNELS_VARIABLE] == str(tmp_path / "cache" / "kernels")


def test_images_held_on_the_device_train_the_same_weights(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.build_package", lambda *_: None)
    used = []
    batches = HeldImages.__iter__

    def noted(held: HeldImages) -> Iterator[Batch]:
        used.append(held)
        return batches(held)

    monkeypatch.setattr(HeldImages, "__iter__", noted)
    for held in (False, True):
        monkeypatch.setattr("trainer.fitting.loop.fits_device", lambda *_, held=held: held)
        train(small_config(data_dir, tmp_path / str(held), epochs=2))
        assert len(used) == 2 * held
    one, other = (load_file(tmp_path / str(held) / LAST) for held in (False, True))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


MIXED: dict[str, Any] = {"mixup": 0.4, "cutmix": 1.0, "layer_decay": 0.8, "label_smoothing": 0.1}


def _averaged(data_dir: Path, run_dir: Path, more: dict[str, Any]) -> TrainConfig:
    recipe = {"schedule": "cosine", "warmup_epochs": 1, "ema_decay": 0.9, "clip_grad": 1.0, **more}
    return small_config(data_dir, run_dir, model="test_efficientnet", **recipe)


@pytest.fixture(scope="module")
def published(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run."""
    run_dir = tmp_path_factory.mktemp("undisturbed") / "whole"
    train(_averaged(data_dir, run_dir, {}))
    AcceleratorState._reset_state(reset_partial_state=True)
    return run_dir


# 18 images make three steps an epoch: stopped after the last step of epoch 1, and after the first
# of epoch 2. Then five passes make two steps, of three passes and of two: stopped in a first one.
# The published folder follows from the best weights, so one of the resumed runs writes it.
@pytest.mark.parametrize(
    ("stopped_in", "by", "steps", "more", "publishes"),
    [
        (2, signal.SIGTERM, 3, {}, True),
        (3, signal.SIGINT, 3, {}, False),
        (3, signal.SIGHUP, 3, MIXED | {"workers": 1}, False),
        (6, signal.SIGTERM, 2, {"batch_size": 4, "accumulate": 3}, False),
    ],
)
def test_resumed_run_equals_an_undisturbed_one(
    data_dir: Path,
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_in: int,
    by: signal.Signals,
    steps: int,
    more: dict[str, Any],
    publishes: bool,
) -> None:
    if not publishes:
        monkeypatch.setattr("trainer.training.build_package", lambda *_: None)
    whole, halted = published, tmp_path / "halted"
    if more:
        whole = tmp_path / "whole"
        train(_averaged(data_dir, whole, more))

    config = _averaged(data_dir, halted, more)
    train_until(stopped_in, config, monkeypatch, by)
    assert not (halted / "published").exists()
    train(going_on(config))

    for name in (BEST, LAST, *(["published/model.safetensors"] if publishes else [])):
        expected, found = (load_file(run_dir / name) for run_dir in (whole, halted))
        assert expected.keys() == found.keys()
        for tensor in expected:
            assert torch.equal(expected[tensor], found[tensor]), f"{name}: {tensor}"
    logs = [
        [{**json.loads(line), "seconds": 0} for line in file.read_text().splitlines()]
        for file in (whole / METRICS, halted / METRICS)
    ]
    assert logs[0] == logs[1]
    assert [line["epoch"] for line in logs[0]] == [1, 2, 3]
    # Warm-up in epoch 1, then down the cosine to nearly nothing.
    assert logs[0][0]["lr"] < 1e-3
    assert logs[0][1]["lr"] > logs[0][2]["lr"]
    last_share = (3 * steps - 1) / (3 * steps)
    assert logs[0][2]["lr"] == pytest.approx(1e-3 * 0.5 * (1 + math.cos(math.pi * last_share)))

    # The average is what is kept, and is not the plain weights.
    tensors, facts = checkpoint.load(whole / LAST)
    best, of_best = checkpoint.load(whole / BEST)
    average, plain = (checkpoint.unpack(tensors, part) for part in ("average", "model"))
    weight = "conv_stem.weight"
    assert not torch.equal(average[weight], plain[weight])
    if of_best["epoch"] == 3:
        assert torch.equal(best[weight], average[weight])
    assert len(facts["epochs"]) == 3


def test_the_best_weights_are_published(published: Path) -> None:
    best = load_file(published / BEST)
    weights = load_file(published / "published/model.safetensors")
    assert all(torch.equal(best[name], weights[name]) for name in best | weights)
    [epoch] = [e for e in Report.read(published / "published").training.epochs if e.published]
    assert epoch.epoch == checkpoint.load(published / BEST)[1]["epoch"]


def test_finished_run_is_left_alone(data_dir: Path, tmp_path: Path) -> None:
    config = small_config(data_dir, tmp_path / "run", epochs=1)
    folder = train(config)
    before = {f: f.stat().st_mtime_ns for f in folder.rglob("*")}
    assert train(going_on(config)) == folder == tmp_path / "run/published"
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*")} == before
    with pytest.raises(ConfigError, match="has a finished run"):
        train(config)


def test_the_last_epoch_is_kept_where_that_is_asked_for(data_dir: Path, tmp_path: Path) -> None:
    config = small_config(data_dir, tmp_path / "run", epochs=3, keep="last", lr=1e-3)
    folder = train(config)
    assert [epoch.published for epoch in Report.read(folder).training.epochs] == [
        False,
        False,
        True,
    ]
    last = checkpoint.unpack(checkpoint.load(tmp_path / "run" / LAST)[0], "model")
    published = load_file(folder / "model.safetensors")
    assert published.keys() == last.keys()
    assert all(torch.equal(last[name], published[name]) for name in last)


def test_early_stopping(data_dir: Path, tmp_path: Path) -> None:
    # At this rate no weight moves, so that nothing improves after the first epoch.
    config = small_config(data_dir, tmp_path / "run", epochs=9, early_stopping=2, lr=1e-30)
    report = Report.read(train(config))
    assert report.training.stopped_early
    assert [epoch.published for epoch in report.training.epochs] == [True, False, False]
    assert "early" in (tmp_path / "run/published/README.md").read_text().lower()


@pytest.mark.parametrize("epochs", [1, 3])
def test_loss_that_is_no_number(data_dir: Path, tmp_path: Path, epochs: int) -> None:
    """With one step an epoch, a last epoch's harm shows in validation alone."""
    config = small_config(data_dir, tmp_path / "run", lr=1e20, batch_size=64, epochs=epochs)
    with pytest.raises(UserError, match=r"no longer a number in epoch 1.*lower --lr"):
        train(config)
    assert not (tmp_path / "run/published").exists()
    assert not (tmp_path / "run" / LAST).exists()


@pytest.fixture(scope="module")
def begun(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped in its second step."""
    run_dir = tmp_path_factory.mktemp("begun") / "run"
    with pytest.MonkeyPatch.context() as patched:
        train_until(1, small_config(data_dir, run_dir), patched)
    AcceleratorState._reset_state(reset_partial_state=True)
    return run_dir


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda file: file.unlink(), r"1 missing \(train/Pitted/pitted_0001\.png\)"),
        (lambda file: shutil.copy(file, file.with_name("x.png")), r"1 new \(train/Pitted/x\.png"),
        # Other pixels under the same name, size and time.
        (
            lambda file: file.write_bytes(file.with_name("pitted_0002.png").read_bytes()),
            r"1 changed \(train/Pitted/pitted_0001\.png\)",
        ),
    ],
)
def test_changed_images_are_named(
    data_dir: Path,
    begun: Path,
    tmp_path: Path,
    harm: Callable[[Path], object],
    says: str,
) -> None:
    copy = tmp_path / "strips"
    shutil.copytree(data_dir, copy)
    shutil.copytree(begun, tmp_path / "run")
    config = small_config(copy, tmp_path / "run")
    harm(copy / "train/Pitted/pitted_0001.png")
    with pytest.raises(ConfigError, match=f"the run in .* started with: {says}") as refused:
        train(going_on(config))
    assert str(refused.value).count("train/") == 1
    # Without the list of files the change is still noticed.
    (tmp_path / "run" / RECORD_FILE).unlink()
    with pytest.raises(ConfigError, match=r"images have changed since the run in .* started\."):
        train(going_on(config))
    assert not (tmp_path / "run" / RECORD_FILE).exists(), "they are not the images of this run"


def test_images_may_change_until_something_was_trained(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What overlaps is then searched again: it was found in other pixels."""
    copy = tmp_path / "strips"
    shutil.copytree(data_dir, copy)
    config = small_config(copy, tmp_path / "run", epochs=1)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr("trainer.training.backbone.build", _stop)
        train(config)
    changed = copy / "train/Pitted/pitted_0001.png"
    changed.write_bytes((copy / "train/Pitted/pitted_0002.png").read_bytes())
    train_until(0, going_on(config), monkeypatch)
    pairs = json.loads((tmp_path / "run/overlaps.json").read_text())["pairs"]
    names = ("train/Pitted/pitted_0001.png", "train/Pitted/pitted_0002.png")
    assert names in [(pair["file_a"], pair["file_b"]) for pair in pairs]


def _stop(*_: object, **__: object) -> None:
    raise Stopped(signal.SIGTERM)


@pytest.mark.parametrize("moment", ["in validation", "after the last epoch"])
def test_a_signal_during_validation_is_not_forgotten(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    recipe: dict[str, Any] = {"epochs": 2, "ema_decay": 0.9}
    whole, halted = (
        small_config(data_dir, tmp_path / name, **recipe) for name in ("whole", "halted")
    )
    monkeypatch.setattr("trainer.training.build_package", lambda *_: None)
    train(whole)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        owner, method = (
            (TrainingLoop, "_validate") if moment == "in validation" else (TrainingState, "save")
        )
        original = getattr(owner, method)

        def interrupted(owner_instance: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return original(owner_instance)

        patched.setattr(owner, method, interrupted)
        train(halted)
    done = checkpoint.load(tmp_path / "halted" / LAST)[1]
    assert len(done["epochs"]) == (0 if moment == "in validation" else 1)
    assert done["begun"]["steps"] == (3 if moment == "in validation" else 0)
    train(going_on(halted))
    for name in (BEST, LAST):
        expected, found = (load_file(tmp_path / run / name) for run in ("whole", "halted"))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[tensor], found[tensor]) for tensor in expected)


def test_damaged_checkpoint_is_named(data_dir: Path, tmp_path: Path) -> None:
    config = small_config(data_dir, tmp_path / "run")
    (tmp_path / "run").mkdir()
    config.write(tmp_path / "run")
    (tmp_path / "run" / LAST).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"last\.safetensors can't be read"):
        train(going_on(config))


def test_batch_size_is_found_once(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def attempt(model: Any, images: int, *_: Any) -> None:
        tried.append(images)
        if images > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("trainer.fitting.batch_size.check_gpu", lambda device: None)
    monkeypatch.setattr("trainer.fitting.batch_size.try_step", attempt)
    config = small_config(data_dir, tmp_path / "run", epochs=1)
    asked = replace(config, run=replace(config.run, find_batch_size=True))
    train_until(1, asked, monkeypatch)
    assert tried == [8, 4]
    found = TrainConfig.read(tmp_path / "run")
    assert (found.recipe.batch_size, found.recipe.accumulate) == (4, 2)
    report = Report.read(train(going_on(found)))
    assert tried == [8, 4]
    assert "--batch-size 4 --accumulate 2" in report.training.command
