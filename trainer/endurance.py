"""What a long training must live through: Ctrl-C, a full disk, no memory, a second start."""

from __future__ import annotations

import errno
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError

from trainer.errors import ConfigError, DefectError

logger = logging.getLogger(__name__)

# What torch and the operating system say when memory on a processor runs out.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_SPACE_WORDS = ("No space left", "quota exceeded", "File too large")
LOCK_FILE = "run.lock"
# Of a killed training, processes that load images live on for up to five seconds.
_LONGEST_WAIT_S = 10


class StopRequest:
    """Ctrl-C as a wish that is granted after the step under way; the second one, at once.

    Attributes:
        asked: whether somebody pressed Ctrl-C.
    """

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for Ctrl-C inside a `with` block; only a program's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        logger.warning(
            "\nStopping after this step. Ctrl-C again stops at once and loses the epoch."
        )


@contextmanager
def only_training_in(run_dir: Path, wait_s: float = _LONGEST_WAIT_S) -> Iterator[None]:
    """Keep a run's folder to one training at a time; however that ends, the folder is free then.

    Args:
        run_dir: an existing folder.
        wait_s: how long to wait for another training to leave it.

    Raises:
        ConfigError: another training is at work there.
    """
    lock = FileLock(run_dir / LOCK_FILE)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise ConfigError(
            f"Another training is at work in {run_dir}. Wait for its end or stop it, or name "
            "another folder with --run-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def explained_failures(run_dir: Path) -> Iterator[None]:
    """Turn a full disk and a lack of memory into advice.

    Raises:
        DefectError: what ran out, and how to go on.
    """
    go_on = f"What was saved is whole: go on with --run-dir {run_dir} --resume"
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DefectError(_memory_advice("The GPU's memory")) from error
    except MemoryError as error:
        raise DefectError(_memory_advice("The memory")) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_MEMORY):
            raise
        raise DefectError(_memory_advice("The memory")) from error
    except (OSError, SafetensorError) as error:
        code = error.errno if isinstance(error, OSError) else None
        if code not in _NO_SPACE and not any(words in str(error) for words in _NO_SPACE_WORDS):
            raise
        raise DefectError(
            f"There is no room left to write in {run_dir}. Make some. {go_on}."
        ) from error


def _memory_advice(what: str) -> str:
    return (
        f"{what} is too small for these settings. Start again with a smaller --batch-size or "
        "--image-size, or with a smaller model."
    )
