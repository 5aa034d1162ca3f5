"""Fixtures of all tests; first of all, nothing that a test does can reach the real Hub.

`huggingface_hub` reads its environment when it is imported. So the one hub of the session starts
here, before anything imports that library; commands that a test starts inherit the environment.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import settings

from tests.loopback_hub import LoopbackHub
from tests.support import forked_server
from tests.support.gradio_import import no_type_stubs


def _end_at_once(worker: int) -> None:
    """End a worker of pytest-xdist, which has reported all, without taking apart what it imported.

    That takes seconds. Processes that the worker forked end as usual.
    """
    if os.getpid() == worker:
        os._exit(0)


if "PYTEST_XDIST_WORKER" in os.environ:
    # The first to be registered is the last to be called.
    atexit.register(_end_at_once, os.getpid())

if "huggingface_hub" in sys.modules:
    raise RuntimeError("huggingface_hub was imported before tests/conftest.py could set it up")

# Settings of the machine: tokens, caches, offline switches, proxies.
OF_THE_USER = ("HF_", "HUGGING", "TRANSFORMERS_", "GRADIO_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
for variable in list(os.environ):
    if variable.startswith(OF_THE_USER) or variable.lower() in PROXIES:
        del os.environ[variable]

SCRIPTS = Path(__file__).parents[1] / "trainer"
# What the fixture `command` gives: exit code, stdout and stderr of a call.
Run = Callable[..., tuple[int, str, str]]

HUB = LoopbackHub()
HF_HOME = Path(tempfile.mkdtemp(prefix="hf-home-"))
os.environ |= {
    "HF_ENDPOINT": HUB.url,
    "HF_HOME": str(HF_HOME),
    # Features of frozen backbones are kept in the user's cache folder.
    "XDG_CACHE_HOME": str(HF_HOME / "cache"),
    # The loopback hub speaks LFS, not Xet.
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MPLBACKEND": "Agg",
    # Where matplotlib finds its list of fonts, which takes half a second to write.
    "MPLCONFIGDIR": str(Path(__file__).parents[1] / ".pytest_cache" / "matplotlib"),
    "NO_PROXY": "127.0.0.1,localhost",
}


# For `make test-fast`; `make test` draws as many examples as Hypothesis does in any CI.
settings.register_profile("fast", settings.get_profile("ci"), max_examples=20)

# What is imported while tests are collected lives until the session ends. To look through it for
# garbage, then and in each test, would cost a tenth of the computing.
gc.disable()
IMPORTS = ExitStack()
IMPORTS.enter_context(no_type_stubs())


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import what is collected later, in each worker of pytest-xdist in another order.

    In a new checkout pytest compiles each module of tests; the next worker finds it compiled.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    places = {session.config.invocation_params.dir / a.split("::")[0] for a in session.config.args}
    files = sorted({file for place in places for file in (place, *place.rglob("test_*.py"))})
    first = int(worker.removeprefix("gw"))
    for part in range(first, first + workers):
        for file in files[part % workers :: workers]:
            if file.suffix == ".py":
                names = file.relative_to(session.config.rootpath).with_suffix("").parts
                # What can't be imported is reported when it is collected.
                with suppress(Exception, pytest.skip.Exception):
                    importlib.import_module(".".join(names))


def pytest_collection_finish() -> None:
    """Collect garbage again, but not among what was imported."""
    IMPORTS.close()
    gc.freeze()
    atexit.register(gc.unfreeze)
    gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what the client does in every upload over LFS; fork the server of warm processes.

    The client uploads with its own HTTP library.
    """
    config.addinivalue_line(
        "filterwarnings", "ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning"
    )
    if hasattr(config, "workerinput") and not all("unit" in Path(a).parts for a in config.args):
        forked_server.start()


def pytest_unconfigure() -> None:
    """Stop the hub and delete what the session stored."""
    HUB.stop()
    shutil.rmtree(HF_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def _fresh_accelerator() -> Iterator[None]:
    """Let every run choose its own arithmetic: accelerate keeps one choice a process."""
    from accelerate.state import AcceleratorState  # noqa: PLC0415 -- after the settings above

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@contextmanager
def clean_hub() -> Iterator[LoopbackHub]:
    """Empty the hub; users are ada (of the organisation mill), bob, and eve, who pays nothing."""
    HUB.reset()
    for cache in HF_HOME.iterdir():
        shutil.rmtree(cache) if cache.is_dir() else cache.unlink()
    HUB.add_user("ada", organisations=("mill",))
    HUB.add_user("bob")
    HUB.add_user("eve", pays=False)
    yield HUB
    assert HUB.defects == []
    assert not HUB.faults_pending, "an ordered fault never happened: the test tests nothing"


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """A hub for one test; see `clean_hub`."""
    with clean_hub() as hub:
        yield hub


@pytest.fixture
def token(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of ada, who may write, in the environment."""
    token = hub.add_token("ada")
    monkeypatch.setenv("HF_TOKEN", token)
    return token


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with a decision, for tests that copy it; nothing may change it."""
    from tests.support.published_folder import (  # noqa: PLC0415 -- after the settings above
        write_decision,
        write_published_folder,
    )

    folder = tmp_path_factory.mktemp("package") / "published"
    write_published_folder(folder)
    write_decision(folder)
    return folder


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client repeat failed requests at once, instead of after 1, 2, 4, 8 and 8 s."""
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Run a command of trainer/ in this process; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        output = capfd.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, output.out, output.err

    return run
