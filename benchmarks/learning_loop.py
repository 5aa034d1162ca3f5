"""The loop of answer, correction and training, on photographs: hide labels, correct, train again.

The images are split once, in groups of shared surface. Of the training images, a share is hidden
and the first model is trained without them. They are then sent to its web page, where a program
corrects them as a person would. The second model is trained with these corrections. Both are
compared on the same test images, paired by group of surface. Each training is `trainer/train.py`
in its own process, with the flags in `--train-flags="…"`.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import tyro
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from tqdm import tqdm

from benchmarks.measurement import Measurement, number_column
from benchmarks.program import ROOT, run
from benchmarks.table import Column
from model_card.schema.report import Report
from space.inference.predictor import Predictor
from trainer.config.groups import DataConfig, RunConfig
from trainer.data.splits.dataset import Images, prepare_images
from trainer.promotion.comparison import compare

START_LIMIT_S = 180


@dataclass(frozen=True)
class Settings:
    """What corrections through the web page are worth, measured by training with them."""

    data_dir: Path
    """Folder with a folder for each class."""
    hidden: float = 0.2
    """Share of each class of the training split whose labels are hidden at first."""
    seed: int = 0
    """Of the choice of hidden images."""
    train_flags: str = (
        "--model tf_efficientnet_lite0 --preset recommended --image-size 160 --robustness-images 0"
    )
    """Flags of trainer/train.py, in quotes; paths in them must be absolute."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the accuracy before and after."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = DataConfig(data_dir=str(settings.data_dir))
        [images] = prepare_images(data, RunConfig(), None, None)
        chosen = choose_hidden(images, settings.hidden, settings.seed)
        link_images(images, chosen, settings.data_dir, folder / "data")
        before = train(folder, "before", settings)
        corrected = correct(before, chosen, settings.data_dir, folder / "feedback")
        after = train(folder, "after", settings, "--feedback", str(folder / "feedback"))
        measurement = measured(settings, corrected, before, after, folder)
    measurement.write(settings.json)


def measured(
    settings: Settings, corrected: int, before: Path, after: Path, folder: Path
) -> Measurement:
    """Return the table: both models on the same test images, and their paired difference."""
    reports = {"before": Report.read(before), "after": Report.read(after)}
    config = DataConfig(data_dir=str(folder / "data"), feedback=folder / "feedback")
    [images] = prepare_images(config, RunConfig(), None, after.parent)
    paired = compare(Predictor(after), Predictor(before), images, frozenset())
    feedback = reports["after"].data.feedback
    if paired is None or feedback is None:
        raise SystemExit("There is nothing to compare.")
    difference = paired.overall.difference
    measurement = Measurement(
        [
            Column(title="Model", aligned_right=False),
            number_column("Training images", "{:,}"),
            number_column("of these corrected", "{:,}"),
            number_column("Test accuracy, 95 % interval", "{:.2f} % ({:.2f}–{:.2f} %)"),
        ],
        f"{settings.hidden:.0%} of the labels hidden; {corrected} images corrected through the "
        f"page, {feedback.overlapping} left out because they share surface with validation or "
        f"test, {len(feedback.contradicting)} because they contradict; {paired.overall.images} "
        f"test images; paired difference {100 * difference.value:+.2f} points (95 % interval "
        f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}, p = "
        f"{difference.p_value:.3f}): {difference.verdict}",
    )
    for name, report in reports.items():
        [train_split] = [split for split in report.data.splits if split.name == "train"]
        score = report.test.scores["accuracy"]
        taken = sum(report.data.feedback.taken.values()) if report.data.feedback else 0
        measurement.add(
            name,
            train_split.images,
            taken,
            (100 * score.value, 100 * score.low, 100 * score.high),
        )
    return measurement


def choose_hidden(images: Images, share: float, seed: int) -> dict[str, str]:
    """Return the class of each training image whose label is hidden, by file."""
    rng, split = np.random.default_rng(seed), images.splits["train"]
    files, labels = np.array(split["file"][:]), np.array(split["label"][:])
    hidden: dict[str, str] = {}
    for number, label in enumerate(images.labels):
        own = files[labels == number]
        count = min(len(own) - 1, round(share * len(own)))
        hidden |= dict.fromkeys(map(str, rng.permutation(own)[:count]), label)
    return hidden


def link_images(images: Images, hidden: dict[str, str], source: Path, data: Path) -> None:
    """Create a data folder with the splits, without the hidden images."""
    for name, split in images.splits.items():
        for file, label in zip(split["file"][:], split["label"][:], strict=True):
            if file not in hidden:
                folder = data / name / images.labels[label]
                folder.mkdir(parents=True, exist_ok=True)
                (folder / file.replace("/", "_")).symlink_to((source / file).resolve())


def train(folder: Path, name: str, settings: Settings, *flags: str) -> Path:
    """Train a model; return its published folder."""
    run_dir = folder / name
    run(
        [
            *(sys.executable, ROOT / "trainer" / "train.py"),
            *("--data-dir", folder / "data", "--run-dir", run_dir),
            *("--cache-dir", folder / "cache"),
            *flags,
            *shlex.split(settings.train_flags),
        ],
        folder,
    )
    return run_dir / "published"


def correct(model: Path, hidden: dict[str, str], source: Path, feedback: Path) -> int:
    """Send each hidden image to the page of a model, with its class; return their number.

    Raises:
        SystemExit: the page did not store one.
    """
    with served(model, feedback) as url:
        client = Client(url, verbose=False)
        for file, label in tqdm(hidden.items(), "corrections", disable=None):
            image = handle_file(source / file)
            answer = client.predict(image, "class", label, "", api_name="/correct")
            if "Stored" not in answer:
                raise SystemExit(f"{file} was not stored: {answer}")
    return len(hidden)


@contextmanager
def served(model: Path, feedback: Path) -> Iterator[str]:
    """Serve the page of a model on this machine until the block ends; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "MODEL_ID": f"local-dir:{model}",
        "FEEDBACK_DIR": str(feedback),
        "GRADIO_SERVER_PORT": str(port),
        "ENGINE": "pytorch",
    }
    with subprocess.Popen(
        [sys.executable, ROOT / "space" / "app.py"], env=os.environ | settings
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process)
            yield url
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit("The web page did not start.")


if __name__ == "__main__":
    main(tyro.cli(Settings))
