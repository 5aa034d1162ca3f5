"""Decode images in separate processes, which contain the effects of a hostile file.

`Decoder` keeps a few of them. Each has a limit on its memory; one that takes too long is ended, and
another one is started in its place.
"""

from __future__ import annotations

import math
import queue
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from ..core.arrays import Pixels
from ..core.preprocessing import Preprocessing
from .child import Form, ImageProperties
from .reader import ImageError, read_content
from .worker import FAILED, RefusalError, Worker

__all__ = ["Decoder", "ImageProperties"]

DECODE_LIMIT_S = 10.0
# Longest wait of a visitor for other images, in seconds.
WAIT_LIMIT_S = 60.0
# Address space of a child: 50 megapixels of any kind need 1.2 GB of it.
MEMORY_LIMIT_BYTES = 2 * 2**30
RGB, PNG = Form("rgb"), Form("png")


class Decoder:
    """Processes that decode images, for any number of threads.

    Args:
        workers: number of images decoded at the same time.
        limit_s: time limit for one image, in seconds.
        memory_bytes: address space of a process; systems without `resource` have no such limit.
    """

    def __init__(
        self,
        workers: int = 2,
        limit_s: float = DECODE_LIMIT_S,
        memory_bytes: int = MEMORY_LIMIT_BYTES,
    ) -> None:
        self.limit_s, self.memory_bytes = limit_s, memory_bytes
        # None is a process that is not started yet.
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        self._closed = False
        for _ in range(workers):
            self._idle.put(self._start())

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, source: str | Path | IO[bytes], bit_depth: int = 16) -> Image.Image:
        """Return the 8-bit RGB picture of a file, as `images.read_image` does.

        Raises:
            ImageError: as there, or decoding exceeds the time or memory limit.
        """
        return self.examine(source, bit_depth)[0]

    def examine(
        self, source: str | Path | IO[bytes], bit_depth: int | None = None
    ) -> tuple[Image.Image, ImageProperties]:
        """Return the 8-bit RGB picture of a file, and the properties of the file.

        Args:
            source: a path, or an open file.
            bit_depth: significant bits of 16-bit samples; None takes those of this one image.

        Raises:
            ImageError: as `read`.
        """
        pixels, facts = self._ask(source, bit_depth or 0, RGB)
        return Image.frombytes("RGB", facts.size_px, pixels), facts

    def prepare(
        self,
        source: str | Path | IO[bytes],
        bit_depth: int,
        preprocessing: Preprocessing,
        *,
        tile: bool,
    ) -> tuple[Pixels, ImageProperties]:
        """Return what a network sees of a file, and the properties of the file.

        The processes scale the images too: of a large image, little is sent to this one.

        Args:
            source: a path, or an open file.
            bit_depth: significant bits of 16-bit samples.
            preprocessing: of the network.
            tile: whether the network sees the squares of a long image.

        Returns:
            Pixels, [tile, row, column, 3], and the properties.

        Raises:
            ImageError: as `read`.
        """
        content, facts = self._ask(source, bit_depth, _input_form(preprocessing, tile=tile))
        shape = (*preprocessing.size_px, 3)
        if not content or len(content) % math.prod(shape):
            raise ImageError(FAILED)
        return np.frombuffer(content, np.uint8).reshape(-1, *shape), facts

    def to_png(self, source: str | Path | IO[bytes]) -> bytes:
        """Return a file as PNG of the same samples, upright, without metadata.

        Raises:
            ImageError: as `read`.
        """
        return bytes(self._ask(source, 0, PNG)[0])

    def _ask(
        self, source: str | Path | IO[bytes], bit_depth: int, form: Form
    ) -> tuple[bytearray, ImageProperties]:
        """Return the picture of a file, in the form of `_decoded`, and the file's properties."""
        content = read_content(source)
        try:
            worker = self._idle.get(timeout=WAIT_LIMIT_S)
        except queue.Empty:
            raise ImageError("The server is decoding too many images. Try again later.") from None
        healthy = False
        try:
            worker = worker or self._start()
            found = worker.ask(content, bit_depth, form)
            healthy = True
        except RefusalError as refusal:
            healthy = True
            raise ImageError(str(refusal)) from None
        except OSError as error:
            raise ImageError(f"The decoder can't be started: {error.strerror}.") from error
        finally:
            if worker and not healthy:
                worker.end()
                worker = self._restarted()
            self._idle.put(worker)
            if self._closed:
                self.close()
        return found

    def _restarted(self) -> Worker | None:
        """Start a process before it is asked for; None if the system can't now."""
        try:
            return self._start()
        except OSError:
            return None

    def close(self) -> None:
        """End all processes that are idle, and the others when they are."""
        self._closed = True
        while True:
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                return
            if worker:
                worker.end()

    def _start(self) -> Worker:
        return Worker(self.limit_s, self.memory_bytes)


@cache
def _input_form(preprocessing: Preprocessing, *, tile: bool) -> Form:
    return Form("input", preprocessing, tile)
