"""What a long training must live through: Ctrl-C, a full disk, memory that runs out."""

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
from safetensors import SafetensorError

from trainer.errors import DefectError

logger = logging.getLogger(__name__)

# What torch and the operating system say when memory on a processor runs out.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory")
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_SPACE_WORDS = ("No space left", "quota exceeded", "File too large")


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
