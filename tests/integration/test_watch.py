"""predict.py --watch as a process: images appear, change, and are answered once."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from space.inference.predictor import Predictor, read_image
from tests.conftest import Run
from tests.support.published_folder import noise
from tests.support.watched_line import PATIENCE_S, Line, rows


@pytest.fixture
def line(tmp_path: Path, package: Path) -> Line:
    return Line(tmp_path, package)


def test_images_are_answered_however_they_appear(line: Line, tmp_path: Path) -> None:
    noise(0).save(line.images / "0.png")
    noise(1).save(tmp_path / "elsewhere.png")
    noise(2).save(tmp_path / "linked.png")
    content = (tmp_path / "linked.png").read_bytes()
    folder = tmp_path / "coil"
    folder.mkdir()
    noise(3).save(folder / "3.png")
    expected = ["0.png"]
    appearances: dict[str, Callable[[], object]] = {
        "1.png": lambda: shutil.move(tmp_path / "elsewhere.png", line.images / "1.png"),
        "2.png": lambda: os.link(tmp_path / "linked.png", line.images / "2.png"),
        "3.png": lambda: shutil.move(folder, line.images / "coil"),
        "4.png": lambda: noise(4).save(line.images / "coil" / "4.png"),
    }
    with line.watched():
        line.expect(expected)
        for name, appear in appearances.items():
            appear()
            expected.append(name)
            line.expect(expected)
        # Another program leaves it half written for a while; a later image overtakes it.
        with (line.images / "slow.png").open("wb") as slow:
            slow.write(content[:300])
            slow.flush()
            noise(5).save(line.images / "5.png")
            line.expect([*expected, "5.png"])
            time.sleep(0.5)
            slow.write(content[300:])
        line.expect([*expected, "5.png", "slow.png"])
    predictor = Predictor(line.package)
    for row in rows(line.table):
        [answer] = predictor.predict([read_image(row["path"], predictor.bit_depth)])
        assert (row["label"], row["verdict"]) == (answer.label, answer.verdict)
        assert float(row["confidence"]) == pytest.approx(answer.confidence, abs=2e-6)
    with line.watched():
        noise(6).save(line.images / "6.png")
        line.expect([*expected, "5.png", "slow.png", "6.png"])


def test_a_new_file_under_an_old_name_is_a_new_image(line: Line) -> None:
    noise(0).save(line.images / "latest.png")
    with line.watched():
        line.expect(["latest.png"])
        (line.images / "latest.png").write_bytes(b"no image")
        line.expect(["latest.png"] * 2)
        noise(1).save(line.images / "latest.png")
        line.expect(["latest.png"] * 3)
    assert ["not an image" in row["error"] for row in rows(line.table)] == [False, True, False]


def test_pictures_and_selected_rows(line: Line, tmp_path: Path) -> None:
    flat = noise(0)
    flat.paste("gray", (0, 0, *flat.size))
    options = ("--where", "verdict=unknown,error", "--copy-to", str(tmp_path / "copies"))
    with line.watched(*options):
        noise(0).save(line.images / "known.png")
        flat.save(line.images / "flat.png")
        line.expect(["flat.png"])
        (line.images / "flat.png").write_bytes(b"no image")
        line.expect(["flat.png"] * 2)
    assert f"{2} images: 0 accepted" in line.log.read_text()
    # A copy that a killed command made before its row is not made again.
    with line.watched(*options):
        os.utime(line.images / "flat.png")
        line.expect(["flat.png"] * 3)
    copies = [str(file.relative_to(tmp_path)) for file in (tmp_path / "copies").rglob("*.*")]
    assert sorted(copies) == ["copies/unknown/flat.png", "copies/unreadable/flat.png"]


def test_a_folder_that_disappears_is_reported_and_found_again(line: Line) -> None:
    with line.watched() as process:
        noise(0).save(line.images / "0.png")
        line.expect(["0.png"])
        line.images.rename(line.images.with_name("away"))
        line.said("is left out")
        line.images.mkdir()
        line.said("can be read again")
        # Its events are lost; it is searched.
        noise(1).save(line.images / "1.png")
        line.expect(["0.png", "1.png"])
        process.send_signal(signal.SIGINT)
        # The SIGTERM with which the test ends it must not meet it after its own handlers.
        assert process.wait(PATIENCE_S) == 0
    assert line.log.read_text().count("is left out") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1.png"], "1.png is a file; a folder is needed"),
        (["-"], "- does not exist"),
        (["in", "--report", "page.html"], "--report needs a finished list"),
        (["in", "--fail-on", "error"], "--fail-on needs a finished list"),
        (["in", "--output", "a.parquet"], "Parquet file can't grow"),
        (["in", "--copy-to", "in/sorted"], "--copy-to in/sorted is in a watched folder"),
        (["in", "--heatmaps", "in"], "is in a watched folder"),
        (["in", "--resume"], "--resume continues a table"),
        (["in", "--output", "lost.csv"], "lost.csv.journal exists without its table"),
    ],
)
def test_mistakes_are_explained(command: Run, arguments: list[str], words: str) -> None:
    noise(0).save("1.png")
    Path("in").mkdir()
    Path("lost.csv.journal").touch()
    code, out, err = command("predict.py", *arguments, "--model", "local-dir:m", "--watch")
    assert (code, out) == (2, "")
    assert words in err and "Traceback" not in err
