"""Two processes train what one process trains, and write it once."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from model_card.report import Report
from space.images import read_image
from space.predictor import Predictor
from tests.loopback_hub import LoopbackHub
from tests.small_run import small_config
from trainer.drawn_samples import write_samples
from trainer.run import train
from trainer.split import SPLIT_FILE

TRAINER = Path(__file__).parents[2] / "trainer"
# `accelerate launch --cpu` starts two processes on one machine through MPI alone, which few have;
# torchrun, which it calls for GPUs, does it without. Standalone picks a free port.
LAUNCHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def _on_two(script: str, data_dir: Path, run_dir: Path, *flags: str) -> str:
    """Run a script in two processes; return what it prints."""
    settings = "--validation-fraction 0.25 --no-pretrained --image-size 32 --epochs 2 --lr 1e-3"
    settings += " --batch-size 6 --mixed-precision no"
    folders = ["--data-dir", str(data_dir), "--run-dir", str(run_dir)]
    done = subprocess.run(
        [sys.executable, *LAUNCHER, TRAINER / script, *folders, *settings.split(), *flags],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",
            "PYTHONPATH": str(TRAINER.parent),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 1/2 ") == 1
    return done.stdout


def _train_on_two(data_dir: Path, run_dir: Path, *flags: str) -> Path:
    told = _on_two("train.py", data_dir, run_dir, *flags)
    assert told == f"{run_dir / 'published'}\n", "one process speaks for all"
    return run_dir / "published"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which 18 are for training: whole batches, so that two processes share evenly."""
    folder = tmp_path_factory.mktemp("data") / "strips"
    write_samples(folder, train_per_class=4, test_per_class=2)
    return folder


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_train_what_one_trains(
    data_dir: Path, tmp_path: Path, accumulate: int
) -> None:
    recipe: dict[str, Any] = {"epochs": 2, "batch_size": 6, "ema_decay": 0.9}
    alone = small_config(data_dir, tmp_path / "one", accumulate=accumulate, **recipe)
    one = Report.read(train(alone))
    AcceleratorState._reset_state(reset_partial_state=True)
    flags = ["--model", "test_convnext", "--ema-decay", "0.9", "--accumulate", str(accumulate)]
    two = Report.read(_train_on_two(data_dir, tmp_path / "two", *flags))
    assert (one.machine.processes, two.machine.processes) == (1, 2)
    for expected, found in zip(one.training.epochs, two.training.epochs, strict=True):
        # Images, order and augmentation are the same; only sums are taken in another order.
        assert found.train_loss == pytest.approx(expected.train_loss, rel=1e-3)
        assert found.validation_loss == pytest.approx(expected.validation_loss, rel=1e-3)
    assert two.test.scores.auc.value == pytest.approx(one.test.scores.auc.value, abs=0.02)
    log = (tmp_path / "two/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]
    assert not list((tmp_path / "two").glob("*.partial"))


def test_two_processes_with_batch_statistics(data_dir: Path, tmp_path: Path) -> None:
    folder = _train_on_two(data_dir, tmp_path / "run", "--model", "test_efficientnet")
    report = Report.read(folder)
    assert report.machine.processes == 2
    kept = next(epoch for epoch in report.training.epochs if epoch.kept)
    weights = load_file(folder / "model.safetensors")
    counts = [value for name, value in weights.items() if name.endswith("num_batches_tracked")]
    # Three steps an epoch.
    assert {int(count) for count in counts} == {3 * kept.epoch}
    means = [value for name, value in weights.items() if name.endswith("running_mean")]
    assert len(means) == len(counts) > 0
    assert all(mean.abs().max() > 0 for mean in means)
    # Both processes validated with the statistics that are published.
    predictor = Predictor(folder)
    with (tmp_path / "run" / SPLIT_FILE).open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["part"] == "validation"]
    logits = predictor.logits([read_image(data_dir / row["file"]) for row in rows])
    truth = torch.tensor([predictor.labels.index(row["label"]) for row in rows])
    loss = torch.nn.functional.cross_entropy(logits, truth).item()
    assert kept.validation_loss == pytest.approx(loss, rel=1e-4)


def test_of_two_processes_one_uploads(
    data_dir: Path, tmp_path: Path, hub: LoopbackHub, token: str
) -> None:
    flags = ["--model", "test_convnext", "--repo-id", "ada/steel"]
    told = _on_two("push.py", data_dir, tmp_path / "run", *flags)
    assert told == f"{hub.url}/ada/steel\n"
    assert sum("/commit/" in request.path for request in hub.requests) == 1
