"""Decode images in separate processes, which contain the effects of a hostile file.

`Decoder` keeps a few of them. Each has a limit on its memory; one that takes too long is ended, and
another one is started in its place. A child gets the bytes of a file on its input and answers with
a header, facts as JSON and raw pixels: nothing that would run code here.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

from PIL import Image

# Windows has no such module, and macOS does not enforce a limit on the address space.
if sys.platform == "linux":
    import resource

from .lossless import png_of
from .reader import (
    BIT_DEPTHS,
    MAX_FILE_BYTES,
    MAX_PIXELS,
    ImageError,
    decode_image,
    read_content,
)

DECODE_LIMIT_S = 10.0
# Longest wait of a visitor for other images, in seconds.
WAIT_LIMIT_S = 60.0
# Address space of a child: 50 megapixels of any kind need 1.2 GB of it.
MEMORY_LIMIT_BYTES = 2 * 2**30
# The child ends itself this much later if its parent is gone.
GRACE_S = 5
REQUEST = struct.Struct(">B?Q")  # bit depth, whether as PNG, bytes of the file
ANSWER = struct.Struct(">?IQ")  # whether it is an image, bytes of properties, bytes of picture
MAX_FACTS_BYTES = 2**16
# Of a pixel: color and opacity of 16 bits, which a PNG of noise does not shorten.
MAX_SAMPLE_BYTES = 9
PIPE_BYTES = 2**20
INHERITED = (
    *("PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUTF8", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL"),
)


@dataclass(frozen=True)
class ImageProperties:
    """Properties of an image file.

    Attributes:
        size_px: width and height, upright.
        mode: Pillow's mode of the stored samples.
        orientation: EXIF number from 1 (upright) to 8.
        transparent: whether pixels may be transparent.
        brightest: the largest sample of more than 8 bits; None if samples have 8.
        bit_depth: the smallest usual depth that holds all samples; None if they have 8.
        tagged_depth: significant bits as the file's tags say; None if they don't.
    """

    size_px: tuple[int, int]
    mode: str
    orientation: int
    transparent: bool
    brightest: int | None
    bit_depth: int | None
    tagged_depth: int | None


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
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
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
        pixels, facts = self._ask(source, bit_depth or 0, as_png=False)
        return Image.frombytes("RGB", facts.size_px, pixels), facts

    def to_png(self, source: str | Path | IO[bytes]) -> bytes:
        """Return a file as PNG of the same samples, upright, without metadata.

        Raises:
            ImageError: as `read`.
        """
        return bytes(self._ask(source, 0, as_png=True)[0])

    def _ask(
        self, source: str | Path | IO[bytes], bit_depth: int, *, as_png: bool
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
            found = worker.ask(content, bit_depth, as_png=as_png)
            healthy = True
        except _RefusalError as refusal:
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

    def _restarted(self) -> _Worker | None:
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

    def _start(self) -> _Worker:
        return _Worker(self.limit_s, self.memory_bytes)


class _Worker:
    """One process."""

    def __init__(self, limit_s: float, memory_bytes: int) -> None:
        self.limit_s = limit_s
        # The root of this module's package, also in a Space on the Hub. It may be a zip file.
        root = Path(__file__).parents[__name__.count(".")]
        zipped = root.is_file()
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(memory_bytes), str(limit_s + GRACE_S)],
            cwd=root.parent if zipped else root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # C decoders print errors there for each damaged file; the answer holds the error.
            stderr=subprocess.DEVNULL,
            env=_environment(root if zipped else None),
            bufsize=0,
            pipesize=PIPE_BYTES,
        )

    def ask(
        self, content: bytes, bit_depth: int, *, as_png: bool
    ) -> tuple[bytearray, ImageProperties]:
        """Send a file to a child and read its answer.

        Raises:
            _RefusalError: the file can't be used; the child can.
            ImageError: the child failed.
        """
        late = threading.Event()
        to, answers = cast("IO[bytes]", self.process.stdin), cast("IO[bytes]", self.process.stdout)

        def end() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(self.limit_s, end)
        timer.daemon = True
        timer.start()
        try:
            _write(to, REQUEST.pack(bit_depth, as_png, len(content)))
            _write(to, content)
            good, facts_bytes, picture_bytes = ANSWER.unpack(_read(answers, ANSWER.size))
            if facts_bytes > MAX_FACTS_BYTES or picture_bytes > MAX_SAMPLE_BYTES * MAX_PIXELS:
                raise EOFError
            answer = json.loads(_read(answers, facts_bytes))
            if not good:
                raise _RefusalError(answer["error"])
            picture = _read(answers, picture_bytes)
        except (OSError, EOFError, ValueError) as error:
            if isinstance(error, _RefusalError):
                raise
            if late.is_set():
                raise ImageError(
                    f"Decoding the image takes longer than {self.limit_s:.0f} seconds. Save it "
                    "again as PNG or JPEG, or scale it down."
                ) from error
            raise ImageError(
                "The decoder failed on this image or ran out of memory. Save it again as PNG."
            ) from error
        finally:
            timer.cancel()
        facts = ImageProperties(**{**answer, "size_px": tuple(answer["size_px"])})
        return picture, facts

    def end(self) -> None:
        """Kill the process."""
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
    # One thread: a child decodes one image in a limited address space.
    return inherited | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class _RefusalError(ValueError):
    """A child reports why a file can't be used."""


def _write(pipe: IO[bytes], content: bytes) -> None:
    """Write all of `content` to an unbuffered pipe."""
    view = memoryview(content)
    while view:
        view = view[pipe.write(view) :]


def _read(pipe: IO[bytes], size: int) -> bytearray:
    """Read exactly `size` bytes from an unbuffered pipe; raises EOFError where it ends."""
    content = bytearray(size)
    view = memoryview(content)
    while view:
        count: int = pipe.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]
    return content


# The child.


def _serve(requests: IO[bytes], answers: IO[bytes], limit_s: float) -> None:
    """Answer requests until the input ends."""
    while True:
        try:
            bit_depth, as_png, size = REQUEST.unpack(_read(requests, REQUEST.size))
        except EOFError:
            return
        if size > MAX_FILE_BYTES or bit_depth not in (0, *BIT_DEPTHS):
            return
        content = bytes(_read(requests, size))
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            facts, picture = _decoded(content, bit_depth, as_png=as_png)
        except ImageError as error:
            facts, picture = {"error": str(error)}, b""
        except MemoryError:
            facts, picture = {"error": "Decoding the image takes too much memory."}, b""
        del content
        text = json.dumps(facts).encode()
        _write(answers, ANSWER.pack("error" not in facts, len(text), len(picture)))
        _write(answers, text)
        _write(answers, picture)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _decoded(content: bytes, bit_depth: int, *, as_png: bool) -> tuple[dict[str, Any], bytes]:
    """Return the properties of a file, and its 8-bit RGB pixels or its samples as PNG."""
    decoded = decode_image(content)
    image = decoded.to_rgb(bit_depth or decoded.bit_depth or 16)
    facts = ImageProperties(
        size_px=image.size,
        mode=decoded.image.mode,
        orientation=decoded.orientation,
        transparent=decoded.alpha is not None or decoded.image.has_transparency_data,
        brightest=decoded.brightest,
        bit_depth=decoded.bit_depth,
        tagged_depth=decoded.tagged_depth,
    )
    return asdict(facts), png_of(decoded) if as_png else image.tobytes()


def _limit_memory(limit_bytes: int) -> None:
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Decode files from the standard input until it ends."""
    memory_bytes, limit_s = int(sys.argv[1]), float(sys.argv[2])
    # The terminal sends Ctrl-C to all processes; the parent closes the input when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    # The output of a decoder must not mix with the answers.
    os.dup2(2, 1)
    _limit_memory(memory_bytes)
    _serve(requests, answers, limit_s)


if __name__ == "__main__":
    main()
