"""What a long training must survive: a full disk, no memory, a second start in the same folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from trainer.config.run_folder import LOCK_FILE
from trainer.errors import ConfigError, UserError
from trainer.runtime.files import disk_errors_explained

# What torch and the operating system say when memory on a processor runs out.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory")
# Of a killed training, processes that load images live on for up to five seconds.
_LONGEST_WAIT_S = 10


@contextmanager
def only_training_in(run_dir: Path, wait_s: float = _LONGEST_WAIT_S) -> Iterator[None]:
    """Keep a run's folder to one training at a time; however that ends, the folder is free then.

    Args:
        run_dir: an existing folder.
        wait_s: how long to wait for another training to leave it.

    Raises:
        ConfigError: another training is at work there, or the folder can't be written.
    """
    file = run_dir / LOCK_FILE
    lock = FileLock(file)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise ConfigError(
            f"Another training is at work in {run_dir}. Wait for its end or stop it, or name "
            "another folder with --run-dir."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{file}, which keeps other trainings out, can't be written: {error.strerror}. Remove "
            "it, or name another folder with --run-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def explained_failures(run_dir: Path) -> Iterator[None]:
    """Turn what a disk refuses, and a lack of memory, into advice.

    Raises:
        UserError: what failed or ran out, and how to continue.
    """
    advice = f"What was saved is whole: continue with --run-dir {run_dir} --resume."
    try:
        with disk_errors_explained(run_dir, advice):
            yield
    except torch.OutOfMemoryError as error:
        raise UserError(_memory_advice("The GPU's memory")) from error
    except MemoryError as error:
        raise UserError(_memory_advice("The memory")) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _NO_MEMORY):
            raise
        raise UserError(_memory_advice("The memory")) from error


def _memory_advice(what: str) -> str:
    return (
        f"{what} is too small for these settings. Start again with a smaller --batch-size or "
        "--image-size, or with a smaller model."
    )
