"""Every command of README and docs runs, on small images and with a small model.

Those on photographs run in `test_readme_measured.py`. The commands of a page build on each other:
choose a page with `-k`, not a command. What several pages show runs once, where it first stands.
"""

from __future__ import annotations

import importlib
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import tyro
from gradio_client import Client, handle_file  # type: ignore[import-untyped]

from model_card.schema.report import Report
from tests.conftest import clean_hub
from tests.support.readme_commands import (
    REPOSITORY,
    SMALL,
    Step,
    distinct,
    lay_out_checkout,
    run,
    steps,
)
from tests.support.running_space import running_space
from tests.support.warm_process import WarmProcess
from trainer.synthetic.samples import draw_image

HERE = distinct(
    [step for step in steps() if not step.needs_photographs and not step.is_of_several_hosts]
)
MODEL = "local-dir:runs/first/published"
# This command starts as a reader starts it. The notebook's test starts a training, a push and the
# Space likewise.
COLD = "trainer/predict.py"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is found out about images, for all checkouts: theirs are the same."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def checkout(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder like a checkout for the pages of one group, with a hub and ada's token."""
    folder = tmp_path_factory.mktemp("checkout")
    lay_out_checkout(folder)
    with clean_hub() as hub, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_TOKEN", hub.add_token("ada"))
        environment.setenv("XDG_CACHE_HOME", str(cache))
        yield folder


def _named(step: Step) -> str:
    return f"{step.page}: {step.text.splitlines()[0][:60]}"


@pytest.mark.parametrize(
    ("checkout", "step"),
    [pytest.param(s.group, s, id=_named(s)) for s in HERE],
    indirect=["checkout"],
    scope="module",
)
def test_command_runs(step: Step, checkout: Path) -> None:
    """What starts nothing new is checked in place; all else runs as a user would type it."""
    text = step.text.replace("USER/NAME", "ada/steel").replace("USER", "ada")
    if step.language == "python":
        check_program(text, checkout)
        return
    words = shlex.split(text)
    if words[0] == "make":
        check_make_target(words[1])
    elif words[0] == ".":
        assert words[1:] == [".venv/bin/activate"]
    elif "MODEL_ID=" in text:
        *settings, python, app = words
        assert [python, app] == ["python", "space/app.py"]
        environment = dict(setting.split("=", 1) for setting in settings)
        model_id = environment.pop("MODEL_ID")
        # The page is served from a folder of its own.
        feedback = environment.get("FEEDBACK_DIR")
        if feedback:
            environment["FEEDBACK_DIR"] = str(checkout / feedback)
        with served(model_id, checkout, **environment) as url:
            assert url.startswith("http://127.0.0.1:")
            if feedback:
                _correct_an_image(url, checkout)
    else:
        run(words, checkout, warm=step.page != "README.md" or words[1] != COLD)


@pytest.mark.parametrize(
    "step", [step for step in steps() if step.benchmark], ids=lambda step: step.text
)
def test_benchmark_has_the_options_that_the_pages_show(step: Step) -> None:
    module = importlib.import_module(f"benchmarks.{step.benchmark}")
    options = shlex.split(step.text)[3:]
    if hasattr(module, "Settings"):
        assert isinstance(tyro.cli(module.Settings, args=options), module.Settings)
    else:
        assert options == []


def test_the_pages_show_commands_of_all_kinds() -> None:
    """If the pages were read wrongly, the test above would test nothing."""
    readme = [step for step in steps() if step.page == "README.md"]
    begins = {step.text.split()[0] for step in readme if step.language == "bash"}
    assert begins == {
        "make",
        ".",
        "python",
        "MODEL_ID=hf-hub:USER/strip-defects",
        f"MODEL_ID={MODEL}",
    }
    assert sum(step.language == "python" for step in readme) == 2
    scripts = {word for step in HERE for word in step.text.split() if word.endswith(".py")}
    assert {f"trainer/{name}.py" for name in ("train", "push", "predict", "inspect_data")} < scripts
    assert any(step.text.startswith("accelerate launch") for step in HERE)
    assert len({step.benchmark for step in steps() if step.benchmark}) >= 8
    assert sum(step.is_of_several_hosts for step in steps()) == 2


def test_commands_for_several_hosts(tmp_path: Path) -> None:
    """Each host is a launcher on this machine, with one process in the place of its GPUs.

    It is torchrun, which accelerate calls for GPUs; on processors accelerate would ask for MPI.
    """
    lay_out_checkout(tmp_path)
    hosts = [shlex.split(step.text) for step in steps() if step.is_of_several_hosts]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank, words in enumerate(hosts):
        flags = dict(pairwise(words))
        assert (flags["--num_machines"], flags["--machine_rank"]) == (str(len(hosts)), str(rank))
        assert {"--multi_gpu", "--main_process_ip", "--main_process_port"} <= set(words)
        launcher = ["-m", "tests.support.warm_launcher", "torch.distributed.run"]
        launcher += ["--nproc_per_node", "1", "--nnodes", str(len(hosts)), "--node_rank", str(rank)]
        launcher += ["--master_addr", "127.0.0.1", "--master_port", port]
        training = words[words.index("trainer/train.py") :]
        started.append(
            WarmProcess(
                [*launcher, *training, *SMALL], tmp_path, environment={"ACCELERATE_USE_CPU": "true"}
            )
        )
    output = [process.communicate(timeout=500) for process in started]
    assert [process.returncode for process in started] == [0, 0], output
    printed = [out for out, _ in output]
    assert printed == ["runs/hosts/published\n", ""], "only the first process prints"
    report = Report.read(tmp_path / "runs/hosts/published")
    assert report.machine.processes == len(hosts)


def _correct_an_image(url: str, folder: Path) -> None:
    """Send a correction, from which the commands after it learn."""
    photograph = folder / "new.png"
    draw_image("Crazing", 4711).save(photograph)
    client = Client(url, verbose=False)
    said = client.predict(handle_file(photograph), "class", "Crazing", "", api_name="/correct")
    assert "Stored" in said


def check_make_target(target: str) -> None:
    """`make` knows the target; this very test may be running under it, so it is not made."""
    done = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def check_program(code: str, checkout: Path) -> None:
    """Run a program in Python; one that calls the API gets a page to call."""
    if "gradio_client" not in code:
        run(["python", "-c", code], checkout, warm=True)
        return
    with served(MODEL, checkout) as url:
        assert "http://127.0.0.1:7860" in code
        run(["python", "-c", code.replace("http://127.0.0.1:7860", url)], checkout, warm=True)


@contextmanager
def served(model_id: str, checkout: Path, **environment: str) -> Iterator[str]:
    """Serve a model until the block ends, on a free port, since 7860 may be taken."""
    kind, _, place = model_id.partition(":")
    absolute = f"{kind}:{checkout / place}" if kind == "local-dir" else model_id
    folder = Path(tempfile.mkdtemp(dir=checkout))
    app = REPOSITORY / "space" / "app.py"
    with running_space(app, absolute, folder, warm=True, **environment) as url:
        yield url
