"""What can end predict.py, with and without --watch: kills, full disks; and hostile images."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Run
from tests.support.hostile_images import hostile_files
from tests.support.published_folder import noise
from tests.support.warm_process import WarmProcess
from tests.support.watched_line import SCRIPT, Line, eventually, rows
from trainer.prediction.journal.journal import Journal

IMAGES = 24
# More of them at night.
KILLS = [pytest.param(3, id="few"), pytest.param(20, id="many", marks=pytest.mark.nightly)]
THREADS = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coil")
    for number in range(IMAGES):
        noise(number).save(folder / f"{number:02}.png")
    (folder / "07.png").write_bytes(b"no image")
    return folder


def untimed(table: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "milliseconds"} for row in rows(table)]


def start(images: Path, package: Path, table: Path, largest_file: int = -1) -> WarmProcess:
    return WarmProcess(
        [
            *(str(SCRIPT), str(images), "--model", f"local-dir:{package}", "--resume"),
            *("--engine", "pytorch"),
            *("--output", str(table), "--batch-size", "2", "--copy-to", f"{table}.copies"),
        ],
        environment=THREADS,
        log=table.with_suffix(".log"),
        largest_file=largest_file,
    )


class Undisturbed(NamedTuple):
    """The table of a whole list, and the seconds it takes where libraries are imported."""

    table: Path
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(
    images: Path, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("whole")
    # The first one of a session waits until they are.
    for path in (folder / "first.csv", folder / "whole.csv"):
        started = time.monotonic()
        assert start(images, package, path).wait() == 0
    return Undisturbed(path, time.monotonic() - started)


@pytest.mark.parametrize("kills", KILLS)
def test_a_list_killed_at_random_moments_has_all_rows_once(
    kills: int, package: Path, images: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    whole, duration = undisturbed
    chance = random.Random(kills)  # noqa: S311
    killed = 0
    for number in itertools.count():
        table = tmp_path / f"{number}.csv"
        while killed < kills:
            process = start(images, package, table)
            process.wait_for(chance.uniform(0, duration))
            ended = process.poll() is not None
            process.kill()
            process.wait()
            if ended:
                break
            killed += 1
        process = start(images, package, table)
        assert process.wait() == 0, table.with_suffix(".log").read_text()
        assert untimed(table) == untimed(whole)
        copies = [file for file in Path(f"{table}.copies").rglob("*") if file.is_file()]
        assert len(copies) == IMAGES
        if killed == kills:
            break


@pytest.mark.parametrize("kills", KILLS)
def test_a_watched_folder_survives_kills_at_random_moments(
    kills: int, package: Path, images: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    whole, duration = undisturbed
    line, chance = Line(tmp_path, package), random.Random(kills)  # noqa: S311
    pause = kills * duration / 2 / IMAGES

    def arrive() -> None:
        for file in sorted(images.iterdir()):
            (line.images / file.name).write_bytes(file.read_bytes())
            time.sleep(pause)

    arriving = threading.Thread(target=arrive)
    arriving.start()
    options = ("--batch-size", "1", "--copy-to", str(tmp_path / "copies"))
    for _ in range(kills):
        process = line.start(*options)
        process.wait_for(chance.uniform(0, duration))
        assert process.poll() is None, line.log.read_text()
        process.kill()
        process.wait()
    arriving.join()
    # All images may have their rows already, but a process takes SIGTERM only when it watches.
    line.log.unlink()
    with line.watched(*options):
        line.said("Watching")
        line.expect({file.name for file in images.iterdir()})
    expected = {Path(row["path"]).name: row for row in untimed(whole)}
    for row in untimed(line.table):
        alone = expected[Path(row["path"]).name]
        assert (row["label"], row["verdict"]) == (alone["label"], alone["verdict"])
        assert row["error"] == alone["error"] and row["model"] == alone["model"]
    copies = [file for file in (tmp_path / "copies").rglob("*") if file.is_file()]
    assert len(copies) == IMAGES
    with Journal(line.table, []) as journal:
        assert journal.table_bytes == line.table.stat().st_size


def test_a_full_disk_is_explained_and_resumed(
    package: Path, images: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    whole, table = undisturbed.table, tmp_path / "out.csv"
    process = start(images, package, table, largest_file=whole.stat().st_size // 2)
    assert process.wait() == 2
    log = table.with_suffix(".log").read_text()
    assert "The disk is full" in log and "--resume" in log and "Traceback" not in log
    assert start(images, package, table).wait() == 0
    assert untimed(table) == untimed(whole)


def test_a_full_disk_ends_a_watch_and_loses_nothing(
    package: Path, images: Path, tmp_path: Path
) -> None:
    line = Line(tmp_path, package)
    for file in images.iterdir():
        (line.images / file.name).write_bytes(file.read_bytes())
    # The journal grows beyond this first.
    process = line.start(largest_file=60_000)
    eventually(lambda: process.poll() is not None, "an end")
    log = line.log.read_text()
    assert process.wait() == 2, log
    # SQLite does not tell a limit on files from other errors of the disk.
    assert "can't be" in log and "out.csv" in log and "--resume" in log
    assert "Traceback" not in log
    with line.watched():
        line.expect({file.name for file in images.iterdir()})


def test_a_full_stdout_is_an_error(package: Path, images: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = [str(SCRIPT), str(images), "--model", f"local-dir:{package}", "--engine", "pytorch"]
    process = WarmProcess(words, environment=THREADS, output=Path("/dev/full"), log=log)
    assert process.wait() == 2
    assert "Traceback" not in log.read_text() and "No space left" in log.read_text()


def test_fifty_hostile_images_among_five_hundred(
    command: Run, package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    noise(0).save(tmp_path / "good.png")
    content = (tmp_path / "good.png").read_bytes()
    for number in range(500):
        (folder / f"{number:03}.png").write_bytes(content)
    bad = list(itertools.islice(hostile_files(), 48))
    for number, (_, hostile) in enumerate(bad):
        (folder / f"{10 * number:03}.png").write_bytes(hostile)
    for number, make in ((480, os.mkfifo), (490, lambda path: path.symlink_to(path))):
        (folder / f"{number}.png").unlink()
        make(folder / f"{number}.png")
    code, _, err = command(
        *("predict.py", str(folder), "--model", f"local-dir:{package}", "--output", "out.jsonl"),
        *("--engine", "pytorch"),
    )
    assert (code, err.count("Traceback")) == (0, 0)
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [Path(row["path"]).name for row in found] == [f"{n:03}.png" for n in range(500)]
    good = [row for number, row in enumerate(found) if number % 10]
    assert {(row["label"], row["verdict"], row["error"]) for row in good} == {
        (good[0]["label"], good[0]["verdict"], None)
    }
    assert all((row["error"] is None) == (row["verdict"] is not None) for row in found)
    assert found[480]["error"] and found[490]["error"]
