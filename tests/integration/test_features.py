"""A frozen backbone sees each image once; what it made of it is kept, and is what it would make."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from safetensors.torch import load_file

from model_card.schema.report import Report
from tests.support.small_run import small_config
from trainer.config.settings import TrainConfig
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import Images, prepare_images
from trainer.errors import ConfigError
from trainer.inputs.augment import Normalize, plain_transform
from trainer.model import backbone
from trainer.model.feature_cache import FeatureStore, FeatureViews
from trainer.monitoring.epoch_log import BEST, LAST, METRICS, EpochResult, History
from trainer.run import train
from trainer.runtime import checkpoint
from trainer.synthetic.samples import write_samples


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "strips"
    write_samples(folder, train_per_class=6, test_per_class=2)
    return folder


def head_config(data_dir: Path, run_dir: Path, cache: Path, **recipe: Any) -> TrainConfig:
    config = small_config(data_dir, run_dir)
    return replace(
        config,
        model=replace(config.model, tune="head"),
        recipe=replace(config.recipe, **recipe),
        run=replace(config.run, cache_dir=cache),
    )


def store_of(config: TrainConfig) -> tuple[FeatureStore, backbone.Backbone, list[int]]:
    """Return a store and a list to which each pass of the backbone adds its batch size."""
    torch.manual_seed(0)
    built = backbone.build(config.model, 6)
    store = FeatureStore(
        built, config.recipe, config.run, Accelerator(mixed_precision="no"), tile=config.model.tile
    )
    passes: list[int] = []
    model: Any = built.model
    original = model.forward_features

    def counted(inputs: torch.Tensor) -> torch.Tensor:
        passes.append(len(inputs))
        result: torch.Tensor = original(inputs)
        return result

    model.forward_features = counted
    return store, built, passes


@pytest.fixture
def images(data_dir: Path, tmp_path: Path) -> Images:
    (tmp_path / "prepared").mkdir()
    config = small_config(data_dir, tmp_path / "prepared")
    return prepare_images(config.data, config.run, None, tmp_path / "prepared")[0]


def test_features_lead_to_the_models_own_logits(
    data_dir: Path, tmp_path: Path, images: Images
) -> None:
    store, built, _ = store_of(head_config(data_dir, tmp_path, tmp_path, views=2))
    part = images.splits["train"]
    features = torch.cat(store.features(part, 2, "features"))
    model: Any = built.model
    assert features.shape == (len(part), 3, model.num_features)
    transform = plain_transform(built.data_config)
    pixels = torch.stack([transform(open_image(row)) for row in part])
    with torch.inference_mode():
        expected = model(Normalize(built.data_config)(pixels))
        found = model.get_classifier()(features[:, 0])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    # The augmented views differ from the image and from each other.
    assert not torch.allclose(features[:, 0], features[:, 1], atol=1e-3)
    assert not torch.allclose(features[:, 1], features[:, 2], atol=1e-3)


@pytest.mark.parametrize("cache", ["file/cache", "/proc/nohome/cache"])
def test_a_cache_that_cannot_be_written_is_done_without(
    data_dir: Path, tmp_path: Path, images: Images, caplog: pytest.LogCaptureFixture, cache: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    store, _, passes = store_of(head_config(data_dir, tmp_path, tmp_path / cache))
    part = images.splits["train"]
    assert len(store.features(part, 1, "features")) == len(part)
    assert sum(passes) == 2 * len(part)
    [message] = caplog.messages
    assert str(tmp_path / cache) in message
    assert message.endswith("name another folder with --cache-dir.")


def test_what_is_on_disk_is_not_computed_again(
    data_dir: Path, tmp_path: Path, images: Images
) -> None:
    config = head_config(data_dir, tmp_path, tmp_path / "cache")
    part: Dataset = images.splits["train"]
    first, _, passes = store_of(config)
    some = torch.cat(first.features(part.select(range(5)), 1, "features"))
    assert sum(passes) == 10
    # Another head, another learning rate: the same backbone.
    torch.manual_seed(1)
    second, _, passes = store_of(replace(config, recipe=replace(config.recipe, lr=1.0)))
    everything = torch.cat(second.features(part, 1, "features"))
    assert sum(passes) == 2 * (len(part) - 5)
    torch.testing.assert_close(everything[:5], some)
    third, _, passes = store_of(config)
    # In another order, as in another split; for validation, without views.
    order = list(range(len(part)))[::-1]
    torch.testing.assert_close(
        torch.cat(third.features(part.select(order), 1, "features")), everything.flip(0)
    )
    torch.testing.assert_close(torch.cat(third.features(part, 0, "features")), everything[:, :1])
    assert passes == []
    # One view more is one pass more.
    more = torch.cat(third.features(part, 2, "features"))
    assert sum(passes) == len(part)
    torch.testing.assert_close(more[:, :2], everything)


def test_features_are_found_where_nothing_that_they_depend_on_has_changed(
    data_dir: Path, tmp_path: Path
) -> None:
    config = head_config(data_dir, tmp_path, tmp_path / "cache")
    store = store_of(config)[0]
    turned = store_of(replace(config, recipe=replace(config.recipe, rotation=10.0)))[0]
    assert turned.folder(1) != store.folder(1) != store.folder(2)
    # How views are changed does not affect the image as it is.
    assert turned.folder(0) == store.folder(0) != store.folder(1)
    reseeded = store_of(replace(config, run=replace(config.run, seed=5)))[0]
    assert reseeded.folder(1) != store.folder(1)
    larger = store_of(replace(config, model=replace(config.model, image_size=64)))[0]
    assert larger.folder(0) != store.folder(0)


def test_a_head_of_several_layers_is_reported(data_dir: Path, tmp_path: Path) -> None:
    config = head_config(data_dir, tmp_path, tmp_path)
    config = replace(config, model=replace(config.model, model="mobilenetv3_small_050"))
    built = backbone.build(config.model, 6)
    model: Any = built.model
    model.classifier = torch.nn.Sequential(model.classifier, torch.nn.Softplus())
    model.get_classifier = lambda: model.classifier[0]
    with pytest.raises(ConfigError, match="--tune head does not work for mobilenetv3_small_050"):
        FeatureStore(
            built, config.recipe, config.run, Accelerator(mixed_precision="no"), tile=False
        )


def test_views_change_from_epoch_to_epoch() -> None:
    features = torch.arange(5 * 4, dtype=torch.float32).view(5, 1, 4, 1)
    data = FeatureViews(list(features), [0, 1, 2, 3, 4], seed=0)
    views = {(int(data[epoch, 2][0]) - 8, data[epoch, 2][1]) for epoch in range(50)}
    assert views == {(view, 2) for view in range(4)}
    assert torch.equal(data[7, 3][0], data[7, 3][0])


def test_tune_head_trains_the_head_alone_and_learns(data_dir: Path, tmp_path: Path) -> None:
    config = head_config(
        data_dir, tmp_path / "run", tmp_path / "cache", epochs=30, lr=2e-2, views=1
    )
    folder = train(config)
    report = Report.read(folder)
    assert report.training.epochs[-1].train_loss < 0.8 * report.training.epochs[0].train_loss
    assert report.model.trained_parameters < report.model.parameters / 10
    torch.manual_seed(config.run.seed)
    before = backbone.build(config.model, 6).model.state_dict()
    after = load_file(folder / "model.safetensors")
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {"head.fc.weight", "head.fc.bias"}


def test_of_several_weight_decays_the_one_that_suits_validation_is_kept(
    data_dir: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    config = head_config(data_dir, run_dir, tmp_path / "cache", epochs=12, lr=1e-2, views=0)
    report = Report.read(train(config))
    epochs = {
        folder.name: [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
        for folder in (run_dir / "heads").iterdir()
    }
    assert set(epochs) == {"0.01", "1", "10"}
    # At a rate of 0.01, a decay of 10 takes a tenth of the weights away in each step. The best
    # epochs may be of different ages; the last ones took the same number of steps.
    last = {name: checkpoint.load(run_dir / "heads" / name / LAST)[0] for name in epochs}
    norms = {
        name: checkpoint.unpack(found, "model")["weight"].norm() for name, found in last.items()
    }
    assert norms["10"] < 0.9 * norms["0.01"]

    def worth(name: str) -> tuple[float, float]:
        best = epochs[name][History([EpochResult(**e) for e in epochs[name]]).best.epoch - 1]
        return best["validation_accuracy"], -best["validation_loss"]

    kept = max(epochs, key=worth)
    settings = {setting.flag: setting.value for setting in report.training.settings}
    assert f"{float(settings['--weight-decay']):g}" == kept
    assert settings["--search-decay"] == "no"
    published = load_file(run_dir / "published" / "model.safetensors")
    assert torch.equal(
        published["head.fc.weight"], load_file(run_dir / "heads" / kept / BEST)["weight"]
    )
