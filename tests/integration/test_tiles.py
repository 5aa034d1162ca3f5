"""Long strips in training, in the published folder and where it is served: the same answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from safetensors.torch import load_file

from model_card.schema.report import Report
from space.inference.core.tiling import tile_starts
from space.inference.predictor import Predictor, read_image
from tests.support.small_run import going_on, small_config, train_until
from trainer.config.groups import ModelConfig, RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images
from trainer.errors import ConfigError
from trainer.model.backbone import Backbone
from trainer.model.export import write_model
from trainer.monitoring.epoch_log import BEST, LAST, METRICS
from trainer.run import train

# Width and height of the strips of a class in turn: 4, 4 and 3 tiles, and one.
SIZES = ((96, 24), (24, 96), (70, 30), (40, 40))
PARTS = {"train": 4, "val": 4, "test": 4}

# Eight images make two steps an epoch, each of two batches.
RECIPE: dict[str, Any] = {"epochs": 2, "batch_size": 2, "accumulate": 2, "ema_decay": 0.5}


def write_strips(folder: Path, sizes: tuple[tuple[int, int], ...]) -> Path:
    """Draw noise, darker in one class, with images of each size in each class and split."""
    rng = np.random.default_rng(0)
    for part, count in PARTS.items():
        for label, level in (("Dark", 90), ("Light", 130)):
            (folder / part / label).mkdir(parents=True)
            for number in range(count):
                width, height = sizes[number % len(sizes)]
                pixels = rng.normal(level, 30, (height, width)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_strips(tmp_path_factory.mktemp("data") / "strips", SIZES)


def tiled(config: TrainConfig, *, tune_head: bool = False) -> TrainConfig:
    """Return the settings with --tile, for a test of how images are seen alone."""
    model = replace(config.model, tile=True, tune="head" if tune_head else "all")
    return replace(config, model=model, decision=replace(config.decision, reference_images=0))


@pytest.fixture(scope="module")
def whole(strips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a finished training with tiles."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    config = tiled(small_config(strips, run_dir, robustness_images=2, keep="last", **RECIPE))
    train(config)
    AcceleratorState._reset_state(reset_partial_state=True)
    return run_dir


def test_training_warns_of_images_that_it_squashes(
    strips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trainer.training.train_on", lambda *_: None)
    train(small_config(strips, tmp_path / "run"))
    # Of four images of a class in a split, one is square.
    assert "18 of 24 images are squashed, up to 4.0:1" in caplog.text


@pytest.fixture
def only_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a training end with its published model, without tests, report and figures."""

    def export(config: TrainConfig, images: Images, built: Backbone, *others: Any) -> None:
        folder = others[1].run_dir / PUBLISHED_DIR
        folder.mkdir()
        tile = config.model.tile
        write_model(built.model, built.data_config, images.labels, folder, tile=tile)

    monkeypatch.setattr("trainer.training.build_package", export)


def same_tensors(one: Path, other: Path) -> bool:
    expected, found = load_file(one), load_file(other)
    assert expected.keys() == found.keys()
    return all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.usefixtures("only_exported")
def test_a_resumed_run_equals_an_undisturbed_one(
    strips: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiled(small_config(strips, tmp_path / "halted", keep="last", **RECIPE))
    train_until(5, config, monkeypatch)
    train(going_on(config))
    for name in (BEST, LAST, "published/model.safetensors"):
        assert same_tensors(whole / name, tmp_path / "halted" / name), name


def test_the_published_folder_answers_as_training_evaluated(strips: Path, whole: Path) -> None:
    predictor = Predictor(whole / "published")
    assert predictor.tile
    labels = predictor.labels
    files = sorted((strips / "val").rglob("*.png"))
    # One by one, whereas validation saw them in batches.
    logits = torch.from_numpy(
        np.concatenate([predictor.logits([read_image(file)]) for file in files])
    )
    truth = torch.tensor([labels.index(file.parent.name) for file in files])
    loss = torch.nn.functional.cross_entropy(logits, truth).item()
    [*_, last] = (json.loads(line) for line in (whole / METRICS).read_text().splitlines())
    assert last["validation_loss"] == pytest.approx(loss, abs=1e-5)
    with (whole / "predictions.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 8
    for row in rows:
        [served] = predictor.predict([read_image(strips / row["file"])])
        assert served.label == row["prediction"]
        assert served.probabilities[row["label"]] == pytest.approx(
            float(row[row["label"]]), abs=2e-6
        )


def test_a_strip_is_answered_by_the_pooled_logits_of_its_squares(strips: Path, whole: Path) -> None:
    predictor = Predictor(whole / "published")
    # As timm alone loads it.
    network = timm.create_model(f"local-dir:{whole / 'published'}", pretrained=True).eval()
    image = read_image(strips / "test" / "Dark" / "0.png")
    squares = [image.crop((x, 0, x + 24, 24)) for x in (0, 24, 48, 72)]
    with torch.inference_mode():
        logits = network(predictor.normalized(image))
    expected = logits.double().exp().mean(0).log()
    torch.testing.assert_close(
        torch.from_numpy(predictor.logits([image])[0]).double(), expected, atol=1e-5, rtol=0
    )
    [square] = predictor.normalized(squares[0])
    torch.testing.assert_close(square, predictor.normalized(image)[0])
    squashed = predictor.logits([image.resize((24, 24))])[0]
    assert not np.allclose(squashed, predictor.logits([image])[0], atol=1e-3)
    # Of textures, too: the mean of the squares.
    alone = predictor.observe(squares, [1]).statistics[0]
    whole_strip = predictor.observe([image], [1]).statistics[0][0]
    np.testing.assert_allclose(whole_strip, alone.mean(axis=0), atol=1e-5)


def test_the_card_and_the_report_say_that_images_are_cut(whole: Path) -> None:
    report = Report.read(whole / "published")
    assert report.model.tiled
    card = (whole / "published" / "README.md").read_text()
    assert "def cut(image):" in card
    assert "cut into squares" in card
    assert json.loads((whole / "published" / "config.json").read_text())["tile"] is True
    # Robustness was measured on the strips, not on squashed ones.
    assert report.robustness is not None
    assert report.robustness.side_px == 32


@pytest.mark.usefixtures("only_exported")
def test_square_images_train_bit_equal_with_and_without_tiles(tmp_path: Path) -> None:
    data = write_strips(tmp_path / "square", ((40, 40), (44, 40)))
    without = small_config(data, tmp_path / "without", keep="last", **RECIPE)
    without = replace(without, decision=replace(without.decision, reference_images=0))
    train(without)
    AcceleratorState._reset_state(reset_partial_state=True)
    train(tiled(small_config(data, tmp_path / "with", keep="last", **RECIPE)))
    for name in (BEST, LAST, "published/model.safetensors"):
        assert same_tensors(tmp_path / "without" / name, tmp_path / "with" / name), name
    one, other = (
        json.loads((tmp_path / name / "published" / "config.json").read_text())
        for name in ("without", "with")
    )
    assert one | {"tile": True} == other
    files = sorted((data / "test").rglob("*.png"))
    predictors = [Predictor(tmp_path / name / "published") for name in ("without", "with")]
    observed = [each.observe([read_image(file) for file in files], [0, 1]) for each in predictors]
    assert np.array_equal(observed[0].logits, observed[1].logits)
    assert all(map(np.array_equal, observed[0].statistics, observed[1].statistics))


@pytest.mark.usefixtures("only_exported")
def test_a_head_is_fitted_to_the_features_of_tiles(strips: Path, tmp_path: Path) -> None:
    config = tiled(small_config(strips, tmp_path / "run", **RECIPE, keep="last"), tune_head=True)
    recipe = replace(config.recipe, search_decay=False, views=1)
    config = replace(config, recipe=recipe, run=replace(config.run, cache_dir=tmp_path / "cache"))
    predictor = Predictor(train(config))
    files = sorted((strips / "val").rglob("*.png"))
    logits = predictor.logits([read_image(file) for file in files])
    truth = torch.tensor([predictor.labels.index(file.parent.name) for file in files])
    [*_, last] = (
        json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()
    )
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), truth).item()
    assert last["validation_loss"] == pytest.approx(loss, abs=1e-4)
    # Each tile has features of its own, as it is and in one view; drawings share no image.
    features = [load_file(file)["features"] for file in (tmp_path / "cache").rglob("*.safetensors")]
    tiles = 2 * sum(len(tile_starts(*size)) for size in SIZES)
    assert sorted(len(each) for each in features) == [tiles, tiles, tiles]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: {"recipe": RecipeConfig(mixup=0.2)}, "--tile excludes --mixup and --cutmix"),
        (lambda: {"recipe": RecipeConfig(cutmix=1.0)}, "--tile excludes --mixup and --cutmix"),
        (lambda: {"run": RunConfig(compile=True)}, "--tile excludes --compile"),
    ],
)
def test_what_tiles_exclude_is_refused_in_words(
    build: Callable[[], dict[str, RecipeConfig]], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig(model=ModelConfig(tile=True), **build())  # type: ignore[arg-type]
