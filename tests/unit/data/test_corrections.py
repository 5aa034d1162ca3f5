"""Corrected images join the training split only, and nothing that shares surface with a test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_card.schema.run.data import Feedback
from tests.support.corrections import add
from trainer.config.groups import DataConfig, RunConfig
from trainer.data.splits.dataset import Images, prepare_images
from trainer.data.splits.split import SPLIT_FILE, write_split
from trainer.errors import DataError

CLASSES = ("Patches", "Rolled")
SIDE_PX = 64


def texture(seed: int, side_px: int = SIDE_PX) -> Image.Image:
    """Return a piece of surface: smooth noise, which the overlap search recognizes."""
    small = np.random.default_rng(seed).integers(0, 256, (side_px // 4, side_px // 4), np.uint8)
    return Image.fromarray(small).resize((side_px, side_px), Image.Resampling.BICUBIC)


def crop(image: Image.Image, left: int, top: int, side_px: int = SIDE_PX) -> Image.Image:
    return image.crop((left, top, left + side_px, top + side_px))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders, which no test changes; images of the training split are numbered 0 to 7."""
    root = tmp_path_factory.mktemp("corrections") / "data"
    for split, numbers in (("train", range(8)), ("test", range(8, 11))):
        for place, label in enumerate(CLASSES):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in numbers:
                texture(100 * place + number).save(folder / f"{number}.png")
    return root


def prepared(data: Path, feedback: Path | None, **more: Any) -> Images:
    """Prepare images; tests of the same folder share its cache."""
    run_dir = more.pop("run_dir", None)
    config = DataConfig(data_dir=(str(data),), feedback=feedback, validation_fraction=0.25, **more)
    [images] = prepare_images(config, RunConfig(cache_dir=data.with_name("cache")), None, run_dir)
    return images


def facts_of(images: Images) -> Feedback:
    assert images.feedback is not None
    return images.feedback.facts


def held_out(images: Images) -> dict[str, list[Any]]:
    return {
        name: [images.splits[name][column][:] for column in ("file", "label", "group")]
        for name in ("validation", "test")
    }


@pytest.mark.slow
def test_new_surfaces_join_the_training_split_and_no_other(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feedback"
    names = [add(folder, texture(500 + n), CLASSES[n % 2], n) for n in range(3)]
    before, after = prepared(data, None), prepared(data, folder)
    assert held_out(after) == held_out(before)
    train = after.splits["train"]
    assert train["file"][: len(before.splits["train"])] == before.splits["train"]["file"][:]
    added = train.select(range(len(before.splits["train"]), len(train)))
    assert added["file"][:] == [f"feedback/{name[:24]}.png" for name in names]
    assert [CLASSES[label] for label in added["label"][:]] == ["Patches", "Rolled", "Patches"]
    assert len(set(train["group"][:])) == len(set(before.splits["train"]["group"][:])) + 3
    assert after.feedback is not None
    assert after.feedback.facts.taken == {"Patches": 2, "Rolled": 1}
    assert after.feedback.facts.left_out() == []
    assert after.digest() != before.digest()
    # A split file names the images of the data alone.
    write_split(after.splits, tmp_path, after.corrected)
    again = prepared(data, None, split_file=tmp_path / SPLIT_FILE)
    for name in ("validation", "test"):
        assert set(again.splits[name]["file"][:]) == set(before.splits[name]["file"][:])


@pytest.mark.slow
def test_the_split_is_the_same_where_the_data_have_none(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feedback"
    for number in range(4):
        add(folder, texture(500 + number), CLASSES[number % 2], number)
    # A bridge between two pieces of surface must not join their groups.
    wide = Image.new("L", (2 * SIDE_PX, SIDE_PX))
    wide.paste(texture(0), (0, 0))
    wide.paste(texture(1), (SIDE_PX, 0))
    add(folder, wide, "Patches", 5)
    before = prepared(data, None, resplit=True)
    after = prepared(data, folder, resplit=True)
    assert held_out(after) == held_out(before)


@pytest.mark.slow
def test_what_shares_surface_with_a_held_out_image_is_left_out(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feedback"
    data = shutil.copytree(data, tmp_path / "data")
    before = prepared(data, None)
    validation = before.splits["validation"]["file"][0]
    whole = texture(900, 3 * SIDE_PX)
    (data / "test" / "Patches" / "wide.png").parent.mkdir(exist_ok=True)
    crop(whole, 0, 0, 2 * SIDE_PX).save(data / "test" / "Patches" / "wide.png")
    # A copy of a test image, of a validation image, turned; an overlap; and a chain to it.
    copy = add(folder, texture(8), "Patches", 0)
    turned = Image.open(data / validation).transpose(Image.Transpose.ROTATE_90)
    add(folder, turned, Path(validation).parts[-2], 1)
    add(folder, crop(whole, SIDE_PX, 0, 2 * SIDE_PX), "Patches", 2)
    add(folder, crop(whole, SIDE_PX, SIDE_PX, 2 * SIDE_PX), "Patches", 3)
    add(folder, texture(700), "Rolled", 4)
    after = prepared(data, folder)
    assert after.feedback is not None
    assert after.feedback.facts.overlapping == 4
    assert after.feedback.facts.taken == {"Rolled": 1}
    assert f"feedback/{copy[:24]}.png" not in after.splits["train"]["file"][:]
    assert "4 that share surface with a validation or test image" in after.feedback.facts.left_out()


def test_contradictions_are_listed_and_left_out(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feedback"
    one = add(folder, texture(600), "Patches", 0)
    add(folder, texture(600), "Rolled", 1, thread="f" * 32)
    whole = texture(901, 3 * SIDE_PX)
    two = add(folder, crop(whole, 0, 0, 2 * SIDE_PX), "Patches", 2)
    three = add(folder, crop(whole, SIDE_PX // 2, 0, 2 * SIDE_PX), "Rolled", 3)
    before = prepared(data, None)
    trained = next(f for f in before.splits["train"]["file"][:] if "Patches" in f)
    four = add(folder, Image.open(data / trained), "Rolled", 4)
    add(folder, texture(601), "Rolled", 5)
    facts = facts_of(prepared(data, folder))
    assert facts.contradicting == sorted(f"feedback/{n[:24]}.png" for n in (one, two, three, four))
    assert facts.taken == {"Rolled": 1}
    assert facts.left_out()[0].startswith("4 that contradict another correction")


def test_what_is_no_class_never_becomes_a_label(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feedback"
    for number, kind in enumerate(("several", "none", "unusable", "none")):
        add(folder, texture(600 + number), None, number, kind=kind)
    add(folder, texture(610), "Foreign", 8)
    add(folder, texture(611), "Rolled", 9)
    before = prepared(data, None)
    trained = next(f for f in before.splits["train"]["file"][:] if "Patches" in f)
    add(folder, Image.open(data / trained), "Patches", 10)
    images = prepared(data, folder)
    facts = facts_of(images)
    assert facts.without_class == {"several defects": 1, "none of these": 2, "not usable": 1}
    assert facts.unknown_classes == {"Foreign": 1}
    assert facts.known == 1
    assert facts.taken == {"Rolled": 1}
    assert images.labels == list(CLASSES)
    assert (facts.images, facts.corrections) == (7, 7)


@pytest.mark.slow
def test_a_resumed_run_takes_what_it_took_before(data: Path, tmp_path: Path) -> None:
    folder, run_dir = tmp_path / "feedback", tmp_path / "run"
    run_dir.mkdir()
    name = add(folder, texture(600), "Rolled", 0)
    first = prepared(data, folder)
    assert first.feedback is not None
    first.feedback.write(run_dir)
    # More arrives, and the same image is corrected again.
    add(folder, texture(601), "Patches", 1)
    add(folder, texture(600), "Patches", 2)
    again = prepared(data, folder, run_dir=run_dir)
    assert again.digest() == first.digest()
    assert again.splits["train"]["group"][:] == first.splits["train"]["group"][:]
    assert again.feedback == first.feedback
    (folder / "images" / f"{name}.png").unlink()
    with pytest.raises(DataError, match=r"1 corrected image of the run .* is not in"):
        prepared(data, folder, run_dir=run_dir)
    (run_dir / "feedback.json").unlink()
    with pytest.raises(DataError, match="missing or damaged"):
        prepared(data, folder, run_dir=run_dir)


@pytest.mark.slow
def test_damaged_feedback_stops_the_run_or_is_listed(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "feedback"
    changed = add(folder, texture(600), "Rolled", 0)
    add(folder, texture(601), "Rolled", 1)
    (folder / "images" / f"{changed}.png").write_bytes(b"other")
    (folder / "corrections" / "cut.json").write_text("{")
    with pytest.raises(DataError, match="2 files of --feedback") as error:
        prepared(data, folder)
    assert "its content was changed" in str(error.value)
    facts = facts_of(prepared(data, folder, skip_bad_images=True))
    assert {bad.file for bad in facts.damaged} == {
        "corrections/cut.json",
        f"images/{changed}.png",
    }
    assert facts.taken == {"Rolled": 1}


def test_what_is_no_feedback_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folder corrections"):
        prepared(data, data)
    (tmp_path / "empty" / "corrections").mkdir(parents=True)
    with pytest.raises(DataError, match="has no corrections"):
        prepared(data, tmp_path / "empty")
