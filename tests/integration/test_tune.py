"""One command tunes a head: folds without test images, a preset file, and bad input in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer import tune
from trainer.config.groups import DataConfig, RunConfig
from trainer.data.splits.dataset import prepare_images
from trainer.errors import ConfigError
from trainer.tuning.fold_training import tuning_folds


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index, label in enumerate(("dark", "light")):
        (folder / label).mkdir()
        for number in range(12):
            gray = rng.normal(90 + 60 * index, 25, (36, 36)).clip(0, 255).astype(np.uint8)
            Image.fromarray(gray).save(folder / label / f"{number}.png")
    return folder


def flags(images: Path, folder: Path, *more: str) -> list[str]:
    options = (
        f"--data-dir {images} --model test_convnext --no-pretrained --epochs 1 --warmup-epochs 0 "
        f"--image-size 32 --folds 3 --tune head --mixed-precision no --run-dir {folder} --trials 2"
    )
    return [*options.split(), *more]


def test_no_test_image_is_in_a_tuning_fold(images: Path) -> None:
    data, run = DataConfig(data_dir=(str(images),)), RunConfig()
    [prepared] = prepare_images(data, run, None, None)
    tested = set(prepared.splits["test"]["file"][:])
    folds = tuning_folds(prepared, data, 0, 3)
    held_out = [file for fold in folds for file in fold.splits["validation"]["file"][:]]
    known = {*prepared.splits["train"]["file"][:], *prepared.splits["validation"]["file"][:]}
    assert tested
    assert sorted(held_out) == sorted(known)
    for fold in folds:
        splits = {name: set(split["file"][:]) for name, split in fold.splits.items()}
        assert not tested & set.union(*splits.values())
        assert not splits["train"] & splits["validation"]


def test_a_recipe_is_tuned_and_checked(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tuned"
    tune.main(flags(images, folder))
    assert capsys.readouterr().out == f"{folder / 'preset.json'}\n"
    found = json.loads((folder / "tuning.json").read_text())
    assert found["trials"] == 2
    assert (found["tuning_folds"], found["check_folds"]) == (2, 1)
    assert found["best_loss"] <= found["preset_loss"]
    gap = found["tuned"]["value"] - found["preset"]["value"]
    assert found["difference"]["value"] == pytest.approx(gap)
    preset = json.loads((folder / "preset.json").read_text())
    assert preset["recipe"]["preset"] == "from-scratch"
    assert preset["recipe"]["lr"] == pytest.approx(found["parameters"]["lr"])
    assert preset["image_size"] == found["parameters"]["image_size"]
    assert (folder / "history.png").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--tuning-folds", "3"], "leaves none of --folds 3"),
        (["--trials", "0"], "--trials must be at least 1"),
        (["--minutes", "-1"], "--minutes must be at least 0"),
    ],
)
def test_bad_options_are_reported_first(
    images: Path, tmp_path: Path, more: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        tune.main(flags(images, tmp_path / "run", *more))
    assert not (tmp_path / "run").exists()
