"""The check for GPUs on a processor: the same steps, with its CUDA parts skipped by name."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from benchmarks import gpu_check
from benchmarks.gpu_check import NO_CUDA, Settings, main
from benchmarks.gpu_table import KINDS, table
from trainer.cli.run_settings import read_train_config
from trainer.fitting.graphs import GraphedSteps
from trainer.fitting.step import TrainingStep
from trainer.inputs.loading import Batch
from trainer.model.cost import forward_operations
from trainer.runtime.interruption import Stopped
from trainer.train import COMMAND


@pytest.mark.slow
def test_a_dry_run_compares_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The compiler's time is not what is tested.
    monkeypatch.setattr("torch.compile", lambda function, **_: function)
    file = tmp_path / "check.json"
    main(Settings("test_convnext", 32, batch_sizes=(2,), steps=2, json=file))
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["profile"] == result["jobs"] == result["floor_tflops"] == NO_CUDA
    assert result["timm"] == {"skipped": "needs --timm-checkout"}
    for kind in ("recorded", "compiled"):
        assert result["batches"]["2"][f"{kind}_first_steps_equal"] is True
        assert result["batches"]["2"][f"{kind}_images_per_s"] > 0
    assert result["resume"]["bit_equal"]
    assert result["resume"]["tensors"] > 100


def test_a_resume_that_loses_the_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda function, **_: function)
    monkeypatch.setattr(TrainingStep, "restore", lambda *_: None)
    found = gpu_check._resume(Settings("test_convnext", 32, batch_sizes=(2,)))
    assert not found["bit_equal"]
    assert 0 < found["differing"] <= found["tensors"]


def test_steps_that_are_not_equal_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GraphedSteps, "_prove", lambda _: False)
    row = gpu_check._compare(Settings("test_convnext", 32, steps=2), 2)
    assert row["recorded_first_steps_equal"] is row["compiled_first_steps_equal"] is False


def test_the_rate_is_of_images_in_the_timed_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, taken = iter([10.0, 12.0]), []

    def take(batches: list[Batch], number: int) -> torch.Tensor:
        taken.append(number)
        return torch.zeros(3)

    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    batch = Batch(torch.zeros(8), [1] * 8, torch.zeros(8))
    assert gpu_check._rate(take, batch, 4) == 4 * 8 / 2.0
    # The first one, which is not timed, records.
    assert taken == [0, 1, 2, 3, 4]


def test_an_image_costs_a_forward_pass_and_two_backward() -> None:
    settings = Settings("test_convnext", 32)
    once = forward_operations(timm.create_model("test_convnext"), (32, 32))
    assert gpu_check._operations(settings) == 3 * once


def test_a_time_limit_leaves_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {2: {"recorded_images_per_s": 9.0}}

    def compare(settings: Settings, size: int) -> dict[str, float]:
        if size not in measured:
            # As `timeout` does.
            os.kill(os.getpid(), signal.SIGTERM)
        return measured[size]

    monkeypatch.setattr(gpu_check, "_compare", compare)
    monkeypatch.setattr(gpu_check, "_resume", lambda settings: {})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    file = tmp_path / "check.json"
    with pytest.raises(Stopped):
        main(Settings("test_convnext", 32, batch_sizes=(2, 4), json=file))
    assert json.loads(file.read_text(encoding="utf-8"))["batches"] == {"2": measured[2]}


@pytest.mark.slow
def test_whole_jobs_are_timed_by_phase_and_a_failed_one_leaves_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import json, sys\n"
        f"with open({str(tmp_path / 'commands')!r}, 'a') as file:\n"
        "    print(json.dumps(sys.argv[1:]), file=file)\n"
        "for line in ('1/5 check', 'about the data', '3/5 train', 'epoch 1/16 loss'):\n"
        "    print(line, file=sys.stderr, flush=True)\n"
        "sys.exit('out of memory' if 'convnext_base' in sys.argv else 0)\n"
    )
    (tmp_path / "trainer").mkdir()
    script.rename(tmp_path / "trainer" / "train.py")
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    monkeypatch.setattr(gpu_check, "TRAIN_PER_CLASS", 2)
    monkeypatch.setattr(gpu_check, "TEST_PER_CLASS", 1)
    found: dict[str, Any] = {}
    gpu_check._time_jobs(found)
    assert [*found] == ["lite0, recommended", "reference"]
    whole, failed = found.values()
    assert [*whole] == ["check", "train", "end of epoch 1", "end"]
    assert 0 < whole["check"] <= whole["train"] <= whole["end of epoch 1"] <= whole["end"]
    assert failed["failed"].endswith("out of memory\n")
    commands = map(json.loads, (tmp_path / "commands").read_text().splitlines())
    settings = [read_train_config(command, COMMAND) for command in commands]
    assert [each.recipe.epochs for each in settings] == [16, 50]
    assert len({each.run.run_dir for each in settings}) == 2


def test_the_table_of_a_check_by_hand() -> None:
    rates = {"plain": 100.0, "recorded": 150.0, "compiled": 400.0}
    batch = {f"{kind}_images_per_s": rate for kind, rate in rates.items()}
    batch |= {f"{kind}_share_of_floor": rate / 1000 for kind, rate in rates.items()}
    batch |= {f"{kind}_start_s": rate / 100 for kind, rate in rates.items()}
    found = table(
        {
            "command": "python -m benchmarks.gpu_check",
            "date": "2026-11-27",
            "machine": "a GPU",
            "image_size": 64,
            "model": "test_convnext",
            "versions": {"python": "3.12", "torch": "2.11", "timm": "1.0", "datasets": "5.2"},
            "floor_tflops": 812.4,
            "batches": {"16": batch},
        }
    )
    assert found.rows == (
        (16, KINDS["plain"], 100.0, 1.0, 0.1, 1.0),
        (16, KINDS["recorded"], 150.0, 1.5, 0.15, 1.5),
        (16, KINDS["compiled"], 400.0, 4.0, 0.4, 4.0),
    )
    assert "27 November 2026; python 3.12, torch 2.11, timm 1.0; `test_convnext` at 64 px" in (
        found.measured()
    )
    assert "812 TFLOP/s" in found.measured()
