"""Shared by all commands: messages on stderr, error reports, exit codes."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from pathlib import Path

from trainer.errors import UserError
from trainer.runtime.interruption import Stopped, stop_signals_raised
from trainer.runtime.library_caches import replace_unwritable_caches
from trainer.text.terminal import PrintableFormatter, terminal_safe

logger = logging.getLogger(__name__)

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def run_command(command: Callable[[list[str]], int | None]) -> int:
    """Run a command on this process's arguments and return its exit code.

    User errors are printed without a traceback.
    """
    _open_closed_streams()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Under `accelerate launch` only the first process prints.
    first = os.environ.get("RANK", "0") == "0"
    logging.getLogger("trainer").setLevel(logging.INFO if first else logging.ERROR)
    # The library prints its warnings itself; without this they would appear twice.
    logging.getLogger("huggingface_hub").propagate = False
    logging.getLogger("huggingface_hub.utils._http").addFilter(_one_line_a_retry)
    # timm lists hundreds of tensors that a file has in addition to those of the model; `backbone`
    # reports missing ones.
    logging.getLogger("timm").setLevel(logging.ERROR)
    limit_spinning(os.environ)
    replace_unwritable_caches(os.environ)
    # Progress bars are for a terminal; in a log file they are noise.
    if not sys.stderr.isatty():
        # These libraries read the variables on import, which would take too long here.
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    try:
        code = _exit_code(command)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader closed the pipe; without this, Python prints an error on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_USER_ERROR
    return code


def _exit_code(command: Callable[[list[str]], int | None]) -> int:
    try:
        with stop_signals_raised():
            return command(sys.argv[1:]) or 0
    except UserError as error:
        print(terminal_safe(f"Error: {error}"), file=sys.stderr)
        return EXIT_USER_ERROR
    except Stopped as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    # --help and --version.
    except SystemExit as done:
        return int(done.code or 0)


def limit_spinning(environment: MutableMapping[str, str]) -> None:
    """Set the spin time of waiting threads, unless set; call it before importing torch or numpy.

    Threads that spin take time from other busy programs, and from each other beside them
    (docs/results/speed.md).
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = "10000"
    # Of the matrix products of numpy, as a power of 2 in clock cycles. Its 26 is 30 ms: after each
    # decision on a batch, a core is not free for the network.
    environment.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")


def is_main_process() -> bool:
    """Return whether this is the first process of `accelerate launch`, which prints."""
    if "RANK" not in os.environ:
        return True
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def _one_line_a_retry(record: logging.LogRecord) -> bool:
    """Shorten the retry messages of the Hub's client to one line."""
    message = record.getMessage()
    retry = re.search(r"\[Retry (\d+)/(\d+)\]", message)
    if retry:
        number, last = (int(text) + 1 for text in retry.groups())
        logger.warning("The Hub does not answer; trying again (%d of %d).", number, last)
    return retry is None and "thrown while requesting" not in message


def _open_closed_streams() -> None:
    """Let a command run with a closed output (`>&-`): its output is discarded."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
