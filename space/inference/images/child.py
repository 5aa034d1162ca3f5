"""The process that decodes images: bytes of a file in, properties and pixels out.

It gets a file on its input and answers with a header, properties as JSON and raw pixels: nothing
that would run code in its parent. `Worker` starts it.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from typing import IO, Any

# Windows has no such module, and macOS does not enforce a limit on the address space.
if sys.platform == "linux":
    import resource

from ..core.preprocessing import Preprocessing
from .lossless import png_of
from .reader import BIT_DEPTHS, MAX_FILE_BYTES, ImageError, decode_image

REQUEST = struct.Struct(">BIQ")  # bit depth, bytes of the form, bytes of the file
ANSWER = struct.Struct(">?IQ")  # whether it is an image, bytes of properties, bytes of picture
READY = b"\x06"  # the first answer: the libraries are loaded
MAX_FORM_BYTES = 2**12
PIPE_BYTES = 2**20


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


@dataclass(frozen=True)
class Form:
    """What a picture is returned as.

    Attributes:
        kind: "rgb", 8-bit pixels; "png", samples of their depth; or "input" of a network.
        preprocessing: of the network.
        tile: whether the network sees squares of a long image.
    """

    kind: str
    preprocessing: Preprocessing | None = None
    tile: bool = False

    @cached_property
    def text(self) -> bytes:
        """The form as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    @cache
    def from_text(cls, text: bytes) -> Form:
        """Return what `text` describes."""
        fields = json.loads(text)
        described = fields.pop("preprocessing")
        return cls(**fields, preprocessing=described and Preprocessing.from_json(described))


def read_exactly(pipe: IO[bytes], size: int) -> bytearray:
    """Read exactly `size` bytes from an unbuffered pipe; raises EOFError where it ends."""
    content = bytearray(size)
    view = memoryview(content)
    while view:
        count: int = pipe.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]
    return content


def write_all(pipe: IO[bytes], *contents: bytes | memoryview) -> None:
    """Write contents to an unbuffered pipe, one after the other."""
    # Each write wakes the reader: what fits into the pipe is written at once.
    if sum(map(len, contents)) <= PIPE_BYTES:
        contents = (b"".join(contents),)
    for content in contents:
        view = memoryview(content)
        while view:
            view = view[pipe.write(view) :]


def _serve(requests: IO[bytes], answers: IO[bytes], limit_s: float) -> None:
    """Answer requests until the input ends."""
    write_all(answers, READY)
    while True:
        try:
            bit_depth, form_bytes, size = REQUEST.unpack(read_exactly(requests, REQUEST.size))
        except EOFError:
            return
        if size > MAX_FILE_BYTES or bit_depth not in (0, *BIT_DEPTHS):
            return
        if form_bytes > MAX_FORM_BYTES:
            return
        form = Form.from_text(bytes(read_exactly(requests, form_bytes)))
        content = bytes(read_exactly(requests, size))
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            facts, picture = _decoded(content, bit_depth, form)
        except ImageError as error:
            facts, picture = {"error": str(error)}, b""
        except MemoryError:
            facts, picture = {"error": "Decoding the image takes too much memory."}, b""
        del content
        text = json.dumps(facts).encode()
        head = ANSWER.pack("error" not in facts, len(text), len(picture))
        write_all(answers, head, text, picture)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _decoded(
    content: bytes, bit_depth: int, form: Form
) -> tuple[dict[str, Any], bytes | memoryview]:
    """Return the properties of a file, and its picture."""
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
    if form.preprocessing:
        return vars(facts), form.preprocessing.tiles(image, tile=form.tile).data.cast("B")
    return vars(facts), png_of(decoded) if form.kind == "png" else image.tobytes()


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
