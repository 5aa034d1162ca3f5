"""Real runs that are killed, run out of disk, or are asked to stop: nothing is lost."""

from __future__ import annotations

import errno
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from benchmarks.killed_run import (
    assert_same_weights,
    command,
    finish,
    start_and_kill,
    wait_until_said,
)
from tests.support.warm_process import WarmProcess
from trainer.config.run_lock import explained_failures, only_training_in
from trainer.errors import ConfigError, UserError
from trainer.synthetic.samples import write_samples

KILLS = 3


def start(data_dir: Path, run_dir: Path, *, epochs: int = 6, largest_file: int = -1) -> WarmProcess:
    """Start or resume a training; `largest_file` limits the size of its files, in bytes."""
    return WarmProcess(command(data_dir, run_dir, epochs=epochs), largest_file=largest_file)


@pytest.fixture(scope="module", autouse=True)
def _warm_trainings() -> Iterator[None]:
    """Start all trainings like `start`; `benchmarks.kill_and_resume`, a test of e2e, does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.killed_run.start", start)
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "strips"
    write_samples(folder, train_per_class=8, test_per_class=2)
    return folder


@pytest.fixture(scope="module")
def whole(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed run."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    finish(data_dir, run_dir)
    return run_dir


def test_killed_at_random_moments_the_weights_are_those_of_an_undisturbed_run(
    data_dir: Path, whole: Path, tmp_path: Path
) -> None:
    run_dir, chance = tmp_path / "run", random.Random(0)  # noqa: S311
    for _ in range(KILLS):
        start_and_kill(data_dir, run_dir, chance.uniform(0, 2))
    finish(data_dir, run_dir)
    assert_same_weights(run_dir, whole)


def test_ctrl_c_saves_the_step_and_says_how_to_go_on(
    data_dir: Path, whole: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    process = start(data_dir, run_dir)
    wait_until_said(process, "epoch 2/")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert f"python trainer/train.py --run-dir {run_dir} --resume" in errors
    done = len((run_dir / "metrics.jsonl").read_text().splitlines())
    assert 2 <= done < 6
    process = start(data_dir, run_dir)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    # The signal may arrive between two epochs; test_fit.py stops at a given step.
    assert f"Resuming after epoch {done}" in errors
    assert_same_weights(run_dir, whole)


def test_a_full_disk_is_reported_and_what_was_saved_stays_whole(
    data_dir: Path, whole: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    process = start(data_dir, run_dir)
    wait_until_said(process, "epoch 1/")
    process.kill()
    process.communicate(timeout=60)
    done = len((run_dir / "metrics.jsonl").read_text().splitlines())
    size = (run_dir / "last.safetensors").stat().st_size
    process = start(data_dir, run_dir, largest_file=size // 2)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert f"The disk is full: {run_dir} can't be written." in errors
    assert f"--run-dir {run_dir} --resume" in errors
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) >= done
    process = start(data_dir, run_dir)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert_same_weights(run_dir, whole)
    log = (run_dir / "metrics.jsonl").read_text().splitlines()
    kept = [json.loads(line)["epoch"] for line in log]
    assert kept == [1, 2, 3, 4, 5, 6]


def test_a_folder_holds_one_training_at_a_time(data_dir: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process = start(data_dir, run_dir)
    wait_until_said(process, "epoch 1/")
    with pytest.raises(ConfigError, match="Another training"), only_training_in(run_dir, wait_s=0):
        pass
    process.kill()
    process.communicate(timeout=60)
    before = _contents(run_dir)
    with only_training_in(run_dir, wait_s=0):
        process = start(data_dir, run_dir)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert f"Another training is running in {run_dir}." in errors
    assert _contents(run_dir) == before


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "GPU's memory is too small"),
        (MemoryError(), "memory is too small .* smaller --batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory is too"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full.* runs/a --resume"),
        (SafetensorError("Error while serializing: No space left on device"), "disk is full"),
        (
            OSError(errno.EROFS, "Read-only file system", "runs/a/split.csv.partial"),
            "runs/a/split.csv.partial can't be read or written: Read-only .* runs/a --resume",
        ),
        (
            OSError(errno.EISDIR, "Is a directory", "runs/a/x.partial", None, "runs/a/x"),
            "runs/a/x can't be read or written: Is a directory",
        ),
        (
            SafetensorError("Error while serializing: I/O error: Is a directory (os error 21)"),
            "runs/a can't be read or written: Is a directory",
        ),
    ],
)
def test_what_ran_out_is_reported(error: Exception, words: str) -> None:
    with pytest.raises(UserError, match=words), explained_failures(Path("runs/a")):
        raise error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(OSError, match="denied"), explained_failures(Path("runs/a")):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(OSError, match="denied"), explained_failures(Path("runs/a")):
        raise PermissionError(errno.EACCES, "Permission denied", "runs/abc/image.png")
    with pytest.raises(SafetensorError, match="Header"), explained_failures(Path("runs/a")):
        raise SafetensorError("HeaderTooLarge")
    with pytest.raises(RuntimeError, match="shape"), explained_failures(Path("runs/a")):
        raise RuntimeError("shape mismatch")
