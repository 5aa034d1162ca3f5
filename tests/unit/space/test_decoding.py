"""Decoding in processes of their own: limits, recovery, and files made to hurt."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pytest
from PIL import Image

from space.inference.core.preprocessing import Preprocessing
from space.inference.images import child, worker
from space.inference.images.decoding import Decoder
from space.inference.images.reader import MAX_FILE_BYTES, ImageError, read_image
from tests.support.hostile_images import encoded, hostile_files

# What the limits of a process say: a hostile file must not get that far.
LIMITS = ("takes longer", "decoder failed on this image", "too much memory")


def _noise(kind: str = "PNG", seed: int = 0, size: tuple[int, int] = (40, 30)) -> io.BytesIO:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer


def _processes(decoder: Decoder) -> list[subprocess.Popen[bytes]]:
    return [worker.process for worker in decoder._idle.queue if worker]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(workers=2, limit_s=60) as decoder:
        yield decoder


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"])
def test_a_process_reads_what_this_one_reads(decoder: Decoder, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(_noise(kind).getvalue())
    here = read_image(path)
    for source in (path, str(path), _noise(kind)):
        read = decoder.read(source)
        assert (read.mode, read.size, read.tobytes()) == ("RGB", (30, 40), here.tobytes())


@pytest.mark.parametrize("tile", [False, True])
def test_a_process_prepares_what_this_one_prepares(decoder: Decoder, tile: bool) -> None:
    mean = (0.2, 0.4, 0.6)
    preprocessing = Preprocessing((24, 32), "bicubic", 0.9, "border", mean, (1.0, 1.0, 1.0))
    source = _noise(size=(40, 130))
    pixels, facts = decoder.prepare(source, 8, preprocessing, tile=tile)
    assert facts.size_px == (130, 40)
    assert pixels.shape == (4 if tile else 1, 24, 32, 3)
    np.testing.assert_array_equal(pixels, preprocessing.tiles(read_image(source), tile=tile))


def test_facts_of_a_file(decoder: Decoder) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = io.BytesIO()
    Image.fromarray(np.array([[3, 700]], np.uint16)).save(stored, "TIFF", exif=exif)
    image, facts = decoder.examine(stored)
    assert image.size == facts.size_px == (1, 2)
    assert (facts.mode, facts.orientation, facts.transparent) == ("I;16", 6, False)
    assert (facts.brightest, facts.bit_depth, facts.tagged_depth) == (700, 10, None)
    # Of its own ten bits: 3 // 4 and 700 // 4.
    assert [image.getpixel((0, row)) for row in (0, 1)] == [(0, 0, 0), (175, 175, 175)]


def test_many_threads_get_each_their_own_image(decoder: Decoder) -> None:
    sources = [_noise(seed=seed) for seed in range(40)]
    expected = [read_image(source).tobytes() for source in sources]
    with ThreadPoolExecutor(8) as pool:
        assert [image.tobytes() for image in pool.map(decoder.read, sources)] == expected


def test_a_file_that_is_refused_leaves_its_process_alive(decoder: Decoder) -> None:
    before = {process.pid for process in _processes(decoder)}
    for _ in range(3):
        with pytest.raises(ImageError, match="not an image in JPEG"):
            decoder.read(io.BytesIO(b"no image"))
    assert {process.pid for process in _processes(decoder)} == before


def test_what_takes_too_long_is_ended_and_the_next_image_is_read() -> None:
    with Decoder(workers=1, limit_s=0.001) as decoder:
        decoder.limit_s = 60
        with pytest.raises(ImageError, match="takes longer than"):
            decoder.read(io.BytesIO(encoded("PNG", (2_000, 2_000), "RGB")))
        assert decoder.read(_noise()).size == (30, 40)


@pytest.mark.slow
def test_what_takes_too_much_memory_is_refused_and_the_next_image_is_read() -> None:
    large = encoded("TIFF", (6_000, 6_000), "L")
    with Decoder(workers=1, limit_s=60, memory_bytes=300 * 2**20) as decoder:
        for _ in range(2):
            with pytest.raises(ImageError, match="too much memory"):
                decoder.read(io.BytesIO(large))
            assert decoder.read(_noise()).size == (30, 40)


@pytest.mark.slow
def test_the_start_of_a_process_is_not_charged_to_its_first_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = tmp_path / "python"
    late.write_text(f'#!/bin/sh\nsleep 3\nexec "{sys.executable}" "$@"\n')
    late.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(late))
    with Decoder(workers=1, limit_s=2.5) as decoder:
        assert decoder.read(_noise()).size == (30, 40)


def test_a_process_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "START_LIMIT_S", 0.01)
    with (
        Decoder(workers=1, limit_s=0.05) as decoder,
        pytest.raises(ImageError, match="did not start within"),
    ):
        decoder.read(_noise())


def test_a_process_that_died_is_replaced() -> None:
    with Decoder(workers=1, limit_s=60) as decoder:
        decoder.read(_noise())
        _processes(decoder)[0].kill()
        with pytest.raises(ImageError, match="decoder failed on this image"):
            decoder.read(_noise())
        assert decoder.read(_noise()).size == (30, 40)


def test_a_process_that_cannot_be_started_is_started_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with Decoder(workers=1, limit_s=60) as decoder:
        decoder.read(_noise())
        _processes(decoder)[0].kill()
        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "Popen", fail)
            with pytest.raises(ImageError, match="decoder failed on this image"):
                decoder.read(_noise())
            with pytest.raises(ImageError, match="can't be started: Resource temporarily"):
                decoder.read(_noise())
        assert decoder.read(_noise()).size == (30, 40)


def test_no_token_reaches_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Decoder(workers=1, limit_s=60) as decoder:
        decoder.read(_noise())
        pid = _processes(decoder)[0].pid
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert not any(b"hf_secret" in each for each in variables)
        # Freed memory stays with the process.
        assert b"MALLOC_TRIM_THRESHOLD_=33554432" in variables
        assert b"MALLOC_MMAP_THRESHOLD_=33554432" in variables


class _Pipe(io.RawIOBase):
    """Notes what is written to it, and takes `most` bytes at a time."""

    def __init__(self, most: int) -> None:
        self.most, self.written = most, list[bytes]()

    def write(self, content: Any) -> int:
        self.written.append(bytes(content[: self.most]))
        return len(self.written[-1])


def test_what_fits_into_the_pipe_is_written_at_once() -> None:
    pipe = _Pipe(10**9)
    child.write_all(cast("IO[bytes]", pipe), b"head", b"", memoryview(b"picture"))
    assert pipe.written == [b"headpicture"]


@pytest.mark.parametrize("size", [7, child.PIPE_BYTES])
def test_a_slow_pipe_gets_all_in_order(size: int) -> None:
    pipe, picture = _Pipe(child.PIPE_BYTES // 3), os.urandom(size)
    child.write_all(cast("IO[bytes]", pipe), b"head", picture)
    assert b"".join(pipe.written) == b"head" + picture


def test_close_ends_all_processes() -> None:
    decoder = Decoder(workers=2)
    processes = _processes(decoder)
    assert [process.poll() for process in processes] == [None, None]
    decoder.close()
    assert all(process.poll() is not None for process in processes)


def test_a_file_that_is_no_file_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)
        server.bind("socket")
        for name, says in {
            "pipe": "a named pipe",
            "socket": "a socket",
            "zero": "a device",
            "/dev/null": "a device",
            ".": "a folder",
            "loop": "can't be opened",
            "gone": "No such file",
            "x" * 300: "File name too long",
            "nul\0l": "can't be opened",
        }.items():
            with pytest.raises(ImageError, match=says):
                read_image(name)


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    large = tmp_path / "large.bmp"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match="larger than 100 MB"):
        read_image(large)


@pytest.mark.slow
def test_hostile_files_are_refused_in_words_or_read_within_bounds() -> None:
    """Each meets bounds before a decoder; none meets the limits, which are for the unforeseen."""
    seen: set[str] = set()
    with Decoder(workers=1, limit_s=20, memory_bytes=700 * 2**20) as decoder:
        for name, content in hostile_files():
            assert name not in seen
            seen.add(name)
            try:
                assert decoder.read(io.BytesIO(content)).mode == "RGB", name
            except ImageError as error:
                assert not any(words in str(error) for words in LIMITS), f"{name}: {error}"
                assert len(str(error)) < 300, name
    assert len(seen) >= 60


@pytest.mark.slow
def test_an_answer_of_any_size_is_not_believed() -> None:
    answers = [child.ANSWER.pack(True, 2, 2**40), child.ANSWER.pack(True, 2**31, 3)]
    for answer in answers:
        with Decoder(workers=1, limit_s=60) as decoder:
            [worker] = decoder._idle.queue
            assert worker is not None
            worker.end()
            program = (
                f"import os; os.write(1, {child.READY!r}); os.read(0, 2**20); "
                f"os.write(1, {answer + b'{}'!r}); os.read(0, 1)"
            )
            worker.process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
            with pytest.raises(ImageError, match="decoder failed on this image"):
                decoder.read(_noise())
            assert decoder.read(_noise()).size == (30, 40)


@pytest.mark.slow
def test_a_process_without_a_parent_ends_itself() -> None:
    """Its own clock ends it in the middle of an image of 36 megapixels."""
    large = encoded("PNG", (6_000, 6_000), "RGB")
    limits = [str(2 * 2**30), "0.01"]
    form = child.Form("rgb").text
    request = child.REQUEST.pack(8, len(form), len(large)) + form + large
    with subprocess.Popen(
        [sys.executable, "-m", child.__name__, *limits],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.communicate(request, timeout=60)
    assert process.returncode == -signal.SIGALRM
