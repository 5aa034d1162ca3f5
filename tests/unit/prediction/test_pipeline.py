"""Files that change while they are read, and the progress of a long list."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from space.inference.images.decoding import Decoder
from space.inference.predictor import Predictor
from tests.support.published_folder import noise
from trainer.prediction.image_files import ImageFile
from trainer.prediction.pipeline import ATTEMPTS, Pipeline
from trainer.prediction.row import Row
from trainer.prediction.run.progress import Progress
from trainer.runtime.interruption import Stopped


@pytest.fixture(scope="module")
def predictor(package: Path) -> Predictor:
    return Predictor(package)


def answers(predictor: Predictor, path: Path) -> Row:
    with Pipeline(predictor) as pipeline:
        [[row]] = pipeline.batches([ImageFile(str(path), path.name, path.name)], 4)
    return row


@pytest.mark.slow
@pytest.mark.parametrize("changes", [0, 1, ATTEMPTS - 1, ATTEMPTS, 100])
@pytest.mark.parametrize("torn", [False, True])
def test_a_file_that_changes_while_it_is_read_is_read_again(
    changes: int,
    torn: bool,
    predictor: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise(1).save(tmp_path / "final.png")
    expected = answers(predictor, tmp_path / "final.png")
    path = tmp_path / "1.png"
    noise(0).save(path)
    if torn:
        path.write_bytes(path.read_bytes()[:400])
    prepare: Callable[..., object] = Decoder.prepare
    reads = 0

    def changing(*given: object, **options: object) -> object:
        nonlocal reads
        reads += 1
        try:
            return prepare(*given, **options)
        finally:
            if reads <= changes:
                path.write_bytes((tmp_path / "final.png").read_bytes())
                os.utime(path, ns=(0, reads))

    monkeypatch.setattr(Decoder, "prepare", changing)
    row = answers(predictor, path)
    assert reads == min(changes + 1, ATTEMPTS)
    if changes >= ATTEMPTS:
        assert row.error is not None and "changes while it is read" in row.error
    elif changes:
        assert (row.label, row.confidence) == (expected.label, expected.confidence)
    else:
        assert (row.error is not None) == torn


@pytest.mark.slow
def test_a_model_is_known_by_its_files(package: Path, tmp_path: Path) -> None:
    found = set()
    for changed in (None, "model.safetensors", "decision.json", "README.md"):
        copy = tmp_path / str(changed)
        copy.mkdir()
        for file in package.iterdir():
            if file.is_file():
                (copy / file.name).write_bytes(file.read_bytes())
        predictor = Predictor(copy)
        if changed:
            (copy / changed).write_bytes((copy / changed).read_bytes() + b" ")
        with Pipeline(predictor) as pipeline:
            found.add(pipeline.model)
    # The card does not decide an answer.
    assert len(found) == 3


def test_a_log_file_gets_a_line_each_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(f"{Progress.__module__}.time.monotonic", lambda: now)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO), Progress(1000, 200) as progress:
        for _ in range(3):
            now += 25
            progress.advance(100)
            if now < 1060:
                assert caplog.messages == []
        progress.advance(100)
    # 300 images in 75 s; 500 are left.
    assert caplog.messages == ["500 of 1,000 images, 4.0/s, 2:05 left"]


def test_a_stopped_command_says_how_far_it_came(caplog: pytest.LogCaptureFixture) -> None:
    def stop() -> None:
        with Progress(1000, 200) as progress:
            progress.advance(34)
            raise Stopped(15)

    with pytest.raises(Stopped):
        stop()
    assert caplog.messages == ["Stopped after 234 of 1,000 images."]
