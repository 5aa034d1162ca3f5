"""A process that decodes images, as its parent sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, cast

from . import child
from .child import (
    ANSWER,
    PIPE_BYTES,
    READY,
    REQUEST,
    Form,
    ImageProperties,
    read_exactly,
    write_all,
)
from .reader import MAX_PIXELS, ImageError

# Until a process has loaded its libraries, which takes long on a busy machine.
START_LIMIT_S = 60.0
# The child ends itself this much later if its parent is gone.
GRACE_S = 5
MAX_FACTS_BYTES = 2**16
# Of a pixel: color and opacity of 16 bits, which a PNG of noise does not shorten.
MAX_SAMPLE_BYTES = 9
# glibc takes no more than this as the threshold of blocks that it maps.
KEPT_BYTES = 2**25
FAILED = "The decoder failed on this image or ran out of memory. Save it again as PNG."
INHERITED = (
    *("PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUTF8", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL"),
)


class Worker:
    """One process.

    Args:
        limit_s: time limit for one image, in seconds.
        memory_bytes: address space of the process.

    Raises:
        OSError: it can't be started.
    """

    def __init__(self, limit_s: float, memory_bytes: int) -> None:
        self.limit_s = limit_s
        # The root of this module's package, also in a Space on the Hub. It may be a zip file.
        root = Path(__file__).parents[__name__.count(".")]
        zipped = root.is_file()
        self.process = subprocess.Popen(
            [sys.executable, "-m", child.__name__, str(memory_bytes), str(limit_s + GRACE_S)],
            cwd=root.parent if zipped else root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # C decoders print errors there for each damaged file; the answer holds the error.
            stderr=subprocess.DEVNULL,
            env=_environment(root if zipped else None),
            bufsize=0,
            pipesize=PIPE_BYTES,
        )
        self._deadline: float | None = None
        self._ready = self._late = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        # One thread for the life of the process: starting one takes longer than many images.
        threading.Thread(target=self._keep_time, daemon=True).start()

    def _keep_time(self) -> None:
        """Kill the process when it takes too long."""
        while not self._ended.wait(self._wait_s()):
            with self._lock:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self._late = True
                    self.process.kill()
                    return

    def _wait_s(self) -> float:
        # An image that comes meanwhile has a later deadline.
        deadline = self._deadline
        left_s = self.limit_s if deadline is None else deadline - time.monotonic()
        return min(self.limit_s, max(0, left_s))

    def ask(self, content: bytes, bit_depth: int, form: Form) -> tuple[bytearray, ImageProperties]:
        """Send a file to a child and read its answer.

        Raises:
            RefusalError: the file can't be used; the child can.
            ImageError: the child failed.
        """
        try:
            self._await_start()
            self._deadline = time.monotonic() + self.limit_s
            answer, picture = self._answer(content, bit_depth, form)
        except RefusalError:
            raise
        except (OSError, EOFError, ValueError) as error:
            if self._late:
                raise self._lateness() from error
            raise ImageError(FAILED) from error
        finally:
            with self._lock:
                self._deadline = None
        if self._late:
            raise self._lateness()
        facts = ImageProperties(**{**answer, "size_px": tuple(answer["size_px"])})
        return picture, facts

    def _await_start(self) -> None:
        """Wait until the process is ready; the first image is not charged for it."""
        if not self._ready:
            self._deadline = time.monotonic() + START_LIMIT_S
            read_exactly(cast("IO[bytes]", self.process.stdout), len(READY))
            self._ready = True

    def _answer(
        self, content: bytes, bit_depth: int, form: Form
    ) -> tuple[dict[str, Any], bytearray]:
        to, answers = cast("IO[bytes]", self.process.stdin), cast("IO[bytes]", self.process.stdout)
        head = REQUEST.pack(bit_depth, len(form.text), len(content))
        write_all(to, head, form.text, content)
        good, facts_bytes, picture_bytes = ANSWER.unpack(read_exactly(answers, ANSWER.size))
        if facts_bytes > MAX_FACTS_BYTES or picture_bytes > MAX_SAMPLE_BYTES * MAX_PIXELS:
            raise EOFError
        facts = json.loads(read_exactly(answers, facts_bytes))
        if not good:
            raise RefusalError(facts["error"])
        return facts, read_exactly(answers, picture_bytes)

    def _lateness(self) -> ImageError:
        if not self._ready:
            return ImageError(
                f"The decoder did not start within {START_LIMIT_S:.0f} seconds: the machine is too "
                "busy. Try again later."
            )
        return ImageError(
            f"Decoding the image takes longer than {self.limit_s:.0f} seconds. Save it again as "
            "PNG or JPEG, or scale it down."
        )

    def end(self) -> None:
        """Kill the process."""
        self._ended.set()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


def _environment(archive: Path | None = None) -> dict[str, str]:
    """Return the environment of a child: without tokens, which a hostile file could read.

    Args:
        archive: zip file that holds this package, if one does.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    if archive is not None:
        paths = [str(archive), inherited.get("PYTHONPATH", "")]
        inherited["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # One thread: a child decodes one image in a limited address space. Its memory stays with it
    # from image to image, up to this size: new pages would take a quarter of its time.
    kept = {"MALLOC_MMAP_THRESHOLD_": KEPT_BYTES, "MALLOC_TRIM_THRESHOLD_": KEPT_BYTES}
    limits = {"OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1} | kept
    return inherited | {name: str(value) for name, value in limits.items()}


class RefusalError(ValueError):
    """A child reports why a file can't be used."""
