"""predict.py from the command line: rows, hostile files, interruptions, exit codes."""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from space.inference.attribution import Explainer, colored
from space.inference.engines import choice
from space.inference.images.decoding import Decoder
from space.inference.predictor import Predictor, read_image
from tests.conftest import Run
from tests.support.hostile_images import hostile_files
from tests.support.published_folder import noise

ROOT = Path(__file__).parents[2]
IMAGES = 21


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Known and unknown surfaces, and a file that is no image."""
    folder = tmp_path_factory.mktemp("coil")
    for number in range(IMAGES):
        picture = noise(number)
        if number % 5 == 4:
            picture.paste("gray", (0, 0, *picture.size))
        picture.save(folder / f"{number:02}.png")
    (folder / "07.png").write_bytes(b"no image")
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_times(path: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k != "milliseconds"} for row in table(path)]


def exact(package: Path) -> tuple[str, ...]:
    """Return the options of the model, run by the engine that the expected answers come from."""
    return "--model", f"local-dir:{package}", "--engine", "pytorch"


def test_the_fastest_engine_predicts_and_is_named(
    command: Run, package: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, model = str(images / "00.png"), f"local-dir:{package}"
    code, out, _ = command("predict.py", file, "--model", model)
    assert (code, len(out.splitlines())) == (0, 2)
    fastest = "OpenVINO" if platform.machine() in choice.X86 else "ONNX Runtime"
    assert f"The network runs on {fastest}" in caplog.text
    code, out, err = command("predict.py", file, "--model", model, "--engine", "fast")
    assert (code, out) == (2, "")
    assert "--engine" in err and "onnxruntime" in err


def test_each_row_is_what_the_predictor_answers(
    command: Run, package: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code, out, _ = command(
        "predict.py",
        str(images),
        *exact(package),
        "--output",
        "out.csv",
    )
    assert (code, out) == (0, "")
    rows = table(Path("out.csv"))
    files = sorted(images.iterdir())
    assert [row["path"] for row in rows] == [str(file) for file in files]
    predictor = Predictor(package)
    for file, row in zip(files, rows, strict=True):
        if file.name == "07.png":
            assert row["verdict"] == "" and "not an image" in row["error"]
            continue
        [answer] = predictor.predict([read_image(file, predictor.bit_depth)])
        assert (row["label"], row["verdict"]) == (answer.label, answer.verdict)
        assert tuple(row["prediction_set"].split("; ")) == answer.candidates
        for label, share in answer.probabilities.items():
            assert float(row[f"p({label})"]) == pytest.approx(share, abs=2e-6)
        assert answer.novelty is not None
        assert float(row["novelty"]) == pytest.approx(answer.novelty, rel=1e-4)
        assert (row["bit_depth"], row["error"]) == ("8", "")
    found = [row["verdict"] for row in rows]
    assert {"class", "unsure", "unknown", ""} == set(found), "the images show no verdict"
    summary = (
        f"{IMAGES} images: {found.count('class')} accepted, {found.count('unsure')} unsure, "
        f"{found.count('unknown')} unknown surface, 1 unreadable."
    )
    assert summary in caplog.text


def test_a_model_of_drawings_is_named(
    command: Run, package: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tmp_path / "model"
    shutil.copytree(package, model)
    call = ("predict.py", str(images / "00.png"), "--model", f"local-dir:{model}")
    report = json.loads((model / "report.json").read_text())
    for kind, warned in (("folder", False), ("drawn", True)):
        report["data"]["kind"] = kind
        (model / "report.json").write_text(json.dumps(report))
        caplog.clear()
        assert command(*call)[0] == 0
        assert ("trained on drawings" in caplog.text) == warned
    (model / "report.json").unlink()
    assert command(*call)[0] == 0


def test_data_alone_goes_to_stdout(command: Run, package: Path, images: Path) -> None:
    code, out, _ = command("predict.py", *exact(package), str(images / "0*.png"))
    lines = out.splitlines()
    assert code == 0 and len(lines) == 11
    assert lines[0].startswith("path,label,confidence,verdict,prediction_set,novelty,p(")


def test_scripts_get_an_exit_code_and_the_rows_that_they_want(
    command: Run, package: Path, images: Path
) -> None:
    model = exact(package)
    wanted = ("--where", "verdict=unknown,error", "--output", "out.jsonl", "--copy-to", "copies")
    code, _, _ = command("predict.py", str(images), *model, *wanted, "--fail-on", "unknown")
    assert code == 1
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    names = {Path(row["path"]).name: row["verdict"] for row in rows}
    unknown = ("04.png", "09.png", "14.png", "19.png")
    assert names == {"07.png": None} | dict.fromkeys(unknown, "unknown")
    copies = {str(file.relative_to("copies")) for file in Path("copies").rglob("*.png")}
    assert copies == {"unreadable/07.png"} | {f"unknown/{name}" for name in unknown}
    one = str(images / "00.png")
    assert command("predict.py", one, *model, "--fail-on", "unknown,error")[0] == 0
    code, _, err = command("predict.py", one, *model, "--where", "label=Rusty")
    assert code == 2 and "the model has no such class" in err


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_resumed_table_equals_an_undisturbed_one(
    kind: str, command: Run, package: Path, images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = (
        str(images),
        *exact(package),
        "--batch-size",
        "4",
    )
    whole, torn = Path(f"whole.{kind}"), Path(f"torn.{kind}")
    assert command("predict.py", *arguments, "--output", str(whole))[0] == 0
    content = whole.read_bytes()

    def untimed(path: Path) -> list[object]:
        if kind == "csv":
            return [*without_times(path)]
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [{k: v for k, v in row.items() if k != "milliseconds"} for row in rows]

    for length in (0, 40, len(content) // 3, len(content) // 2, len(content) - 1, len(content)):
        torn.write_bytes(content[:length])
        copies = f"copies{length}"
        caplog.clear()
        call = ("--output", str(torn), "--resume", "--copy-to", copies)
        assert command("predict.py", *arguments, *call)[0] == 0
        assert sum(file.is_file() for file in Path(copies).rglob("*")) == IMAGES
        assert untimed(torn) == untimed(whole), length
        assert f"{IMAGES} images: " in caplog.text


def test_a_table_of_other_images_is_not_continued(
    command: Run, package: Path, images: Path
) -> None:
    model = (*exact(package), "--output", "out.csv")
    assert command("predict.py", str(images / "03.png"), *model)[0] == 0
    code, _, err = command("predict.py", str(images / "03.png"), *model)
    assert code == 2 and "Add --resume to continue it" in err
    code, _, err = command("predict.py", str(images), *model, "--resume")
    assert code == 2 and "does not follow in the list of images" in err


def test_a_finished_parquet_table_is_not_predicted_again(
    command: Run,
    package: Path,
    images: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = (*exact(package), "--output", "out.parquet", "--resume")
    assert command("predict.py", str(images), *call)[0] == 0
    before = parquet.read_table("out.parquet").to_pylist()
    read = Decoder.examine
    with monkeypatch.context() as patch:
        patch.delattr(Decoder, "examine")
        assert command("predict.py", str(images), *call)[0] == 0
    assert "out.parquet is finished: each image has its row" in caplog.text
    assert parquet.read_table("out.parquet").to_pylist() == before
    noise(99).save(images / "zz.png")
    try:
        assert command("predict.py", str(images), *call, "--batch-size", "1")[0] == 0
    finally:
        (images / "zz.png").unlink()
    assert Decoder.examine is read
    assert parquet.read_table("out.parquet").to_pylist()[:-1] == before
    assert not Path("out.parquet.rows.jsonl").exists()


def test_another_model_does_not_continue_a_table(
    command: Run, package: Path, images: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(package, other)
    rules = json.loads((other / "decision.json").read_text())
    rules["temperature"] *= 2
    (other / "decision.json").write_text(json.dumps(rules))
    for kind in ("csv", "jsonl", "parquet"):
        call = (
            "predict.py",
            str(images),
            "--output",
            f"out.{kind}",
            "--resume",
            "--engine=pytorch",
        )
        assert command(*call, "--model", f"local-dir:{package}")[0] == 0
        before = Path(f"out.{kind}").read_bytes()
        code, _, err = command(*call, "--model", f"local-dir:{other}")
        assert code == 2 and "its rows are of another model" in err
        assert Path(f"out.{kind}").read_bytes() == before


def test_batches_begin_where_they_would_have_begun(
    command: Run, package: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other images of a batch show in the last digits of its rows."""
    sizes: list[int] = []
    observe = Predictor.observe_prepared

    def counted(self: Predictor, inputs: Sequence[Any], *rest: Any) -> Any:
        sizes.append(len(inputs))
        return observe(self, inputs, *rest)

    call = ("predict.py", str(images), *exact(package), "--batch-size", "5")
    assert command(*call, "--output", "whole.jsonl")[0] == 0
    lines = Path("whole.jsonl").read_text().splitlines(keepends=True)
    Path("torn.jsonl").write_text("".join(lines[:13]))
    monkeypatch.setattr(Predictor, "observe_prepared", counted)
    assert command(*call, "--output", "torn.jsonl", "--resume")[0] == 0
    # The gray image of the start; then images 10 to 14 again, for 13 and 14; then the rest.
    assert sizes[-3:] == [5, 5, 1]
    found = Path("torn.jsonl").read_text().splitlines(keepends=True)
    assert found[:13] == lines[:13]
    for again, before in zip(found, lines, strict=True):
        untimed = [json.loads(line) | {"milliseconds": 0} for line in (again, before)]
        assert untimed[0] == untimed[1]


def test_hostile_files_become_rows(command: Run, package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, (_, content) in zip(range(0, 100, 2), hostile_files(), strict=False):
        (folder / f"{number:03}.png").write_bytes(content)
    for number in range(1, 100, 2):
        noise(number).save(folder / f"{number:03}.png")
    os.mkfifo(folder / "pipe.png")
    code, _, err = command(
        *(
            "predict.py",
            str(folder),
            *exact(package),
            "--output",
            "out.csv",
        )
    )
    assert (code, err.count("Traceback")) == (0, 0)
    rows = table(Path("out.csv"))
    assert len(rows) == len(list(folder.iterdir()))
    assert all((row["error"] == "") == (row["verdict"] != "") for row in rows)
    assert {Path(row["path"]).name for row in rows if row["verdict"]} >= {
        f"{number:03}.png" for number in range(1, 100, 2)
    }
    assert "named pipe" in rows[-1]["error"] or "pipe (FIFO)" in rows[-1]["error"]


def test_the_page_holds_each_image_and_no_markup_of_others(
    command: Run, package: Path, images: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "&lt;b&gt;.png"
    os.link(images / "00.png", odd)
    code, _, _ = command(
        *(
            "predict.py",
            str(images),
            str(odd),
            *exact(package),
        ),
        *("--output", "out.csv", "--report", "page.html", "--heatmaps", "heatmaps"),
    )
    assert code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    cards = json.loads(page.partition('id="cards">')[2].partition("</script>")[0])
    rows = table(Path("out.csv"))
    assert [card["path"] for card in cards] == [row["path"] for row in rows]
    assert [card["verdict"] or "" for card in cards] == [row["verdict"] for row in rows]
    assert all((card["picture"] is None) == (card["error"] is not None) for card in cards)
    explained = [card for card in cards if card["heatmap"]]
    assert [card["path"] for card in explained] == [
        row["path"] for row in rows if row["verdict"] in ("class", "unsure")
    ]
    assert {file.name for file in Path("heatmaps").iterdir()} == {
        f"{Path(card['path']).name}.jpg" for card in explained
    }
    assert "&lt;b&gt;" not in page and "<b>.png" not in page
    assert "http://" not in page and "https://" not in page


def test_a_heatmap_lies_over_its_image(command: Run, package: Path, images: Path) -> None:
    arguments = (*exact(package), "--heatmaps", "heatmaps")
    assert command("predict.py", str(images / "00.png"), *arguments)[0] == 0
    predictor = Predictor(package)
    image = read_image(images / "00.png")
    [answer] = predictor.predict([image])
    explainer = Explainer(predictor)
    heat = colored(explainer.explain(image, predictor.labels.index(answer.label)))
    seen = explainer.seen(image).convert("RGBA")
    heat = heat.resize(seen.size, Image.Resampling.BILINEAR)
    hot = np.asarray(heat)[:, :, 3] > 150
    with Image.open("heatmaps/00.png.jpg") as written:
        found = np.asarray(written, float)[hot].mean(axis=0)
    expected = np.asarray(Image.alpha_composite(seen, heat), float)[hot][:, :3].mean(axis=0)
    assert np.abs(found - expected).max() < 10  # JPEG of noise halves the colors
    assert np.abs(np.asarray(seen, float)[hot][:, :3].mean(axis=0) - expected).max() > 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "local-dir:x"], "Name the images"),
        (["1.png"], "--model is missing"),
        (["1.png", "--model", "x", "--output", "a.xlsx"], "none of the suffixes .csv"),
        (["1.png", "--model", "x", "--resume"], "--resume continues a table"),
        (["1.png", "--model", "x", "--link"], "--link needs --copy-to"),
        (["1.png", "--model", "x", "--batch-size", "0"], "at least 1"),
        (["gone.png", "--model", "x"], "no file or folder gone.png"),
        (["1.png", "--model", "x"], "is not a model id"),
        (["1.png", "--model", "local-dir:gone"], "gone"),
        (["1.png", "--modle", "x"], "did you mean --model"),
    ],
)
def test_mistakes_are_explained(command: Run, arguments: list[str], words: str) -> None:
    noise(0).save("1.png")
    code, out, err = command("predict.py", *arguments)
    assert (code, out) == (2, "")
    assert words in err and "Traceback" not in err
