"""Two processes train what one process trains, write it once, and stop after the same step."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from model_card.schema.report import Report
from space.inference.images.reader import read_image
from space.inference.predictor import Predictor
from tests.loopback_hub import LoopbackHub
from tests.support.running_space import free_port
from tests.support.small_run import small_config
from tests.support.warm_process import WarmProcess
from trainer.data.splits.split import SPLIT_FILE
from trainer.monitoring.epoch_log import LAST, METRICS
from trainer.run import train
from trainer.runtime import checkpoint
from trainer.synthetic.samples import write_samples

ROOT = Path(__file__).parents[2]
# `accelerate launch --cpu` starts two processes on one machine through MPI alone, which few have;
# torchrun, which it calls for GPUs, does it without. Standalone picks a free port.
LAUNCHER = ["-m", "tests.support.warm_launcher", "torch.distributed.run"]
LAUNCHER += ["--standalone", "--nproc-per-node", "2"]


def _words(script: str, data_dir: Path, run_dir: Path, *flags: str) -> list[str]:
    settings = "--validation-fraction 0.25 --no-pretrained --image-size 32 --epochs 2 --lr 1e-3"
    settings += " --batch-size 6 --mixed-precision no"
    folders = ["--data-dir", str(data_dir), "--run-dir", str(run_dir)]
    return [str(ROOT / script), *folders, *settings.split(), *flags]


def _by_launcher(
    script: str, data_dir: Path, run_dir: Path, *flags: str, environment: dict[str, str]
) -> tuple[int | None, str]:
    """Run a script in two processes, which torchrun starts; return its exit code and messages."""
    launcher = WarmProcess(
        [*LAUNCHER, *_words(script, data_dir, run_dir, *flags)],
        environment={"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT), **environment},
    )
    _, errors = launcher.communicate()
    return launcher.returncode, errors


def _on_two(script: str, data_dir: Path, run_dir: Path, *flags: str) -> tuple[str, str]:
    """Run a script in two processes without a launcher; return what both print."""
    both = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "ACCELERATE_USE_CPU": "1"}
    both |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        WarmProcess(
            _words(script, data_dir, run_dir, *flags),
            environment=both | {"RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    printed = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    output, errors = ("".join(texts) for texts in zip(*printed, strict=True))
    return output, errors


def _train_on_two(data_dir: Path, run_dir: Path, *flags: str) -> Path:
    output, errors = _on_two("trainer/train.py", data_dir, run_dir, *flags)
    assert errors.count("epoch 1/2 ") == 1
    assert output == f"{run_dir / 'published'}\n", "one process prints for all"
    return run_dir / "published"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which 18 are for training: whole batches, so that two processes share evenly."""
    folder = tmp_path_factory.mktemp("data") / "strips"
    write_samples(folder, train_per_class=4, test_per_class=2)
    return folder


def test_two_processes_train_what_one_trains(data_dir: Path, tmp_path: Path) -> None:
    # Three batches make two steps: one of two batches, one of a single batch.
    recipe: dict[str, Any] = {"epochs": 2, "batch_size": 6, "ema_decay": 0.9, "accumulate": 2}
    alone = small_config(data_dir, tmp_path / "one", **recipe)
    one = Report.read(train(alone))
    AcceleratorState._reset_state(reset_partial_state=True)
    flags = ["--model", "test_convnext", "--ema-decay", "0.9", "--accumulate", "2"]
    two = Report.read(_train_on_two(data_dir, tmp_path / "two", *flags))
    assert (one.machine.processes, two.machine.processes) == (1, 2)
    for expected, found in zip(one.training.epochs, two.training.epochs, strict=True):
        # Images, order and augmentation are the same; only sums are taken in another order.
        assert found.train_loss == pytest.approx(expected.train_loss, rel=1e-3)
        assert found.validation_loss == pytest.approx(expected.validation_loss, rel=1e-3)
    assert two.test.scores["auc"].value == pytest.approx(one.test.scores["auc"].value, abs=0.02)
    assert [line["epoch"] for line in _log(tmp_path / "two")] == [1, 2]
    assert not list((tmp_path / "two").glob("*.partial"))


def test_two_processes_that_are_stopped_twice_train_what_undisturbed_ones_train(
    data_dir: Path, tmp_path: Path, hub: LoopbackHub, token: str
) -> None:
    """With batch statistics, and with mixing, for which each process draws its own numbers.

    A signal reaches one process in epoch 1; then both and their launcher, which passes it on, in
    epoch 2. `push.py` resumes, and one process uploads.
    """
    flags = ["--model", "test_efficientnet", "--mixup", "0.4"]
    whole = _train_on_two(data_dir, tmp_path / "whole", *flags)
    _check_batch_statistics(data_dir, tmp_path / "whole")

    run_dir = tmp_path / "run"
    for whom, signal_name, step, saved in (
        ("one", "SIGTERM", 1, (0, 2)),
        ("all", "SIGHUP", 2, (1, 2)),
    ):
        exit_code, errors = _by_launcher(
            "tests/support/signaled_train.py",
            data_dir,
            run_dir,
            *flags,
            *(["--resume"] if whom == "all" else []),
            environment={"STOP_WHOM": whom, "STOP_SIGNAL": signal_name, "STOP_STEP": str(step)},
        )
        assert exit_code == 1, "torchrun's own exit code"
        # Nothing prints a traceback but torchrun.
        assert errors.count("Traceback") == 1, errors
        assert errors.count("Stopping all processes after this step.") == 1
        advice = (
            f"accelerate launch --num_processes 2 trainer/train.py --run-dir {run_dir} --resume"
        )
        assert errors.count(f"  {advice}\n") == 1
        if whom == "one":
            # The first to end does so as one process that is stopped: 128 + SIGTERM. To the other,
            # torchrun then sends SIGTERM.
            root_cause = errors.rpartition("Root Cause")[2]
            assert re.search(r"exitcode  : 143 ", root_cause), errors
        tensors, facts = checkpoint.load(run_dir / LAST)
        assert (len(facts["epochs"]), facts["begun"]["steps"]) == saved
        assert facts["begun"]["totals"][2] == 6 * saved[1], "images of both processes"
        random_states = checkpoint.unpack(tensors, "random")
        assert random_states.keys() == {"0", "1"}
        assert not torch.equal(*random_states.values())

    push = ["--repo-id", "ada/steel", *flags]
    output, errors = _on_two("trainer/push.py", data_dir, run_dir, *push)
    assert output == f"{hub.url}/ada/steel\n", errors
    assert sum("/commit/" in request.path for request in hub.requests) == 1
    assert _log(run_dir) == _log(tmp_path / "whole")
    expected, found = (
        load_file(each / "model.safetensors") for each in (whole, run_dir / "published")
    )
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def _log(run_dir: Path) -> list[dict[str, Any]]:
    lines = (run_dir / METRICS).read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def _check_batch_statistics(data_dir: Path, run_dir: Path) -> None:
    """Check that both processes validated with the statistics that are published."""
    folder = run_dir / "published"
    report = Report.read(folder)
    assert report.machine.processes == 2
    kept = next(epoch for epoch in report.training.epochs if epoch.published)
    weights = load_file(folder / "model.safetensors")
    counts = [value for name, value in weights.items() if name.endswith("num_batches_tracked")]
    # Three steps an epoch.
    assert {int(count) for count in counts} == {3 * kept.epoch}
    means = [value for name, value in weights.items() if name.endswith("running_mean")]
    assert len(means) == len(counts) > 0
    assert all(mean.abs().max() > 0 for mean in means)
    predictor = Predictor(folder)
    with (run_dir / SPLIT_FILE).open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["split"] == "validation"]
    logits = predictor.logits([read_image(data_dir / row["file"]) for row in rows])
    truth = torch.tensor([predictor.labels.index(row["label"]) for row in rows])
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), truth).item()
    assert kept.validation_loss == pytest.approx(loss, rel=1e-4)
