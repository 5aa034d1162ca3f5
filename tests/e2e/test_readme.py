"""Every command of README.md runs, in its order, on small images and with a small model.

Those on photographs run in `test_readme_measured.py`.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from model_card.schema.report import Report
from tests.loopback_hub import LoopbackHub
from tests.readme_commands import (
    REPOSITORY,
    SMALL,
    SMALL_BENCHMARKS,
    blocks,
    commands,
    lay_out_checkout,
    run,
)
from tests.running_space import running_space


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder like a checkout, where runs and images do no harm."""
    lay_out_checkout(tmp_path)
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
            continue  # for test_readme_measured.py
        elif words[:2] == ["python", "-m"]:
            assert words[2].removeprefix("benchmarks.") in SMALL_BENCHMARKS
            run(words, checkout)
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


def check_make_target(target: str) -> None:
    """`make` knows the target; this very test may be running under it, so it is not made."""
    done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def check_space_starts(model_id: str, words: list[str], checkout: Path) -> None:
    """The web page comes up; it is given a port of its own, since 7860 may be taken."""
    assert words == ["python", "space/app.py"]
    kind, _, place = model_id.partition(":")
    absolute = f"{kind}:{checkout / place}" if kind == "local-dir" else model_id
    folder = checkout / f"serve-{kind}"
    folder.mkdir()
    with running_space(REPOSITORY / "space" / "app.py", absolute, folder) as url:
        assert url.startswith("http://127.0.0.1:")
