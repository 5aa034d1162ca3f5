"""The inspection of a folder, from the command line to the page in a browser."""

from __future__ import annotations

import io
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.drawn_strips import SURFACES, Shot
from docs.browser import DESKTOP, PHONE, open_page
from tests.loopback_hub import LoopbackHub
from trainer.inspection.report.schema import DATA_REPORT_FILE, DataReport
from trainer.synthetic.samples import draw_image

SCRIPT = Path(__file__).parents[2] / "trainer" / "inspect_data.py"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Run inspect_data.py in this process; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["inspect_data.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        output = capfd.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, output.out, output.err

    return run


def save(image: Image.Image, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
    return file


def crop(seed: int, shot: Shot) -> Image.Image:
    """Return a crop of a drawn strip."""
    strip = SURFACES["busy"](np.random.default_rng(seed), (400, 700), 4.0)
    return Image.fromarray(shot.taken(strip))


def read_report(folder: Path) -> DataReport:
    return DataReport.model_validate_json((folder / DATA_REPORT_FILE).read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """Two parts of four images; one test image overlaps training, and one pair is turned."""
    data = tmp_path / "steel"
    save(crop(1, Shot(0, 0)), data / "train/Crazing/left.png")
    save(crop(1, Shot(40, 100)), data / "test/Crazing/right.png")
    save(crop(2, Shot(10, 20)), data / "train/Crazing/upright.png")
    save(crop(2, Shot(30, 60, turn=5)), data / "train/Rolled/turned.png")
    save(draw_image("Rolled", 1), data / "train/Rolled/alone.png")
    for number in (2, 3):
        save(draw_image("Rolled", number), data / f"test/Rolled/{number}.png")
    save(draw_image("Crazing", 4), data / "test/Crazing/4.png")
    return data


def test_leakage_pairs_and_groups_by_hand(
    command: Command, leaking: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(leaking)
    code, out, _ = command("--data-dir", leaking)
    page = Path(out.strip())
    assert (code, page) == (0, Path("runs/inspection-steel/index.html"))
    problem = "PROBLEM: 25.0\N{NO-BREAK SPACE}% of the test split overlaps training"
    explained = caplog.messages[caplog.messages.index(problem) + 1].splitlines()
    assert "Train with --resplit" in " ".join(line.strip() for line in explained)
    assert all(line.startswith("  ") and len(line) <= 78 for line in explained)
    assert contents(leaking) == before
    report = read_report(page.parent)
    [leak] = report.leakage
    assert (leak.split, leak.seen_in, leak.images, leak.of) == ("test", "training", 1, 4)
    pairs = {frozenset((pair.file_a, pair.file_b)): pair for pair in report.pairs}
    shifted = pairs[frozenset(("train/Crazing/left.png", "test/Crazing/right.png"))]
    assert (shifted.turn, abs(shifted.shift_y), abs(shifted.shift_x)) == (0, 40, 100)
    # 160 of 200 rows, 100 of 200 columns.
    assert shifted.shared_area == pytest.approx(0.8 * 0.5)
    across = pairs[frozenset(("train/Crazing/upright.png", "train/Rolled/turned.png"))]
    assert across.shared_area == pytest.approx(180 * 160 / 200**2)
    assert across.turn != 0
    assert len(pairs) == 2
    assert (report.sharing_images, report.surfaces) == (4, 6)
    assert report.random_split is None
    assert [group.labels for group in report.groups] == [["Crazing"], ["Crazing", "Rolled"]]


def test_all_that_is_wrong_is_named_at_once(command: Command, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(3):
        save(draw_image("Crazing", number), data / f"Crazing/{number}.png")
    for number in range(15):
        save(draw_image("Rolled", number), data / f"crazing/{number}.jpg")
    whole = save(draw_image("Crazing", 9), data / "Crazing/cut.jpg").read_bytes()
    (data / "Crazing/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (data / "Crazing/list.csv").write_text("a,b")
    (data / "Crazing/text.png").write_text("no picture")
    save(draw_image("Crazing", 0), data / "crazing/same.bmp")
    code, _, err = command("--data-dir", data, "--output-dir", tmp_path / "out")
    assert code == 0
    assert "Traceback" not in err
    report = read_report(tmp_path / "out")
    reasons = {entry.file: entry.reason for entry in report.unusable}
    assert reasons.keys() == {"Crazing/cut.jpg", "Crazing/list.csv", "Crazing/text.png"}
    assert "damaged or incomplete" in reasons["Crazing/cut.jpg"]
    assert "not an image" in reasons["Crazing/list.csv"]
    assert "not an image in JPEG" in reasons["Crazing/text.png"]
    assert report.images == 19
    [alike] = report.names_alike
    assert alike.difference == "upper and lower case"
    [family] = report.duplicates
    assert family.files == ["Crazing/0.png", "crazing/same.bmp"]
    assert family.labels == ["Crazing", "crazing"]
    assert report.imbalance == pytest.approx(16 / 3)
    assert [group.files for group in report.groups] == [family.files]
    assert report.random_split is not None
    page = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    for words in (
        *("3 files can’t be used", "may be one class", "under more than one label"),
        "The largest class is 5.3 times the smallest",
    ):
        assert words in page


def test_a_folder_without_any_readable_image_is_reported(command: Command, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("A", "B"):
            file = tmp_path / "data" / part / label / "x.png"
            file.parent.mkdir(parents=True)
            file.write_bytes(b"")
    save(draw_image("Rolled", 1), tmp_path / "data/test/A/good.png")
    code, out, _ = command("--data-dir", tmp_path / "data")
    assert code == 0
    report = read_report(Path(out.strip()).parent)
    assert (report.images, len(report.unusable), report.leakage) == (1, 4, [])
    (tmp_path / "data/test/A/good.png").unlink()
    code, out, _ = command("--data-dir", tmp_path / "data")
    assert code == 0
    assert read_report(Path(out.strip()).parent).images == 0


def test_a_dataset_on_the_hub_is_inspected(command: Command, hub: LoopbackHub) -> None:
    files = {}
    for part, label, seed in (("train", "A", 1), ("train", "B", 2), ("test", "A", 1)):
        buffer = io.BytesIO()
        draw_image("Crazing", seed).save(buffer, "PNG")
        files[f"{part}/{label}/{seed}.png"] = buffer.getvalue()
    hub.put("dataset", "ada/steel", files)
    code, out, _ = command("--data-dir", "ada/steel")
    assert (code, out.strip()) == (0, "runs/inspection-ada-steel/index.html")
    report = read_report(Path("runs/inspection-ada-steel"))
    assert report.source == "ada/steel"
    assert {part.name: part.images for part in report.splits} == {"train": 2, "test": 1}
    # The test image is that of the class A in training.
    assert [(leak.images, leak.of) for leak in report.leakage] == [(1, 1)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data-dir", "./nowhere"], "There is no folder nowhere"),
        (["--data-dir", "steel", "--output-dir", "steel/report"], "is inside the data folder"),
        (
            ["--data-dir", "steel", "--output-dir", "site"],
            "an index.html that is not a data report",
        ),
        (["--data-dir", "steel", "--predictions", "none.csv"], "none.csv does not exist"),
        (["--data-dir", "empty"], "empty is empty. It should contain"),
    ],
)
def test_mistakes_are_explained(
    command: Command, leaking: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("mine")
    before = contents(leaking)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert contents(leaking) == before
    assert (tmp_path / "site/index.html").read_text() == "mine"


@pytest.mark.browser
def test_the_page_opens_from_its_file(command: Command, leaking: Path, tmp_path: Path) -> None:
    lines = ["file,label,prediction,confidence,Crazing,Rolled"]
    for file in sorted(leaking.rglob("*.png")):
        name, label = file.relative_to(leaking).as_posix(), file.parent.name
        right = "0.98,0.02" if label == "Crazing" else "0.03,0.97"
        wrong = "0.02,0.98" if name == "test/Crazing/4.png" else right
        lines.append(f"{name},{label},x,0.9,{wrong}")
    predictions = tmp_path / "predictions.csv"
    predictions.write_text("\n".join(lines))
    code, out, _ = command("--data-dir", leaking, "--predictions", predictions)
    assert code == 0
    page_file = tmp_path / out.strip()
    for size in (DESKTOP, PHONE):
        with open_page(page_file.as_uri(), size) as page:
            widths = page.eval_on_selector_all("img", "all => all.map(img => img.naturalWidth)")
            # Two pairs of two pictures, and the one label error.
            assert len(widths) == 5
            assert min(widths) > 0
            assert page.evaluate("document.documentElement.scrollWidth") == size[0]
            assert "test/Crazing/4.png" in page.inner_text("#labels")
            outline = page.locator(".pair").first.locator(".shot i").first.bounding_box()
            picture = page.locator(".pair").first.locator("img").first.bounding_box()
            assert outline and picture
            share = outline["width"] * outline["height"]
            # The pair across the parts comes first: 40 % shared.
            assert share / (picture["width"] * picture["height"]) == pytest.approx(0.4, abs=0.01)
