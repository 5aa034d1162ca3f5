"""Batches: stored answers, a table without formulas, sorted copies, and turns between batches."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from PIL import Image

from space.batch import runner as runner_module
from space.batch.batch import ANSWERS_FILE, UNEXPECTED, Batch
from space.batch.downloads import copy_of, write_copies, write_table
from space.batch.examination import Examination
from space.batch.items import BatchError, collect
from space.batch.runner import BatchRunner, Progress
from space.inference.core.decision import Prediction
from space.inference.images.reader import ImageError, read_image
from space.server.uploads import UploadFolder

LABELS = ["=cmd", "A/B"]
Files = list[tuple[Path, str]]


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[UploadFolder]:
    folder = UploadFolder(tmp_path / "uploads")
    yield folder
    folder.remove()


def _picture(gray: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (gray, gray, gray)).save(content, "PNG")
    return content.getvalue()


def _files(uploads: UploadFolder) -> Files:
    """Return three images of which one has a formula as its name, a bad one, and a zip."""
    named = {"=1+1.png": _picture(10), "b.png": _picture(100), "bad.png": b"no image"}
    files: Files = []
    for name, content in named.items():
        path = uploads.path / f"{len(files)}"
        path.write_bytes(content)
        files.append((path, name))
    path = uploads.path / "zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../b.png", _picture(101))
        file.writestr("c.png", _picture(200))
        file.writestr("text.txt", "no image")
    return [*files, (path, "a.zip")]


def examine(image: Image.Image) -> Examination:
    """Accept dark images, ask a person about gray ones, and reject bright ones."""
    gray = image.getpixel((0, 0))[0]  # type: ignore[index]
    verdict = "class" if gray < 50 else "unsure" if gray < 150 else "unknown"
    probabilities = {LABELS[0]: 0.25, LABELS[1]: 0.75}
    prediction = Prediction(probabilities, (LABELS[1],), verdict, gray / 100, 0.9)  # type: ignore[arg-type]
    return Examination(prediction)


def read(source: Path | IO[bytes]) -> Image.Image:
    return read_image(source)


def _finished(uploads: UploadFolder) -> Batch:
    items, _ = collect(_files(uploads))
    batch = Batch.create(uploads)
    assert len(list(batch.run(items, read, examine))) == 6
    return batch


def test_answers_are_stored_and_found_by_their_token(uploads: UploadFolder) -> None:
    found = Batch.find(uploads, _finished(uploads).token)
    assert found is not None
    rows = [row for row, _ in found.answers()]
    assert [row.path for row in rows] == [
        *("=1+1.png", "b.png", "bad.png"),
        *("a.zip/../b.png", "a.zip/c.png", "a.zip/text.txt"),
    ]
    assert [row.outcome for row in rows] == [
        *("class", "unsure", "error", "unsure", "unknown", "error")
    ]
    assert rows[0].label == LABELS[1]
    assert rows[0].confidence == 0.75
    assert "not an image" in str(rows[2].error)
    assert len({Batch.create(uploads).token for _ in range(3)}) == 3


@pytest.mark.parametrize("token", [None, 5, "", "..", "../batch-x", "x" * 32, "a/" * 16, "\0" * 32])
def test_other_tokens_find_nothing(uploads: UploadFolder, token: object) -> None:
    _finished(uploads)
    assert Batch.find(uploads, token) is None


def test_a_link_in_place_of_a_batch_is_not_followed(uploads: UploadFolder, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / ANSWERS_FILE).write_text("{}")
    (uploads.path / f"batch-{'x' * 32}").symlink_to(tmp_path / "outside")
    assert Batch.find(uploads, "x" * 32) is None


def test_the_table_has_the_columns_of_predict_and_no_formulas(uploads: UploadFolder) -> None:
    path = write_table(_finished(uploads), LABELS)
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(content.decode("utf-8-sig").splitlines())
    assert header == [
        *("path", "label", "confidence", "verdict", "prediction_set", "novelty"),
        *("p(=cmd)", "p(A/B)", "error"),
    ]
    assert rows[0] == ["'=1+1.png", "A/B", "0.75", "class", "A/B", "0.1", "0.25", "0.75", ""]
    assert rows[2][:7] == ["bad.png", "", "", "", "", "", ""]
    assert "not an image" in rows[2][8]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]


def test_copies_are_sorted_and_hold_the_very_files(uploads: UploadFolder) -> None:
    with zipfile.ZipFile(write_copies(_finished(uploads), LABELS)) as copies:
        assert copies.namelist() == [
            "accepted/A_B/=1+1.png",
            "unsure/A_B/b.png",
            "unsure/A_B/b (2).png",
            "unknown/c.png",
            "predictions.csv",
        ]
        assert copies.read("unsure/A_B/b (2).png") == _picture(101)
        assert b"text.txt" in copies.read("predictions.csv")
        assert copies.testzip() is None


def test_a_deleted_image_is_listed_and_not_copied(uploads: UploadFolder) -> None:
    batch = _finished(uploads)
    (uploads.path / "1").unlink()
    with zipfile.ZipFile(write_copies(batch, LABELS)) as copies:
        assert "unsure/A_B/b.png" not in copies.namelist()[:2]
        assert b"deleted in the meantime" in copies.read("predictions.csv")


def test_the_image_of_a_row_is_an_upload(uploads: UploadFolder) -> None:
    batch = _finished(uploads)
    assert copy_of(batch, 1) == (uploads.path / "1", "b.png")
    path, name = copy_of(batch, 3)
    assert name == "a.zip/../b.png"
    assert path == uploads.find(str(path))
    assert path.read_bytes() == _picture(101)
    for index in (6, -1):
        with pytest.raises(ImageError, match="does not exist any more"):
            copy_of(batch, index)


def test_an_unexpected_error_is_a_row(uploads: UploadFolder) -> None:
    def fail(image: Image.Image) -> Examination:
        raise RuntimeError("broken")

    items, _ = collect(_files(uploads)[:1])
    [answered] = Batch.create(uploads).run(items, read, fail)
    assert (answered.row.error, answered.image) == (UNEXPECTED, None)


async def _last(runner: BatchRunner, files: Files) -> Progress:
    steps = [progress async for progress in runner.run(files)]
    return steps[-1]


def _runner(uploads: UploadFolder) -> BatchRunner:
    return BatchRunner(uploads, read, examine, lambda image: f"data:{image.size}")


def test_batches_take_turns(uploads: UploadFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "STEP_S", 0)
    order = []

    def noted(image: Image.Image) -> Examination:
        order.append(image.getpixel((0, 0))[0])  # type: ignore[index]
        return examine(image)

    async def both(runner: BatchRunner) -> list[Progress]:
        path = [uploads.path / f"gray{gray}" for gray in (1, 2)]
        for gray, file in enumerate(path, 1):
            file.write_bytes(_picture(gray))
        return await asyncio.gather(*(_last(runner, [(file, "a")] * 4) for file in path))

    done = asyncio.run(both(BatchRunner(uploads, read, noted, lambda _: "")))
    assert [len(each.rows) for each in done] == [4, 4]
    assert order == [1, 2] * 4


def test_a_canceled_batch_keeps_its_answers_and_frees_its_place(
    uploads: UploadFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "STEP_S", 0)
    monkeypatch.setattr(runner_module, "MAX_BATCHES", 1)
    runner, files = _runner(uploads), _files(uploads)

    async def stopped() -> Batch:
        steps = runner.run(files)
        progress = await anext(steps)
        with pytest.raises(BatchError, match="works on"):
            await anext(runner.run(files))
        await steps.aclose()  # type: ignore[attr-defined]
        return progress.batch

    batch = asyncio.run(stopped())
    assert [row.path for row, _ in batch.answers()] == ["=1+1.png"]
    assert len(asyncio.run(_last(runner, files)).rows) == 6


def test_a_batch_that_is_canceled_within_a_step_ends_after_the_image(
    uploads: UploadFolder,
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(image: Image.Image) -> Examination:
        begun.set()
        go_on.wait(10)
        return examine(image)

    runner = BatchRunner(uploads, read, slow, lambda _: "")

    async def canceled() -> None:
        task = asyncio.create_task(_last(runner, _files(uploads)))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(canceled())
    [folder] = uploads.path.glob("batch-*")
    # The thread of the step outlives its task.
    deadline = time.monotonic() + 10
    while not (rows := list(Batch(folder).answers())) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert [row.path for row, _ in rows] == ["=1+1.png"]
    assert len(list(Batch(folder).answers())) == 1


def test_a_full_disk_is_reported(uploads: UploadFolder) -> None:
    runner, files = _runner(uploads), _files(uploads)
    uploads.remove()
    with pytest.raises(BatchError, match="can't store"):
        asyncio.run(_last(runner, files))
