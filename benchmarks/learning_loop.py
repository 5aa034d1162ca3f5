"""The loop of answer, correction, training and promotion, on photographs.

The images are split once, in groups of shared surface. Of the training images, a share is hidden
and the first model is trained without them and published. The hidden images are then sent to its
web page, where a program corrects them as a person would. The second model is trained with these
corrections and pushed to the same repository: `trainer/push.py` compares both on the same test
images, paired by group of surface, and promotes the new one unless it is worse. Each training is
`trainer/train.py` in its own process, with the flags in `--train-flags="…"`; the Hub is the
loopback hub of the tests.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from tqdm import tqdm

from benchmarks.measurement import Measurement, number_column
from benchmarks.program import ROOT, run
from benchmarks.space_server import served
from benchmarks.table import Column
from model_card.schema.report import Report
from trainer.config.groups import DataConfig, RunConfig
from trainer.data.splits.dataset import Images, prepare_images

REPO = "ada/strip"


@dataclass(frozen=True)
class Settings:
    """What corrections through the web page are worth, measured by training with them."""

    data_dir: Path
    """Folder with a folder for each class."""
    per_class: int | None = None
    """Use only this many images of each class, evenly chosen; by default all."""
    hidden: float = 0.9
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
    with tempfile.TemporaryDirectory() as temporary, loopback_hub() as hub:
        folder, source = Path(temporary), settings.data_dir
        if settings.per_class:
            source = link_some(source, settings.per_class, folder / "some")
        data = DataConfig(data_dir=(str(source),))
        [images] = prepare_images(data, RunConfig(), None, None)
        chosen = choose_hidden(images, settings.hidden, settings.seed)
        link_images(images, chosen, source, folder / "data")
        before = train(folder, "before", settings)
        push(before, folder, hub)
        corrected = correct(chosen, source, folder, hub)
        after = train(folder, "after", settings, "--feedback", str(folder / "feedback"))
        push(after, folder, hub)
        measurement = measured(settings, corrected, before, after)
    measurement.write(settings.json)


def measured(settings: Settings, corrected: int, before: Path, after: Path) -> Measurement:
    """Return the table: both models on the same test images, and what the promotion found."""
    reports = {"before": Report.read(before), "after": Report.read(after)}
    comparison, feedback = reports["after"].comparison, reports["after"].data.feedback
    if comparison is None or comparison.result is None or feedback is None:
        raise SystemExit("There is nothing to compare.")
    paired = comparison.result
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
        f"{difference.p_value:.3g}): push.py found the new model {difference.verdict} and replaced "
        "the published one",
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


def link_some(source: Path, per_class: int, folder: Path) -> Path:
    """Create a data folder with some images of each class; return it."""
    for label in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in label.iterdir() if path.is_file())
        (folder / label.name).mkdir(parents=True)
        for file in files[:: max(1, len(files) // per_class)][:per_class]:
            (folder / label.name / file.name).symlink_to(file.resolve())
    return folder


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


def push(model: Path, folder: Path, hub: dict[str, str]) -> None:
    """Publish a run; where a model is published, `push.py` compares them first."""
    program = ROOT / "trainer" / "push.py"
    run(
        [sys.executable, program, "--run-dir", model.parent, "--repo-id", REPO],
        folder,
        **hub,
    )


def correct(hidden: dict[str, str], source: Path, folder: Path, hub: dict[str, str]) -> int:
    """Send each hidden image to the page of the published model, with its class.

    Args:
        hidden: class of each image, by file.
        source: folder of the files.
        folder: where `feedback` is created.
        hub: the environment that names the hub.

    Returns:
        The number of images.

    Raises:
        SystemExit: the page did not store one.
    """
    variables = {"FEEDBACK_DIR": str(folder / "feedback"), "HF_HOME": str(folder / "page-home")}
    with served(f"hf-hub:{REPO}", folder, **hub, **variables) as (url, _):
        client = Client(url, verbose=False)
        for file, label in tqdm(hidden.items(), "corrections", disable=None):
            image = handle_file(source / file)
            answer = client.predict(image, "class", label, "", api_name="/correct")
            if "Stored" not in answer:
                raise SystemExit(f"{file} was not stored: {answer}")
    return len(hidden)


@contextmanager
def loopback_hub() -> Iterator[dict[str, str]]:
    """Run a hub on this machine until the block ends; yield the environment that names it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.loopback_hub", "--user", REPO.partition("/")[0]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("The hub has no output.")
        try:
            token = process.stderr.readline().strip().removeprefix("HF_TOKEN=")
            url = process.stdout.readline().strip()
            if not url:
                raise SystemExit(f"The loopback hub did not start: {process.stderr.read()}")
            yield {
                "HF_ENDPOINT": url,
                "HF_TOKEN": token,
                "HF_HUB_DISABLE_XET": "1",
                "HF_HUB_OFFLINE": "0",
            }
        finally:
            process.terminate()


if __name__ == "__main__":
    main(tyro.cli(Settings))
