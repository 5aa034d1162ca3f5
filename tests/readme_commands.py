"""README's commands, and how a test runs one: as a user types it, on fewer, smaller images."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.drawn_boxes import write_boxes
from trainer.synthetic.samples import write_samples

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
# Later flags win over earlier ones: the same commands, only cheaper.
CHEAP = ["--image-size", "32", "--epochs", "2", "--mixed-precision", "no"]
CHEAP += ["--robustness-images", "6"]
SMALL = [*CHEAP, "--model", "test_convnext", "--no-pretrained"]
SMALL_BENCHMARKS = {
    "overlaps": "--sizes 24",
    "steps": "--models test_convnext --image-size 32 --batch-size 2",
    "training_speed": "--help",  # it needs checkouts of other projects
    "frozen_backbone": "--model test_convnext --image-size 32 --train-images 60 --test-images 12 "
    "--epochs 2 --plain-batches 1",
    "data_wait": "--models test_convnext --image-size 32 --steps 2",
    "kill_and_resume": "--kills 1 --epochs 2",
    "strips": "--model test_convnext --no-pretrained --image-size 32 --epochs 2 "
    "--train-per-class 5 --test-per-class 2",
    "heatmaps": "--help",  # it needs a finished run, and boxes
    "rejection_scores": "--image-size 32",
    "images_needed": "--counts 8 --repeats 1 --epochs 1 --train-flags='--model test_convnext "
    "--no-pretrained --image-size 32 --reference-images 0 --robustness-images 0'",
}
PROGRAM = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    """Return README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """Return README's shell commands, a line each."""
    joined = "\n".join(blocks("bash")).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


def run(words: list[str], cwd: Path) -> None:
    """Run a command, trainings made small; it must succeed."""
    continues = "--resume" in words or any(word.endswith("push.py") for word in words)
    trains = any(word.endswith(("train.py", "compare_splits.py")) for word in words)
    if trains and not continues:
        folds = ["--folds", "2"] if "--folds" in words else []
        # Two epochs leave no room for a longer warm-up.
        warm_up = ["--warmup-epochs", "1"] if {"--warmup-epochs", "--preset"} & {*words} else []
        words = [*words, *(CHEAP if "--weights" in words else SMALL), *warm_up, *folds]
        # Made small, two commands can name the same model, and so the same folder.
        if "--run-dir" not in words:
            words += ["--run-dir", f"runs/{len(list(cwd.glob('runs/*')))}"]
    if words[:2] == ["python", "-m"]:
        small = SMALL_BENCHMARKS[words[2].removeprefix("benchmarks.")]
        words = [*words, *shlex.split(small)]
    if words[0] == "accelerate":
        words = [words[0], words[1], "--cpu", *words[2:]]
    path = f"{PROGRAM}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [PROGRAM / words[0], *words[1:]],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


def lay_out_checkout(folder: Path) -> None:
    """Make an empty folder look like a checkout with drawn images and boxes."""
    for name in ("trainer", "space", "benchmarks", "tests"):
        (folder / name).symlink_to(REPOSITORY / name, target_is_directory=True)
    write_samples(folder / "custom_dateset", train_per_class=10, test_per_class=3)
    write_boxes(folder / "boxes", folder / "custom_dateset")
