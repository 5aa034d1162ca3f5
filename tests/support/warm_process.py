"""Commands in processes of their own that need not import torch first.

A server that has imported it, and gradio, forks for each command. Such a process is killed, stopped
and short of disk as one that a shell starts is, six seconds of computing earlier.
"""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import resource
import runpy
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import TextIO

from sklearn.utils import check_array

import trainer.cli.summary
import trainer.evaluation.metrics.definitions
import trainer.prediction.pipeline
import trainer.publishing.hub.upload
import trainer.run
import trainer.training  # noqa: F401
from model_card.card import _environment
from tests.support.gradio_import import no_type_stubs
from tests.support.small_pictures import few_ood_images, small_pictures
from trainer.cli.flags import Command
from trainer.cli.run_settings import read_train_config
from trainer.evaluation import ood_images

# For the server, which imports this module before it forks.
with no_type_stubs():
    import gradio  # noqa: F401

# Once, not in each process that trains and writes a card: what libraries import and keep when they
# are first used, and what a run asks for in these words.
for template in _environment().list_templates(extensions=["jinja"]):
    _environment().get_template(template)
read_train_config(["--epochs", "1"], Command("train.py", "", ""))
check_array([[0.0]])
with few_ood_images():
    ood_images.drawn_images(0)

# A forked process neither copies what the server imported nor looks through it for garbage.
gc.freeze()
atexit.register(gc.unfreeze)
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload([__name__])


class WarmProcess:
    """A running `python SCRIPT ARGUMENTS…`; its methods are those of `subprocess.Popen`.

    `python -m MODULE` and `python -c CODE` run likewise.

    Attributes:
        pid: number of the process.
        stdout: what the command prints; short, since nobody reads it before the end.
        stderr: its messages, to be read while it runs.
    """

    def __init__(
        self,
        words: list[str],
        cwd: Path | None = None,
        *,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
        terminal: Path | None = None,
        output: Path | None = None,
        largest_file: int = -1,
        draw_figures: bool = False,
    ) -> None:
        """Start a script.

        Args:
            words: what follows `python`: the path of a script, `-m` and a module, or `-c` and code;
                then its arguments.
            cwd: working directory.
            environment: variables to set beside those of this process.
            log: a file for what it prints and for its messages.
            terminal: the device of a terminal for its messages alone.
            output: another file for what it prints.
            largest_file: what it may write into one file, in bytes.
            draw_figures: whether each figure is more than a pixel.
        """
        prints, its_output = _SERVER.Pipe(duplex=False)
        errors, its_errors = _SERVER.Pipe(duplex=False)
        variables = os.environ | (environment or {})
        pipes, files = (its_output, its_errors), (log, output, terminal)
        arguments = (words, cwd or Path.cwd(), variables, *pipes, *files)
        self._process = _SERVER.Process(target=_run, args=(*arguments, largest_file, draw_figures))
        self._process.start()
        for end in (its_output, its_errors):
            end.close()
        self.stdout, self.stderr = (_as_text(pipe) for pipe in (prints, errors))

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it ends; return its exit code."""
        self._process.join(timeout)
        self.stdout.close()
        self.stderr.close()
        return self.returncode

    def wait_for(self, seconds: float) -> None:
        """Wait until it ends, but not longer than some seconds."""
        self._process.join(seconds)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until it ends; return what was not read yet of stdout and stderr."""
        with self.stdout, self.stderr:
            errors = self.stderr.read()
            output = self.stdout.read()
        self._process.join(timeout)
        return output, errors


def _as_text(pipe: Connection) -> TextIO:
    with pipe:
        return os.fdopen(os.dup(pipe.fileno()), encoding="utf-8")


def _run(
    words: list[str],
    cwd: Path,
    environment: dict[str, str],
    prints: Connection,
    errors: Connection,
    log: Path | None,
    output: Path | None,
    terminal: Path | None,
    largest_file: int,
    draw_figures: bool,
) -> None:
    """Become the command, in a process that was forked for it."""
    for pipe, number in ((prints, 1), (errors, 2)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    for place, numbers in ((log, (1, 2)), (output, (1,)), (terminal, (2,))):
        if place is not None:
            with place.open("wb") as opened:
                for number in numbers:
                    os.dup2(opened.fileno(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    with few_ood_images() if draw_figures else small_pictures():
        run_python(words)


def run_python(words: list[str]) -> None:
    """Do what `python` does with these words."""
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, str(Path.cwd()))
        # Processes that it starts name what they return by the second of these names.
        sys.modules["__main__"] = sys.modules["__mp_main__"] = ModuleType("__main__")
        runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.path.insert(0, "")
        exec(words[1], {"__name__": "__main__"})  # noqa: S102 -- as `python -c` does
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")
