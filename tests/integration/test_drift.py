"""`predict.py --baseline`: from a training with its baseline to the report of a batch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from space.inference.drift.baseline import BASELINE_FILE, Baseline
from space.inference.drift.image_statistics import NAMES, image_statistics
from space.inference.model_folder import ModelFolder
from space.inference.predictor import Predictor, read_image
from tests.conftest import Run
from tests.support.small_run import small_config
from trainer.decision.baseline import corrupt
from trainer.inputs.corruptions import BY_NAME
from trainer.prediction.drift.batch import NOT_LOOKED
from trainer.publishing.published import check_published
from trainer.run import train

CLASSES = {"Bright": (100, 256), "Dark": (0, 156)}


def draw_pictures(folder: Path, count: int, seed: int) -> None:
    """Draw grainy images of both classes; their coarse grain is what blur and light change."""
    draw = np.random.default_rng(seed)
    for label, (least, most) in CLASSES.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            grain = draw.integers(0, 2, (10, 10)).repeat(4, 0).repeat(4, 1) * 40
            gray = draw.integers(least, most - 60, (40, 40)) + grain + draw.integers(0, 20)
            Image.fromarray(gray.astype(np.uint8)).save(folder / label / f"{number:02}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run, new healthy images, and the same too dark."""
    place = tmp_path_factory.mktemp("drift")
    draw_pictures(place / "images/train", 24, seed=0)
    draw_pictures(place / "images/test", 40, seed=1)
    draw_pictures(place / "healthy", 20, seed=2)
    config = small_config(place / "images", place / "run", epochs=2, lr=5e-3, robustness_images=2)
    train(replace(config, decision=replace(config.decision, max_rejected=0.1)))
    kind = BY_NAME["Under-exposure"]
    for file in (place / "healthy").glob("*/*.png"):
        [pixels] = corrupt(np.asarray(read_image(file, 8))[None], kind, kind.severities[2], 0)
        dark = place / "dark" / file.relative_to(place / "healthy")
        dark.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(dark)
    return place


def predict(command: Run, place: Path, images: str, *more: str) -> tuple[int, str, str]:
    model = ("--model", f"local-dir:{place / 'run/published'}", "--engine", "pytorch")
    return command("predict.py", str(place / images), *model, *more)


def test_the_baseline_is_that_of_the_test_images(place: Path) -> None:
    published = place / "run/published"
    report = check_published(published)
    assert report.export.files is not None
    assert BASELINE_FILE in report.export.files
    baseline = ModelFolder(published).read_json(BASELINE_FILE, Baseline)
    assert len(baseline.predicted) == report.test.images == 80
    counts = np.bincount(baseline.predicted, minlength=2).tolist()
    assert counts == [result.predicted for result in report.test.classes]
    predictor = Predictor(published)
    file = next((place / "images/test/Bright").glob("*.png"))
    [answer] = predictor.predict([read_image(file, predictor.bit_depth)])
    assert min(abs(answer.confidence - known) for known in baseline.confidence) < 1e-6
    assert baseline.images is not None
    assert [each.name for each in baseline.images.signatures] == [*BY_NAME][:-1]
    statistics = image_statistics(predictor.prepare(read_image(file, predictor.bit_depth)))
    known = np.array(baseline.images.statistics, np.float64)
    assert known.shape == (80, len(NAMES))
    assert np.abs(known - statistics).max(axis=1).min() < 1e-4
    # Of the training images but those for validation; brightness tells the classes apart.
    assert baseline.images.classes is not None
    dark_and_bright = [spread.mean[0] for spread in baseline.images.classes]
    trained = [(place / "images/train" / label).glob("*.png") for label in CLASSES]
    expected = [
        np.mean([image_statistics(predictor.prepare(read_image(one, 8)))[0] for one in files])
        for files in trained
    ]
    assert dark_and_bright == pytest.approx(expected, abs=0.05)


def test_a_baseline_of_an_earlier_version_is_compared_without_statistics(
    command: Run, place: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    shutil.copytree(place / "run/published", tmp_path / "run/published")
    file = tmp_path / "run/published" / BASELINE_FILE
    known = json.loads(file.read_text())
    del known["images"]["classes"], known["images"]["statistics"]
    file.write_text(json.dumps(known))
    shutil.copytree(place / "dark", tmp_path / "dark")
    code, _, err = predict(command, tmp_path, "dark", "--baseline", "model")
    assert code == 0, err
    assert "40 images compared with the test images of the model (80 images)" in caplog.text
    assert NOT_LOOKED in caplog.text


def test_drift_is_reported_on_the_terminal_and_on_the_page(
    command: Run, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ("--baseline", "model", "--report", "page.html", "--output", "out.csv")
    code, _, err = predict(command, place, "dark", *arguments)
    assert code == 0, err
    assert "Drift found: 40 images compared with the test images of the model (80" in caplog.text
    assert "look like under-exposure, about severity 3 (1.5 stops)" in caplog.text
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<b>Drift found: 40 images" in page
    assert "under-exposure" in page


def test_healthy_images_are_no_drift_for_model_or_table(
    command: Run, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code, _, err = predict(
        command, place, "healthy", "--baseline", "model", "--output", "healthy.csv"
    )
    assert code == 0, err
    assert "Drift not found: 40 images" in caplog.text
    assert NOT_LOOKED not in caplog.text
    before = Path("healthy.csv").read_bytes()
    caplog.clear()
    # The same images again: each ranks among its equals.
    assert predict(command, place, "healthy", "--baseline", "healthy.csv")[0] == 0
    assert "Drift not found: 40 images compared with the answers in healthy.csv" in caplog.text
    caplog.clear()
    assert predict(command, place, "dark", "--baseline", "healthy.csv")[0] == 0
    assert "Drift found" in caplog.text
    assert "under-exposure" in caplog.text
    assert Path("healthy.csv").read_bytes() == before


def test_a_resumed_command_counts_all_images(
    command: Run, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = ("--baseline", "model", "--output", "out.jsonl", "--batch-size", "4")
    assert predict(command, place, "dark", *call)[0] == 0
    rows = Path("out.jsonl").read_text().splitlines(keepends=True)
    Path("out.jsonl").write_text("".join(rows[:10]))
    [first] = [line for line in caplog.messages if "Drift" in line]
    caplog.clear()
    assert predict(command, place, "dark", *call, "--resume")[0] == 0
    [second] = [line for line in caplog.messages if "Drift" in line]
    assert second.partition("The images look")[0] == first.partition("The images look")[0]


def without_baseline(place: Path, folder: Path) -> Path:
    shutil.copytree(place / "run/published", folder)
    (folder / BASELINE_FILE).unlink()
    return folder


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--baseline", "none.csv"), "none.csv can't be read: No such file"),
        (("--baseline", "models"), "write `model`, or name a table"),
        (("--baseline", "other.csv"), "no table of predict.py with this model's classes"),
        (("--baseline", "another.jsonl"), "holds no answers of this model"),
        (("--baseline", "empty.jsonl"), "holds no answers of this model"),
        (("--baseline", "model", "--watch"), "--baseline needs a finished list"),
        (
            ("--baseline", "model", "--where", "verdict=unsure", "--resume", "--output", "t.csv"),
            "leave out --resume or --where",
        ),
    ],
)
def test_a_baseline_that_can_not_be_used(
    command: Run, place: Path, more: Sequence[str], says: str
) -> None:
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("empty.jsonl").touch()
    assert predict(command, place, "healthy/Dark/00.png", "--output", "own.jsonl")[0] == 0
    row = json.loads(Path("own.jsonl").read_text())
    Path("another.jsonl").write_text(json.dumps(row | {"model": "0123456789ab"}) + "\n")
    images = "healthy" if "--watch" in more else "healthy/Dark/00.png"
    code, out, err = predict(command, place, images, *more)
    assert (code, out) == (2, "")
    assert says in err


def test_a_model_of_an_earlier_version_has_no_baseline(
    command: Run, place: Path, tmp_path: Path
) -> None:
    model = without_baseline(place, tmp_path / "model")
    images = str(place / "healthy/Dark/00.png")
    code, _, err = command(
        *("predict.py", images, "--model", f"local-dir:{model}", "--baseline", "model")
    )
    assert code == 2
    assert "published by an earlier version, without baseline.json" in err
    (model / BASELINE_FILE).write_text('{"labels": 3}')
    code, _, err = command(
        *("predict.py", images, "--model", f"local-dir:{model}", "--baseline", "model")
    )
    assert code == 2
    assert "baseline.json can't be used" in err
