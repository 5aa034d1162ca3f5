"""Damaged run folders: each is resumed to the same weights, or refused in words. Never a traceback.

Every file of a run that was stopped, and of one that is finished, is damaged in every way.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file

from model_card.card import write_card
from tests.loopback_hub import LoopbackHub
from tests.support.damages import DAMAGES
from tests.support.published_folder import write_decision, write_published_folder
from tests.support.reports import example_report
from tests.support.small_run import going_on, small_config, train_until
from trainer import push
from trainer import train as train_command
from trainer.cli.command import run_command
from trainer.cli.flags import Command
from trainer.cli.flags import read_flags as parse_options
from trainer.config.run_folder import STARTED_FILE
from trainer.data.splits.dataset import Images
from trainer.errors import ConfigError
from trainer.evaluation import scores
from trainer.monitoring.epoch_log import BEST, LAST
from trainer.run import train
from trainer.runtime import checkpoint
from trainer.synthetic.samples import write_samples

RUN_FILES = [
    *("config.json", "images.json", "overlaps.json", "metrics.jsonl", "run.lock"),
    STARTED_FILE,
    *(LAST, BEST),
]
PUBLISHED_FILES = [
    *("model.safetensors", "config.json", "report.json", "decision.json", "decision.safetensors"),
    *("README.md", "figures/confusion_matrix.png"),
]
WRITTEN_AGAIN = {"metrics.jsonl", "run.lock"}
# What training needs, and can't make again.
NEEDED = {"config.json", LAST, BEST}


@pytest.fixture(autouse=True)
def _quick_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the tests of the finished model: weights are what is compared."""
    monkeypatch.setattr("trainer.training.build_package", lambda *_: None)
    monkeypatch.setattr("trainer.cli.summary.summary", lambda *_, **__: "")


@pytest.fixture(scope="module")
def parsed() -> dict[Any, Any]:
    """What options gave, by the options and their defaults."""
    return {}


@pytest.fixture(autouse=True)
def _same_options_parsed_once(monkeypatch: pytest.MonkeyPatch, parsed: dict[Any, Any]) -> None:
    """The same command on hundreds of folders: neither its options nor its network change."""

    def read_flags(words: list[str], command: Command, defaults: Any, given: Any) -> Any:
        key = (tuple(words), command, defaults)
        if key not in parsed:
            parsed[key] = parse_options(words, command, defaults, given)
        return parsed[key]

    monkeypatch.setattr("trainer.cli.run_settings.read_flags", read_flags)
    monkeypatch.setattr("trainer.model.backbone.check_network", lambda *_: None)


def _copy(source: Path, run_dir: Path) -> Path:
    """Return a fresh copy in the place of the last one, so that the command is the same."""
    shutil.rmtree(run_dir, ignore_errors=True)
    shutil.copytree(source, run_dir)
    return run_dir


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`whole`, an undisturbed run, and `halted`, stopped in the middle of its second epoch."""
    folder = tmp_path_factory.mktemp("runs")
    write_samples(folder / "strips", train_per_class=4, test_per_class=2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trainer.training.build_package", lambda *_: None)
        # At this rate the first epoch stays the best.
        recipe: dict[str, Any] = {"epochs": 2, "lr": 1e-30, "ema_decay": 0.9}
        train(small_config(folder / "strips", folder / "whole", **recipe))
        AcceleratorState._reset_state(reset_partial_state=True)
        config = small_config(folder / "strips", folder / "halted", **recipe)
        train_until(4, config, patched)
        AcceleratorState._reset_state(reset_partial_state=True)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "published"
    write_published_folder(folder)
    write_decision(folder)
    return folder


def _run(
    command: Callable[[list[str]], None],
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    """Run a command in this process; return its exit code and what it said of errors."""
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(sys, "argv", ["command", *flags])
    capsys.readouterr()
    code = run_command(command)
    _, _, error = capsys.readouterr().err.partition("Error: ")
    return code, error


def _assert_same_weights(run_dir: Path, whole: Path) -> None:
    for name in (LAST, BEST):
        expected, found = load_file(whole / name), load_file(run_dir / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name


@pytest.mark.parametrize("file", RUN_FILES)
def test_a_stopped_run(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
) -> None:
    for damage, harm in DAMAGES.items():
        # What is written again anyway is resumed each time, which takes a second.
        if file in WRITTEN_AGAIN and damage not in ("deleted", "null", "loop", "folder"):
            continue
        run_dir = _copy(runs / "halted", tmp_path / "run")
        harm(run_dir / file)
        code, error = _run(
            train_command.main, ["--run-dir", str(run_dir), "--resume"], monkeypatch, capsys
        )
        where = f"{file}: {damage}"
        assert code in (0, 2), where
        if code == 0:
            _assert_same_weights(run_dir, runs / "whole")
            # Without the last checkpoint, training starts again, and says so.
            assert file not in NEEDED or (file, damage) == (LAST, "deleted"), where
        else:
            assert file in error or "has no run" in error, where
            assert len(error) < 2000, where
        assert "id_rsa" not in error


def _of_another_version(file: Path) -> None:
    if file.suffix == ".json":
        facts = json.loads(file.read_text())
        if file.name == "config.json":
            # That version has written it whole.
            del facts["sha256"]
        first = next(iter(facts))
        changed = {"data": facts["data"] | {"crop_fraction": 1}} if first == "data" else {first: 7}
        file.write_text(json.dumps(facts | changed))
        return
    tensors, facts = checkpoint.load(file)
    facts = {name: value for name, value in facts.items() if name not in ("digest", "epoch")}
    checkpoint.save(file, tensors, facts)


def _without_checksum(file: Path) -> None:
    tensors, facts = checkpoint.load(file)
    save_file(tensors, file, {"facts": json.dumps(facts)})


def _of_another_network(file: Path) -> None:
    tensors, facts = checkpoint.load(file)
    checkpoint.save(file, {name + ".x": tensor for name, tensor in tensors.items()}, facts)


@pytest.mark.parametrize(
    ("file", "harm", "says"),
    [
        ("config.json", _of_another_version, r"config\.json.*data\.crop_fraction"),
        ("images.json", _of_another_version, r"images\.json.*is damaged"),
        ("overlaps.json", _of_another_version, r"overlaps\.json.*is damaged"),
        (LAST, _of_another_version, r"another version .*digest"),
        (LAST, _without_checksum, r"last\.safetensors.*another version"),
        (LAST, _of_another_network, r"last\.safetensors is of another network"),
        (BEST, _of_another_version, r"best\.safetensors holds the weights of another epoch"),
        (BEST, _without_checksum, r"best\.safetensors.*another version"),
    ],
)
def test_files_of_another_version(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    harm: Callable[[Path], None],
    says: str,
) -> None:
    shutil.copytree(runs / "halted", tmp_path / "run")
    harm(tmp_path / "run" / file)
    flags = ["--run-dir", str(tmp_path / "run"), "--resume"]
    code, error = _run(train_command.main, flags, monkeypatch, capsys)
    assert code == 2
    assert re.search(says, error), error


def test_pairs_of_unknown_images(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(runs / "halted", run_dir)
    facts = json.loads((run_dir / "overlaps.json").read_text())
    pair = {"label_a": "a", "label_b": "a", "turn": 0, "turn_in_words": "", "shift_y": 0}
    pair |= {"shift_x": 0, "shared_area": 1, "similarity": 1, "mean_difference": 0}
    facts["pairs"] = [pair | {"file_a": "no such.png", "file_b": "nor this.png"}]
    (run_dir / "overlaps.json").write_text(json.dumps(facts))
    flags = ["--run-dir", str(run_dir), "--resume"]
    code, error = _run(train_command.main, flags, monkeypatch, capsys)
    assert (code, "overlaps.json" in error) == (2, True)


@pytest.mark.parametrize("name", ["published", "published.partial", "figures", "pixels.partial"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_stands_where_a_folder_belongs(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    kind: str,
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(runs / "halted", run_dir)
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(run_dir / name, ignore_errors=True)
    if kind == "file":
        (run_dir / name).write_bytes(b"x")
    else:
        (run_dir / name).symlink_to(tmp_path / "elsewhere")
    flags = ["--run-dir", str(run_dir), "--resume"]
    code, error = _run(train_command.main, flags, monkeypatch, capsys)
    assert (code, name in error) == (2, True), error
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_best_weights_that_the_last_checkpoint_holds_too_are_written_again(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the best epoch is the last one, nothing is lost."""
    config = small_config(runs / "strips", tmp_path / "run", epochs=2, lr=1e-3, keep="last")
    train(config)
    whole = load_file(tmp_path / "run" / BEST)
    for harm in ("deleted", "flipped bit", "null"):
        DAMAGES[harm](tmp_path / "run" / BEST)
        AcceleratorState._reset_state(reset_partial_state=True)
        train(going_on(config))
        found = load_file(tmp_path / "run" / BEST)
        assert all(torch.equal(whole[name], found[name]) for name in whole | found)


@pytest.mark.parametrize("file", PUBLISHED_FILES)
def test_a_finished_run_whose_published_folder_is_damaged(
    runs: Path,
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hub: LoopbackHub,
    token: str,
    file: str,
) -> None:
    """Neither `train.py` takes it for finished, nor does `push.py` publish it."""
    for damage, harm in DAMAGES.items():
        if file == "README.md" and damage not in ("deleted", "link", "loop", "folder", "FIFO"):
            continue  # Its text does not matter: a push writes it again.
        run_dir = _copy(runs / "whole", tmp_path / "run")
        shutil.copytree(published, run_dir / "published")
        harm(run_dir / "published" / file)
        commands = [(push.main, ["--repo-id", "ada/steel"])]
        if damage == "deleted":
            commands += [
                (train_command.main, ["--resume"]),
                (train_command.main, ["--resume", "--license", "mit"]),
            ]
        for command, flags in commands:
            code, error = _run(command, ["--run-dir", str(run_dir), *flags], monkeypatch, capsys)
            assert (code, file in error) == (2, True), f"{file}: {damage}: {flags}: {error}"
            assert "id_rsa" not in error
    assert not hub.has_repo("model", "ada/steel")


def test_a_whole_finished_run_is_published(
    runs: Path,
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    hub: LoopbackHub,
    token: str,
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(runs / "whole", run_dir)
    shutil.copytree(published, run_dir / "published")
    flags = ["--run-dir", str(run_dir), "--repo-id", "ada/steel"]
    assert _run(push.main, flags, monkeypatch, capsys) == (0, "")
    assert hub.has_repo("model", "ada/steel")


def test_a_run_that_another_training_finished_meanwhile(
    runs: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two commands waits for the first, and then finds nothing left to do."""
    run_dir = tmp_path / "run"
    shutil.copytree(runs / "halted", run_dir)

    @contextmanager
    def waited(folder: Path) -> Iterator[None]:
        shutil.copytree(published, folder / "published")
        yield

    monkeypatch.setattr("trainer.run.only_training_in", waited)
    config = small_config(runs / "strips", run_dir, epochs=2, lr=1e-30, ema_decay=0.9)
    assert train(going_on(config)) == run_dir / "published"
    assert (run_dir / LAST).read_bytes() == (runs / "halted" / LAST).read_bytes()


def test_a_folder_in_which_another_training_began_meanwhile(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was empty when this one began to read its images."""
    run_dir = tmp_path / "run"

    @contextmanager
    def waited(folder: Path) -> Iterator[None]:
        shutil.copytree(runs / "halted", folder, dirs_exist_ok=True)
        yield

    monkeypatch.setattr("trainer.run.only_training_in", waited)
    with pytest.raises(ConfigError, match="has an unfinished run"):
        train(small_config(runs / "strips", run_dir, epochs=2))
    for name in ("config.json", LAST):
        assert (run_dir / name).read_bytes() == (runs / "halted" / name).read_bytes()


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("report.json", OSError(errno.ENOSPC, "No space left on device")),
        ("README.md", OSError(errno.EDQUOT, "Disk quota exceeded")),
        ("predictions.csv", OSError(errno.ENOSPC, "No space left on device")),
        ("split.csv", OSError(errno.ENOSPC, "No space left on device")),
    ],
)
def test_a_disk_that_fills_up_after_training(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    written: str,
    error: OSError,
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(runs / "halted", run_dir)
    opened = Path.open

    def full(path: Path, *args: Any, **kwargs: Any) -> Any:
        if written in path.name and "w" in (args[0] if args else kwargs.get("mode", "r")):
            raise error
        return opened(path, *args, **kwargs)

    def build_package(config: object, images: Images, *_: object) -> None:
        partial = run_dir / "published.partial"
        partial.mkdir()
        scores.write_predictions(images.splits["test"].select([]), [], run_dir)
        example_report().write(partial)
        write_card(partial)

    monkeypatch.setattr("trainer.training.build_package", build_package)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        flags = ["--run-dir", str(run_dir), "--resume"]
        code, words = _run(train_command.main, flags, monkeypatch, capsys)
    assert code == 2
    assert words.startswith(f"The disk is full: {run_dir} can't be written. Free some space.")
    assert f"--run-dir {run_dir} --resume" in words
    assert not (run_dir / "published").exists()
    assert written.startswith(("report", "README")) or not list(run_dir.glob("*.csv.partial"))
