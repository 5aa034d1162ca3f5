"""Files that change while they are read, and the progress of a long list."""

from __future__ import annotations

import copy
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Engine, Observation
from space.inference.core.decision import Prediction
from space.inference.images.decoding import Decoder
from space.inference.predictor import Predictor
from tests.support.published_folder import noise
from trainer.prediction import pipeline as pipeline_module
from trainer.prediction.image_files import ImageFile
from trainer.prediction.pipeline import ATTEMPTS, Pipeline, _predict, _Prepared
from trainer.prediction.row import Row
from trainer.prediction.run.progress import Progress
from trainer.runtime.interruption import Stopped


@pytest.fixture(scope="module")
def predictor(package: Path) -> Predictor:
    return Predictor(package)


@pytest.fixture(scope="module")
def pipeline(predictor: Predictor) -> Iterator[Pipeline]:
    with Pipeline(predictor) as pipeline:
        yield pipeline


def answer(pipeline: Pipeline, path: Path) -> Row:
    [[row]] = pipeline.batches([ImageFile(str(path), path.name, path.name)], 4)
    return row


def test_the_time_of_an_image_is_its_own_and_its_share_of_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network takes 0.6 s for the two images of three that can be read."""
    clock = iter([10.0, 10.6])
    monkeypatch.setattr(pipeline_module, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    model: Any = SimpleNamespace(
        observe_prepared=len,
        predict_from=lambda count: [Prediction({"A": 1.0}, ("A",), "class")] * count,
    )
    inputs, file = np.zeros((1, 2, 2, 3), np.uint8), ImageFile("a", "a", "a")
    prepared = [
        _Prepared(file, inputs, 8, 0.1),
        _Prepared(file, None, 0, 0.2, "It can't be read."),
        _Prepared(file, inputs, 12, 0.3),
    ]
    rows = _predict(model, prepared, "1a2b")
    assert [row.milliseconds for row in rows] == [400, 200, 600]
    assert [row.bit_depth for row in rows] == [8, None, 12]
    assert [row.error for row in rows] == [None, "It can't be read.", None]
    assert {row.model for row in rows} == {"1a2b"}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [0, 1, ATTEMPTS - 1, ATTEMPTS, 100])
@pytest.mark.parametrize("torn", [False, True])
def test_a_file_that_changes_while_it_is_read_is_read_again(
    changes: int,
    torn: bool,
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise(1).save(tmp_path / "final.png")
    expected = answer(pipeline, tmp_path / "final.png")
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
    row = answer(pipeline, path)
    assert reads == min(changes + 1, ATTEMPTS)
    if changes >= ATTEMPTS:
        assert row.error is not None and "changes while it is read" in row.error
    elif changes:
        assert (row.label, row.confidence) == (expected.label, expected.confidence)
    else:
        assert (row.error is not None) == torn


class _Meeting:
    """An engine whose batches wait for each other."""

    name = "meeting"

    def __init__(self, engine: Engine, batches_at_once: int) -> None:
        self.engine, self.batches_at_once = engine, batches_at_once
        self.barrier = threading.Barrier(batches_at_once, timeout=60)

    def run(self, pixels: Pixels) -> Observation:
        self.barrier.wait()
        return self.engine.run(pixels)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_as_many_batches_run_at_once_as_the_engine_likes(
    at_once: int, predictor: Predictor, pipeline: Pipeline, tmp_path: Path
) -> None:
    files = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        noise(number).save(path)
        files.append(ImageFile(str(path), path.name, path.name))
    files.insert(3, ImageFile(str(tmp_path / "none.png"), "none.png", "none.png"))
    expected = [answer(pipeline, Path(file.path)) for file in files]
    meeting = copy.copy(predictor)
    meeting.engine = _Meeting(predictor.engine, at_once)
    with Pipeline(meeting) as tested:
        batches = list(tested.batches(files, 5))
    assert [len(batch) for batch in batches] == [5, 4]
    rows = [row for batch in batches for row in batch]
    assert [row.path for row in rows] == [file.name for file in files]
    assert [row.label for row in rows] == [row.label for row in expected]
    assert [row.error is None for row in rows] == [number != 3 for number in range(9)]


def test_the_network_runs_on_while_rows_are_written(predictor: Predictor, tmp_path: Path) -> None:
    files = []
    for number in range(3):
        noise(number).save(tmp_path / f"{number}.png")
        files.append(ImageFile(str(tmp_path / f"{number}.png"), str(number), str(number)))
    watched, runs = copy.copy(predictor), threading.Semaphore(0)

    class Counted:
        name, batches_at_once = "counted", 1

        def run(self, pixels: Pixels) -> Observation:
            runs.release()
            return predictor.engine.run(pixels)

    watched.engine = Counted()
    with Pipeline(watched) as pipeline:
        batches = pipeline.batches(files, 1)
        next(batches)
        # Nobody asks for a further batch.
        assert all(runs.acquire(timeout=60) for _ in files)


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
