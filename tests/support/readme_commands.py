"""The commands of README and docs, and how a test runs one: on fewer, smaller images."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.drawn_boxes import write_boxes
from tests.support.warm_process import WarmProcess
from trainer.synthetic.samples import write_samples

REPOSITORY = Path(__file__).parents[2]
# These build on the model that README's commands train and publish, in this order.
FIRST_MODEL = (
    "README.md",
    *(
        f"docs/guides/{name}.md"
        for name in ("publish", "web-page", "feedback", "predict", "export")
    ),
)
# Where the pages ask readers to put photographs and weights: beside the clone.
BESIDE = ("../data", "../weights")
# Later flags win over earlier ones: the same commands, only cheaper.
CHEAP = ["--image-size", "32", "--epochs", "2", "--mixed-precision", "no"]
CHEAP += ["--robustness-images", "1"]
SMALL = [*CHEAP, "--model", "test_convnext", "--no-pretrained"]
SMALL_BENCHMARKS = {
    "overlaps": "--sizes 24",
    "steps": "--models test_convnext --image-size 32 --batch-size 2 --no-compiled",
    "training_speed": "--help",  # it needs checkouts of other projects
    "frozen_backbone": "--model test_convnext --image-size 32 --train-images 60 --test-images 12 "
    "--epochs 2 --plain-batches 1",
    "data_wait": "--models test_convnext --image-size 32 --steps 2",
    "kill_and_resume": "--kills 1 --epochs 2",
    "strips": "--model test_convnext --no-pretrained --image-size 32 --epochs 2 "
    "--train-per-class 5 --test-per-class 2",
    "heatmaps": "--help",  # it needs a finished run, and boxes
    "passports": "--help",  # it needs exported runs
    "several_defects": "--help",  # it needs finished runs
    "leaderboards": "--help",  # it needs finished comparisons
    "gpu_check": "--help",  # its own test runs it
    "sources": "--help",  # it needs a finished comparison
    "tuned_recipe": "--help",  # it needs finished searches
    "drift": "--help",  # it needs a finished run
    "rejection_scores": "--image-size 32",
    "engines": "--networks test_convnext:64 --batches 1 --seconds 0.1",
    "watch_delay": "--help",  # it needs a published folder
    "page_load": "--help",  # it needs a published folder
    "predict_rate": "--networks test_convnext:64 --images 40 80 --engine-seconds 0.1",
    "predict_peers": "--help",  # it needs a checkout of timm, and other packages
    "spinning": "--model test_convnext --image-size 32 --batch-size 2 --seconds 0.2 "
    "--warm-up-s 0 --rounds 1",
    "after_training": "--help",  # it needs a finished run and an earlier version
    "start_time": "--starts 1",
    "decoding": "--sides 40 --image-size 32 --images 12 --rounds 1",
    "scaling": "--model test_convnext --image-size 32 --batch-size 6 --steps 2 --epochs 2",
    "counted_once": "--model test_convnext --no-pretrained --image-size 32 --epochs 2 "
    "--train-per-class 10 --strips 1 --apart 200",
    "learning_loop": "--help",  # it trains twice and serves a web page
    "images_needed": "--counts 8 --repeats 1 --epochs 1 --train-flags='--model test_convnext "
    "--no-pretrained --image-size 32 --reference-images 0 --robustness-images 0'",
}
# push.py then publishes the one that the page names.
SMALL_COMPARISON = [*CHEAP, "--warmup-epochs", "1", "--no-pretrained", "--reference-images", "0"]
SMALL_COMPARISON += ["--models", "tf_efficientnet_lite0", "test_convnext"]
SMALL_SEARCH = ["--warmup-epochs", "1", "--trials", "2", "--folds", "3"]
SMALL_CURVE = ["--model", "test_convnext", "--no-pretrained", "--image-size", "32"]
SMALL_CURVE += ["--folds", "2", "--repeats", "1"]
PROGRAM = Path(sys.executable).parent


@dataclass(frozen=True)
class Step:
    """A command or a program that a page shows.

    Attributes:
        page: path of the page in the repository.
        language: bash, of which each command is a step, or python, of which each block is.
        text: what a reader types, in one line if it is a command.
    """

    page: str
    language: str
    text: str

    @property
    def group(self) -> str:
        """The steps that share a checkout: those of a page, or of pages that build on another."""
        return FIRST_MODEL[0] if self.page in FIRST_MODEL else self.page

    @property
    def benchmark(self) -> str:
        """Name of the benchmark's module, or nothing for other steps."""
        begin = "python -m benchmarks."
        return self.text.removeprefix(begin).split()[0] if self.text.startswith(begin) else ""

    @property
    def needs_photographs(self) -> bool:
        return any(place in self.text for place in BESIDE)

    @property
    def is_of_several_hosts(self) -> bool:
        return "--num_machines" in self.text


def pages() -> dict[str, str]:
    """Return the text of README and of each page of docs/ by path, README's followers after it."""
    names = [str(file.relative_to(REPOSITORY)) for file in (REPOSITORY / "docs").rglob("*.md")]
    others = sorted(set(names) - set(FIRST_MODEL))
    return {
        name: (REPOSITORY / name).read_text(encoding="utf-8") for name in (*FIRST_MODEL, *others)
    }


def steps() -> list[Step]:
    """Return what all pages show, in a reader's order."""
    found = []
    for page, text in pages().items():
        for language, block in re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines() if language == "bash" else [block]
            found += [Step(page, language, line.strip()) for line in lines if line.strip()]
    return found


def distinct(found: list[Step]) -> list[Step]:
    """Leave out steps that stand on several pages, and benchmarks that are equal once small."""
    by_text = {step.benchmark or " ".join(step.text.split()): step for step in reversed(found)}
    return [step for step in found if step in by_text.values()]


def made_small(words: list[str]) -> list[str]:
    """Return a command that trains less than the one shown."""
    if words[:2] == ["python", "-m"]:
        return [*words, *shlex.split(SMALL_BENCHMARKS[words[2].removeprefix("benchmarks.")])]
    if words[0] == "accelerate":
        words = [*words[:2], "--cpu", *words[2:]]
    if words[1].endswith("learning_curve.py"):
        return [*words, *SMALL_CURVE]
    if words[1].endswith("compare_models.py"):
        return [*words, *SMALL_COMPARISON, "--folds", "2"]
    if words[1].endswith("tune.py"):
        return [*words, *(CHEAP if "--weights" in words else SMALL), *SMALL_SEARCH]
    trains = any(word.endswith(("train.py", "compare_splits.py")) for word in words)
    if not trains or "--resume" in words:
        return words
    folds = ["--folds", "2"] if "--folds" in words else []
    # Two epochs leave no room for a longer warm-up.
    warm_up = ["--warmup-epochs", "1"] if {"--warmup-epochs", "--preset"} & {*words} else []
    return [*words, *(CHEAP if "--weights" in words else SMALL), *warm_up, *folds]


def run(words: list[str], cwd: Path, *, warm: bool = False) -> None:
    """Run a command, trainings made small; it must succeed.

    Args:
        words: the command.
        cwd: working directory.
        warm: whether Python comes from a process that has imported torch, and draws no figures.
    """
    small = made_small(words)
    # Made small, two commands can name the same model, and so the same folder.
    named = {"--run-dir", "--output-dir"} & {*words}
    if small != words and words[1] != "-m" and not named:
        small += ["--run-dir", f"runs/{len(list(cwd.glob('runs/*')))}"]
    if warm:
        match small:
            case ["python", "-m", *benchmark]:
                python = ["-m", "tests.support.warm_benchmark", *benchmark]
            case ["accelerate", *rest]:
                python = ["-m", "tests.support.warm_launcher", "accelerate.commands.accelerate_cli"]
                python += rest
            case [_, *python]:
                pass
        process = WarmProcess(python, cwd)
        output, errors = process.communicate()
        assert process.returncode == 0, f"{small}\n{output}\n{errors}"
        return
    path = f"{PROGRAM}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [PROGRAM / small[0], *small[1:]],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{small}\n{done.stdout}\n{done.stderr}"


@functools.cache
def _drawn() -> Path:
    """Draw the images of all checkouts, and boxes."""
    folder = Path(tempfile.mkdtemp(prefix="drawn-"))
    atexit.register(shutil.rmtree, folder)
    write_samples(folder / "custom_dataset", train_per_class=6, test_per_class=2)
    write_boxes(folder / "boxes", folder / "custom_dataset", second="Scratches")
    return folder


def lay_out_checkout(folder: Path) -> None:
    """Make an empty folder look like a checkout with drawn images and boxes."""
    for name in ("trainer", "space", "benchmarks"):
        (folder / name).symlink_to(REPOSITORY / name, target_is_directory=True)
    shutil.copytree(_drawn(), folder, dirs_exist_ok=True)
    (folder / "photo.jpg").write_bytes(
        next((folder / "custom_dataset" / "test").glob("*/*")).read_bytes()
    )
    with zipfile.ZipFile(folder / "coil.zip", "w") as coil:
        coil.write(folder / "photo.jpg", "photo.jpg")
