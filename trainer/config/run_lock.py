"""Protection of a run folder: one training at a time, and explained disk and memory errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trainer.config.run_folder import LOCK_FILE
from trainer.errors import ConfigError, UserError
from trainer.runtime.files import disk_errors_explained

# Messages of torch and the operating system when CPU memory runs out.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory")
# The data loading processes of a killed training run for up to five more seconds.
_LONGEST_WAIT_S = 10


@contextmanager
def only_training_in(run_dir: Path, wait_s: float = _LONGEST_WAIT_S) -> Iterator[None]:
    """Lock a run folder for one training; the lock is released however the training ends.

    Args:
        run_dir: an existing folder.
        wait_s: how long to wait for another training to end.

    Raises:
        ConfigError: another training is running there, or the folder is not writable.
    """
    file = run_dir / LOCK_FILE
    lock = FileLock(file)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise ConfigError(
            f"Another training is running in {run_dir}. Wait for its end or stop it, or name "
            "another folder with --run-dir."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"The lock file {file} can't be written: {error.strerror}. Remove it, or name "
            "another folder with --run-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def explained_failures(run_dir: Path) -> Iterator[None]:
    """Explain errors of the disk and of memory.

    Raises:
        UserError: the disk failed or is full, or memory ran out.
    """
    # Only now: a lock is taken before anything that needs torch.
    import torch  # noqa: PLC0415

    advice = f"All saved files are complete: continue with --run-dir {run_dir} --resume."
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
