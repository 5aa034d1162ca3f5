"""One command compares networks; a failure is a row, and a repeat trains nothing again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from trainer import compare_models, run
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index, label in enumerate(("dark", "light")):
        (folder / label).mkdir()
        for number in range(10):
            gray = rng.normal(90 + 60 * index, 25, (36, 36)).clip(0, 255).astype(np.uint8)
            Image.fromarray(gray).save(folder / label / f"{number}.png")
    return folder


def flags(images: Path, folder: Path, models: str) -> list[str]:
    options = (
        f"--data-dir {images} --models {models} --no-pretrained --epochs 1 --warmup-epochs 0 "
        f"--image-size 32 --folds 2 --robustness-images 0 --tune head --run-dir {folder} "
        "--mixed-precision no --no-search-decay"
    )
    return options.split()


def test_networks_are_compared_in_one_command(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "compared"
    train = run.train
    trained: list[str] = []

    def fails_once(config: TrainConfig) -> Path:
        trained.append(config.model.model)
        if trained == ["test_vit"]:
            raise RuntimeError("an operation is missing")
        return train(config)

    monkeypatch.setattr(run, "train", fails_once)
    weights = tmp_path / "steel.safetensors"
    save_file(timm.create_model("test_convnext").state_dict(), weights)
    command = flags(images, folder, f"test_vit test_convnext={weights}")
    with caplog.at_level("INFO"):
        compare_models.main(command)
    # As it was written: the estimate changes as networks end.
    [said] = [line for line in caplog.text.splitlines() if "left of the comparison" in line]
    assert "Network 2 of 2: test_convnext, about " in said
    first = json.loads((folder / "comparison.json").read_text())
    [failure] = first["failures"]
    assert failure == {"model": "test_vit", "reason": "RuntimeError: an operation is missing"}
    assert [row["model"] for row in first["rows"]] == ["test_convnext"]
    assert "test_vit has no result" in capsys.readouterr().out
    assert str(tmp_path) not in first["command"]

    compare_models.main(command)
    assert trained == ["test_vit", "test_convnext", "test_vit"]
    second = json.loads((folder / "comparison.json").read_text())
    assert second["failures"] == []
    assert second["baseline"] == "test_vit"
    assert (second["images"], second["groups"], second["folds"]) == (20, 20, 2)
    rows = {row["model"]: row for row in second["rows"]}
    assert rows["test_vit"]["difference"] is None
    compared = rows["test_convnext"]
    gap = compared["accuracy"]["value"] - rows["test_vit"]["accuracy"]["value"]
    assert compared["difference"]["value"] == pytest.approx(gap)
    assert compared["trained_parameters"] < compared["parameters"]
    assert compared["cost"]["ms"] > 0
    assert compared["cost"]["gmacs"] > 0
    assert compared["preset"] == "from-scratch"
    # --no-pretrained is for the network that has no file.
    assert compared["initial_weights"] == "file"
    assert rows["test_vit"]["initial_weights"] == "random"

    with pytest.raises(ConfigError, match="--epochs is 2, was 1"):
        compare_models.main([word if word != "1" else "2" for word in command])


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("test_vit", "at least two networks"),
        ("test_vit test_vit", "names a network twice: test_vit"),
        ("test_vit no_such_net", "timm has no model no_such_net"),
        ("test_vit test_convnext=w.safetensors", "w.safetensors"),
        ("test_vit test_convnext --model test_vit", "--model belongs to a single network"),
    ],
)
def test_bad_names_are_reported_before_training(
    images: Path, tmp_path: Path, models: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        compare_models.main(flags(images, tmp_path / "run", models))
    assert not (tmp_path / "run").exists()


def test_an_unknown_source_is_reported_before_images_are_decoded(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "train", lambda config: pytest.fail("an image was decoded"))
    command = [*flags(images, tmp_path / "run", "test_vit test_convnext"), "--train-on", "lab"]
    with pytest.raises(DataError, match=rf"no such source, only {images.name}\."):
        compare_models.main(command)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_other_files_is_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"files that belong to no run: notes\.txt"):
        compare_models.main(flags(images, tmp_path, "test_vit test_convnext"))
