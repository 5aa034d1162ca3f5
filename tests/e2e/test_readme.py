"""Every command of README.md runs, in its order, on small images and with a small model."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from model_card.report import Report
from tests.drawn_boxes import write_boxes
from tests.loopback_hub import LoopbackHub
from tests.running_space import running_space
from trainer.drawn_samples import write_samples

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
REAL_DATA = REPOSITORY.parent / "shared" / "data" / "neu" / "images"
# Later flags win over earlier ones: the same commands, only cheaper.
CHEAP = ["--image-size", "32", "--epochs", "2", "--mixed-precision", "no"]
CHEAP += ["--robustness-images", "6"]
SMALL = [*CHEAP, "--model", "test_convnext", "--no-pretrained"]
# Every so many of the photographs are enough to try a command.
SHARE_OF_REAL_DATA = 10
PROGRAM = Path(sys.executable).parent
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
}


def blocks(language: str) -> list[str]:
    """Return README's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """Return README's shell commands, a line each."""
    joined = "\n".join(blocks("bash")).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip()]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder like a checkout, where runs and images do no harm."""
    for name in ("trainer", "space", "benchmarks", "tests"):
        (tmp_path / name).symlink_to(REPOSITORY / name, target_is_directory=True)
    write_samples(tmp_path / "custom_dateset", train_per_class=10, test_per_class=3)
    write_boxes(tmp_path / "boxes", tmp_path / "custom_dateset")
    return tmp_path


# Three dozen commands, most of which load torch and train.
@pytest.mark.timeout(2400)
def test_readme_commands_run(checkout: Path, hub: LoopbackHub, token: str) -> None:
    """What starts nothing new is checked in place; all else runs as a user would type it."""
    ran = []
    for line in commands():
        words = shlex.split(line.replace("USER", "ada"))
        if words[0] == "make":
            check_make_target(words[1])
        elif words[0] == ".":
            assert words[1:] == [".venv/bin/activate"]
        elif words[0].startswith("MODEL_ID="):
            check_space_starts(words[0].removeprefix("MODEL_ID="), words[1:], checkout)
        elif "--num_machines" in words:
            continue  # for test_readme_commands_for_several_hosts
        elif "../shared" in line:
            check_measured_command(words, checkout)
        elif words[:2] == ["python", "-m"]:
            small = SMALL_BENCHMARKS[words[2].removeprefix("benchmarks.")]
            run([*words, *shlex.split(small)], checkout)
        else:
            run(words, checkout)
        ran.append(words[0])
    assert {"make", "python", "accelerate", "MODEL_ID=hf-hub:ada/strip-defects"} <= set(ran)
    for code in blocks("python"):
        run(["python", "-c", code.replace("USER", "ada")], checkout)


def test_readme_commands_for_several_hosts(checkout: Path) -> None:
    """Each host is a launcher on this machine, with one process in the place of its GPUs.

    It is torchrun, which accelerate calls for GPUs; on processors accelerate would ask for MPI.
    """
    hosts = [shlex.split(line) for line in commands() if "--num_machines" in line]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank, words in enumerate(hosts):
        flags = dict(pairwise(words))
        assert (flags["--num_machines"], flags["--machine_rank"]) == (str(len(hosts)), str(rank))
        assert {"--multi_gpu", "--main_process_ip", "--main_process_port"} <= set(words)
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "1"]
        launcher += ["--nnodes", str(len(hosts)), "--node_rank", str(rank)]
        launcher += ["--master_addr", "127.0.0.1", "--master_port", port]
        training = words[words.index("trainer/train.py") :]
        started.append(
            subprocess.Popen(
                [sys.executable, *launcher, *training, *SMALL],
                cwd=checkout,
                env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    told = [process.communicate(timeout=500) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert [out for out, _ in told] == ["runs/hosts/published\n", ""], "one process speaks for all"
    report = Report.read(checkout / "runs/hosts/published")
    assert report.machine.processes == len(hosts)


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
    if "--data-dir" in words and not trains and "-m" in words:
        # A benchmark on photographs.
        words = [*words, "--image-size", "32"]
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


def check_make_target(target: str) -> None:
    """`make` knows the target; this very test may be running under it, so it is not made."""
    done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def check_measured_command(words: list[str], cwd: Path) -> None:
    """The commands behind the table of results: flags and files must be right."""
    if not REAL_DATA.is_dir():
        return
    some = cwd / "some"
    for folder in REAL_DATA.iterdir() if not some.exists() else ():
        (some / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[::SHARE_OF_REAL_DATA]:
            (some / folder.name / file.name).symlink_to(file)
    words = [w.replace("../shared/data/neu/images", str(some)) for w in words]
    run([w.replace("../shared", str(REPOSITORY.parent / "shared")) for w in words], cwd)


def check_space_starts(model_id: str, words: list[str], checkout: Path) -> None:
    """The web page comes up; it is given a port of its own, since 7860 may be taken."""
    assert words == ["python", "space/app.py"]
    kind, _, place = model_id.partition(":")
    absolute = f"{kind}:{checkout / place}" if kind == "local-dir" else model_id
    folder = checkout / f"serve-{kind}"
    folder.mkdir()
    with running_space(REPOSITORY / "space" / "app.py", absolute, folder) as url:
        assert url.startswith("http://127.0.0.1:")
