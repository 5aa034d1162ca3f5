"""A training on real photographs, where they lie beside the checkout."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from model_card.schema.report import Report
from trainer import run
from trainer.config.groups import ChecksConfig, DataConfig, ModelConfig, RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.settings import TrainConfig

SHARED = Path(__file__).parents[3] / "shared"
IMAGES = SHARED / "data" / "neu" / "images"
WEIGHTS = SHARED / "weights" / "tf_efficientnet_lite0.safetensors"
IMAGES_PER_CLASS = 60


@pytest.mark.real_data
@pytest.mark.skipif(
    not (IMAGES.is_dir() and WEIGHTS.is_file()),
    reason="the real photographs are research data that lie beside the project, not in it",
)
def test_learns_real_defects(tmp_path: Path) -> None:
    for folder in IMAGES.iterdir():
        (tmp_path / "images" / folder.name).mkdir(parents=True)
        # Every fourth image: neighbours in the numbering tend to show the same piece of steel.
        for file in sorted(folder.iterdir())[: 4 * IMAGES_PER_CLASS : 4]:
            shutil.copy(file, tmp_path / "images" / folder.name)
    published = run.train(
        TrainConfig(
            data=DataConfig(data_dir=(str(tmp_path / "images"),), validation_fraction=0.15),
            model=ModelConfig(model="tf_efficientnet_lite0", weights=WEIGHTS, image_size=96),
            recipe=RecipeConfig(epochs=4, lr=5e-3, schedule="cosine", warmup_epochs=1),
            # Drawn images show that this check works.
            checks=ChecksConfig(robustness_images=0),
            run=RunConfig(run_dir=tmp_path / "run", mixed_precision="no"),
        )
    )
    report = Report.read(published)
    assert report.test.images == 72
    assert report.model.weights_file == WEIGHTS.name
    assert report.test.scores["accuracy"].value > 0.85
    with (tmp_path / "run" / "predictions.csv").open(encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert right / len(rows) == report.test.scores["accuracy"].value
    # Photographs are not ours to publish.
    assert not (published / "examples").exists()
    assert not (published / "figures" / "sample_predictions.png").exists()
