"""Crops of drawn surfaces: found to overlap, kept together, and reported when a split leaks."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset
from PIL import Image

from model_card.schema.report import Report
from tests.support.small_run import small_config
from trainer import compare_splits
from trainer.config.groups import DataConfig
from trainer.config.settings import TrainConfig
from trainer.data.image_record import note_images
from trainer.data.splits.dataset import Images, prepare_images
from trainer.data.splits.overlap_groups import OVERLAPS_FILE, Surfaces, read_surfaces, survey
from trainer.errors import DataError
from trainer.inspection import inspector
from trainer.inspection.report.schema import DataReport
from trainer.run import train
from trainer.synthetic.samples import draw_image

LABELS = ("Crazing", "Patches")
SURFACES = 10


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write three crops of each of ten surfaces a class; the third is turned by 90°."""
    folder = tmp_path_factory.mktemp("crops") / "strip"
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for number in range(SURFACES):
            surface = draw_image(label, number)
            surface.crop((0, 0, 150, 150)).save(folder / label / f"{number}-a.png")
            surface.crop((50, 30, 200, 180)).save(folder / label / f"{number}-b.jpg", quality=90)
            surface.crop((20, 50, 170, 200)).rotate(90).save(folder / label / f"{number}-c.png")
    return folder


def prepare(config: TrainConfig, run_dir: Path) -> list[Images]:
    run_dir.mkdir(exist_ok=True)
    return prepare_images(config.data, config.run, config.checks.boxes, run_dir)


def on(data_dir: Path, run_dir: Path, **data: object) -> TrainConfig:
    config = small_config(data_dir, run_dir, epochs=1)
    return replace(config, data=replace(config.data, **data))  # type: ignore[arg-type]


def surface_of(file: str) -> str:
    return file.partition("-")[0]


def test_crops_of_a_surface_are_one_group(crops: Path, tmp_path: Path) -> None:
    [images] = prepare(on(crops, tmp_path), tmp_path / "run")
    assert images.surfaces is not None
    pairs = {(pair.file_a, pair.file_b): pair for pair in images.surfaces.pairs}
    assert {(surface_of(a), surface_of(b)) for a, b in pairs} == {
        (f"{label}/{n}",) * 2 for label in LABELS for n in range(SURFACES)
    }
    assert len(pairs) == 3 * SURFACES * len(LABELS)
    shifted = pairs["Patches/4-a.png", "Patches/4-b.jpg"]
    assert (shifted.turn, shifted.shift_y, shifted.shift_x) == (0, 30, 50)
    assert shifted.shared_area == pytest.approx(120 * 100 / 150**2)
    turned = pairs["Patches/4-a.png", "Patches/4-c.png"]
    assert turned.turn_in_words == "turned by 90° clockwise"
    assert (turned.shift_y, turned.shift_x) == (50, 20)
    sides = {
        name: {surface_of(file) for file in part["file"]} for name, part in images.splits.items()
    }
    assert not sides["train"] & sides["test"]
    assert not sides["train"] & sides["validation"]
    assert not sides["validation"] & sides["test"]


def test_what_was_found_is_not_sought_again(crops: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    [images] = prepare(on(crops, tmp_path), run_dir)
    names = [file for part in images.splits.values() for file in part["file"]]
    assert images.surfaces is not None
    # As a run does when it begins.
    images.surfaces.write(run_dir)
    note_images(run_dir, images.contents, DataConfig())
    again = read_surfaces(run_dir, names)
    assert again is not None
    assert again.pairs == images.surfaces.pairs
    found = json.loads((run_dir / OVERLAPS_FILE).read_text())
    (run_dir / OVERLAPS_FILE).write_text(json.dumps(found | {"pairs": []}))
    [none] = prepare(on(crops, tmp_path), run_dir)
    assert none.surfaces is not None
    assert none.surfaces.pairs == []
    # What was found of other images is worth nothing.
    (run_dir / OVERLAPS_FILE).write_text(json.dumps({"images": "others", "pairs": []}))
    [renewed] = prepare(on(crops, tmp_path), run_dir)
    assert renewed.surfaces is not None
    assert renewed.surfaces.pairs == images.surfaces.pairs


def test_runs_and_inspections_of_the_same_images_look_once(
    crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def counted(images: Dataset) -> Surfaces:
        looks.append(len(images))
        return survey(images)

    monkeypatch.setattr("trainer.data.splits.overlap_groups.survey", counted)
    data_dir, cache = tmp_path / "data", tmp_path / "cache"
    shutil.copytree(crops, data_dir)

    def pairs_of(name: str, **data: object) -> set[tuple[str, str]]:
        config = on(data_dir, tmp_path / name, **data)
        config = replace(config, run=replace(config.run, cache_dir=cache))
        [images] = prepare(config, tmp_path / name)
        assert images.surfaces is not None
        return {(pair.file_a, pair.file_b) for pair in images.surfaces.pairs}

    first = pairs_of("first")
    assert len(first) == 3 * SURFACES * len(LABELS)
    assert pairs_of("second", random_split=True) == first
    page = inspector.run(
        DataConfig(data_dir=(str(data_dir),)), tmp_path / "report", None, cache_dir=cache
    )
    assert len(
        DataReport.model_validate_json((page.parent / "data-report.json").read_bytes()).pairs
    ) == len(first)
    assert looks == [60]
    # Under the name of one image another picture: all images are compared again, and differ.
    draw_image("Crazing", SURFACES).save(data_dir / "Crazing" / "0-a.png")
    lost = {pair for pair in first if "Crazing/0-a.png" in pair}
    assert pairs_of("third") == first - lost
    assert len(lost) == 2
    # As the former pictures were, they are known.
    shutil.copy(crops / "Crazing" / "0-a.png", data_dir / "Crazing" / "0-a.png")
    assert pairs_of("fourth") == first
    # Under another label, a pair is reported with that.
    (data_dir / "Crazing" / "1-a.png").rename(data_dir / "Patches" / "1-c2.png")
    assert ("Crazing/1-b.jpg", "Patches/1-c2.png") in pairs_of("fifth")
    assert looks == [60, 60, 60]
    for kept in cache.rglob(OVERLAPS_FILE):
        kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(DataError, match=r"overlaps.json, .* is damaged\. Remove it"):
        pairs_of("sixth")


def test_copies_in_another_format_are_pairs(tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(12):
            draw_image(label, number).save(tmp_path / "data" / label / f"{number}.png")
    draw_image("Crazing", 3).save(tmp_path / "data" / "Crazing" / "copy.bmp")
    # The same picture under two labels.
    draw_image("Crazing", 3).save(tmp_path / "data" / "Patches" / "copy.tiff")
    [images] = prepare(on(tmp_path / "data", tmp_path), tmp_path / "run")
    assert images.surfaces is not None
    assert {(pair.file_a, pair.file_b) for pair in images.surfaces.pairs} == {
        ("Crazing/3.png", "Crazing/copy.bmp"),
        ("Crazing/3.png", "Patches/copy.tiff"),
    }
    assert all(pair.similarity == pair.shared_area == 1 for pair in images.surfaces.pairs)
    assert set(images.surfaces.stand_in) == {"Crazing/copy.bmp", "Patches/copy.tiff"}


def test_equal_frames_are_joined_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for label in LABELS:
        (tmp_path / "data" / label).mkdir(parents=True)
    for number in range(30):
        frame = Image.new("L", (32, 32), 0 if number < 20 else 8)
        frame.save(tmp_path / "data" / "Crazing" / f"{number:02}.png")
        draw_image("Patches", number).resize((32, 32)).save(
            tmp_path / "data" / "Patches" / f"{number}.png"
        )
    data = DataConfig(data_dir=(str(tmp_path / "data"),))
    (tmp_path / "file").write_text("no folder can be made below this")
    caplog.set_level("INFO", logger="trainer")
    page = inspector.run(data, tmp_path / "report", None, cache_dir=tmp_path / "file" / "cache")
    report = DataReport.model_validate_json((page.parent / "data-report.json").read_bytes())
    # A chain through all pairs would be 190 + 45.
    assert len(report.pairs) == 19 + 9
    assert [len(group.files) for group in report.groups] == [20, 10]
    assert page.read_text(encoding="utf-8").count("and 10 more copies") == 1
    messages = caplog.messages
    assert [m.partition(":")[0] for m in messages if "A random split would leak" in m] == ["REVIEW"]
    [cache] = [message for message in messages if "cache" in message]
    assert cache.endswith("name another folder with --cache-dir.")
    text = page.read_text(encoding="utf-8")
    assert "Crazing/00.png, Crazing/01.png, Crazing/02.png and 17 more" in text


def leaky_folders(crops: Path, folder: Path) -> Path:
    """Put one crop of each surface into test; those of surfaces 0 to 4 leave no twin behind."""
    for label in LABELS:
        for file in (crops / label).iterdir():
            number, _, side = file.stem.partition("-")
            if int(number) < 5 and side != "b":
                continue
            part = folder / ("test" if side == "b" else "train") / label
            part.mkdir(parents=True, exist_ok=True)
            (part / file.name).write_bytes(file.read_bytes())
    return folder


def test_leaking_folders_are_reported_loudly_and_scored_apart(
    crops: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data_dir = leaky_folders(crops, tmp_path / "given")
    with caplog.at_level(logging.WARNING, "trainer"):
        report = Report.read(train(on(data_dir, tmp_path / "run")))
    assert "WARNING: 10 of 20 test images (50.0 %) show a piece of surface" in caplog.text
    assert "pass --resplit" in caplog.text
    assert report.data.division == "given"
    assert report.data.test_leakage is not None
    assert (report.data.test_leakage.images, report.data.test_leakage.of) == (10, 20)
    assert report.unseen_test is not None
    assert report.unseen_test.images == 10
    card = (tmp_path / "run" / "published" / "README.md").read_text(encoding="utf-8")
    assert "**The scores are too good.** 10 of 20 test images" in card


def test_regroup_makes_the_split_honest(
    crops: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data_dir = leaky_folders(crops, tmp_path / "given")
    with caplog.at_level(logging.WARNING, "trainer"):
        [images] = prepare(on(data_dir, tmp_path, resplit=True), tmp_path / "run")
    assert "WARNING" not in caplog.text
    assert images.division == "grouped"
    sides = [
        {surface_of(file.split("/", 1)[1]) for file in part["file"]}
        for part in images.splits.values()
    ]
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_grouped_folds_train_and_are_joined(crops: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    folder = train(on(crops, run_dir, folds=2))
    report = Report.read(folder)
    folds = [Report.read(run_dir / f"fold-{n}" / "published") for n in (1, 2)]
    joined = report.cross_validation
    assert joined is not None
    assert joined.all_images.images == 60 == sum(fold.test.images for fold in folds)
    assert [f.accuracy for f in joined.folds] == [fold.test.scores["accuracy"] for fold in folds]
    right = sum(fold.test.images - len(fold.test.mistakes) for fold in folds)
    assert joined.all_images.scores["accuracy"].value == pytest.approx(right / 60)
    # What is published, and what it names right, are those of the first fold; its confidence is
    # not: the temperature follows from the other folds.
    assert report.test.confusion == folds[0].test.confusion
    assert report.test.scores["accuracy"] == folds[0].test.scores["accuracy"]
    assert {m.file for m in report.test.mistakes} == {m.file for m in folds[0].test.mistakes}
    assert report.reliability is not None
    assert report.reliability.calibration.fitted_on == "other folds"
    assert report.reliability.calibration.fitted_images == folds[1].test.images
    weights = "model.safetensors"
    expected = (run_dir / "fold-1" / "published" / weights).read_bytes()
    assert (folder / weights).read_bytes() == expected
    rows = (run_dir / "predictions.csv").read_text().splitlines()
    assert len({row.split(",")[0] for row in rows[1:]}) == 60
    assert joined.all_images.mistakes, "a hopeless model was wanted, to see its mistakes"
    assert (run_dir / "figures" / "mistakes.png").exists()
    assert not (folder / "figures" / "mistakes.png").exists()
    assert "### Cross-validation" in (folder / "README.md").read_text(encoding="utf-8")
    # A second call finds all done; a lost last step is done again without training.
    (folder / "README.md").unlink()
    folder.rename(tmp_path / "away")
    before = (run_dir / "fold-2" / "metrics.jsonl").stat().st_mtime_ns
    again = on(crops, run_dir, folds=2)
    train(replace(again, run=replace(again.run, resume=True)))
    assert Report.read(folder) == report
    assert (run_dir / "fold-2" / "metrics.jsonl").stat().st_mtime_ns == before


def test_comparing_splits_is_one_command(
    crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "compared"
    flags = f"--data-dir {crops} --model test_convnext --no-pretrained --image-size 32 --epochs 1"
    command = [*flags.split(), "--mixed-precision", "no", "--run-dir", str(run_dir)]
    compare_splits.main(command)
    table = capsys.readouterr().out
    reports = {name: Report.read(run_dir / name / "published") for name in ("random", "grouped")}
    assert reports["random"].data.test_leakage is not None
    assert reports["grouped"].data.test_leakage is None
    saved = json.loads((run_dir / "random" / "config.json").read_text())
    assert saved["data"]["random_split"] is True
    lines = table.splitlines()
    assert [line.split("|")[1].strip() for line in (lines[2], lines[-1])] == ["random", "grouped"]
    assert lines[-1].split("|")[3].replace("\u00a0", " ").strip() == "0 %"
    compare_splits.main(command)
    assert capsys.readouterr().out == table


def test_drawings_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trainer.data.sources.DRAWN_TRAIN_PER_CLASS", 10)
    monkeypatch.setattr("trainer.data.sources.DRAWN_TEST_PER_CLASS", 2)
    [images] = prepare(TrainConfig(data=DataConfig()), tmp_path / "run")
    assert images.surfaces is None
    groups = [group for part in images.splits.values() for group in part["group"]]
    assert len(set(groups)) == len(groups) == 72
