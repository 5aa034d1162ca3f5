"""Single images go first: a batch and a heatmap begin nothing while one is being answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from space.batch.examination import Examination
from space.batch.runner import BatchRunner, Progress
from space.inference.core.decision import Prediction
from space.server import precedence as precedence_module
from space.server.precedence import Precedence
from space.server.uploads import UploadFolder

FOREVER_S = 10.0
PREDICTION = Prediction({"A": 1.0}, ("A",), "class", 0.5, 0.9)


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[UploadFolder]:
    folder = UploadFolder(tmp_path)
    for name in ("1", "2", "3"):
        (folder.path / name).write_bytes(b"x")
    yield folder
    folder.remove()


def run_batch(uploads: UploadFolder, pause: Callable[[], None], examined: list[int]) -> Progress:
    """Answer three images; `examined` gets the number of each when it begins."""

    def examine(image: Image.Image) -> Examination:
        examined.append(len(examined) + 1)
        return Examination(PREDICTION)

    def read(source: object) -> Image.Image:
        return Image.new("RGB", (8, 8))

    runner = BatchRunner(uploads, read, examine, lambda _: "", pause=pause)

    async def last() -> Progress:
        files = [(uploads.path / name, name) for name in ("1", "2", "3")]
        return [progress async for progress in runner.run(files)][-1]

    return asyncio.run(last())


def test_a_batch_begins_no_image_while_a_single_one_is_answered(
    uploads: UploadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence_module, "LONGEST_PAUSE_S", FOREVER_S)
    precedence = Precedence()
    pausing, arrived, examined = threading.Event(), threading.Event(), list[int]()
    seen_while_single: list[int] = []

    def pause() -> None:
        if len(examined) == 1:
            # A single image arrives after the first image of the batch.
            pausing.set()
            assert arrived.wait(FOREVER_S)
        precedence.pause()

    def answer_single() -> None:
        assert pausing.wait(FOREVER_S)
        with precedence.single(), precedence.single():
            arrived.set()
            # The thread of the batch is in its pause: it waits for this image.
            while not precedence.pausing and len(examined) < 3:
                threading.Event().wait(0.001)
            seen_while_single.extend(examined)

    single = threading.Thread(target=answer_single)
    single.start()
    progress = run_batch(uploads, pause, examined)
    single.join()
    assert seen_while_single == [1]
    assert examined == [1, 2, 3]
    assert [row.verdict for row in progress.rows] == ["class"] * 3


def test_a_batch_goes_on_when_single_images_never_end(
    uploads: UploadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence_module, "LONGEST_PAUSE_S", 0.0)
    precedence = Precedence()
    with precedence.single():
        assert len(run_batch(uploads, precedence.pause, []).rows) == 3


@pytest.mark.parametrize(("run_s", "waits"), [(FOREVER_S, 1), (0.0, 3)])
def test_after_a_long_pause_work_runs_for_a_while(
    monkeypatch: pytest.MonkeyPatch, run_s: float, waits: int
) -> None:
    monkeypatch.setattr(precedence_module, "RUN_S", run_s)
    precedence, limits = Precedence(), list[float]()

    def never_idle(_: object, limit_s: float) -> bool:
        limits.append(limit_s)
        return False

    monkeypatch.setattr(precedence._changed, "wait_for", never_idle)
    for _ in range(3):
        precedence.pause()
    assert limits == [precedence_module.LONGEST_PAUSE_S] * waits


def test_after_a_short_pause_the_next_single_image_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    precedence, waits = Precedence(), list[int]()

    def soon_idle(_: object, __: float) -> bool:
        waits.append(1)
        return True

    monkeypatch.setattr(precedence._changed, "wait_for", soon_idle)
    for _ in range(2):
        precedence.pause()
    assert waits == [1, 1]


def test_a_failed_single_image_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence_module, "LONGEST_PAUSE_S", FOREVER_S)
    precedence = Precedence()
    with pytest.raises(ValueError, match="broken"), precedence.single():
        raise ValueError("broken")
    precedence.pause()
