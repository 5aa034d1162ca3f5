"""Heatmaps and corrupted images, from the command's settings to report, card and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_card.schema.report import Report
from tests.support.drawn_boxes import write_boxes
from tests.support.small_run import small_config
from trainer.config.settings import TrainConfig
from trainer.errors import DataError
from trainer.inputs.corruptions import CORRUPTIONS
from trainer.publishing.facts import correct_facts
from trainer.run import train
from trainer.synthetic.samples import CLASSES, write_samples


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "strips"
    write_samples(folder, train_per_class=4, test_per_class=4)
    return folder


def test_folds_are_tested_together(images: Path, tmp_path: Path) -> None:
    write_boxes(tmp_path / "boxes", images)
    config = small_config(images, tmp_path / "run", epochs=1, corrupt=0.5, robustness_images=2)
    config = replace(
        config,
        data=replace(config.data, folds=2),
        checks=replace(config.checks, boxes=tmp_path / "boxes"),
    )
    folder = train(config)
    report = Report.read(folder)
    assert report.cross_validation is not None
    for found, count in ((report, 24), (report.cross_validation, 48)):
        localization, robustness = found.localization, found.robustness
        assert localization is not None
        boxed = found.boxed_mistakes
        assert boxed is not None
        # Each drawn image has one box, of its own class.
        assert (boxed.images, boxed.several, boxed.present) == (count, 0, 0)
        assert found is not report or boxed.mistakes == len(report.test.mistakes)
        assert robustness is not None
        assert localization.images == count
        assert [facts.label for facts in localization.classes] == sorted(CLASSES)
        assert {facts.area for facts in localization.classes} == {0.5}
        assert robustness.images == 2 * count / 24
        assert robustness.of == count
        assert [kind.name for kind in robustness.kinds] == [kind.name for kind in CORRUPTIONS]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "### Heatmaps" in card
    assert "4 test images of 48" in card
    assert (folder / "figures/robustness.png").is_file()
    [figure] = [figure for figure in report.figures if figure.file == "figures/robustness.png"]
    assert figure.alt.startswith("Accuracy on 4 test images")
    # Photographs stay at home.
    assert not (folder / "figures/heatmaps.png").exists()
    assert (tmp_path / "run/fold-1/figures/heatmaps.png").is_file()
    _share_and_withdraw(config, tmp_path / "run")


def _share_and_withdraw(config: TrainConfig, run_dir: Path) -> None:
    """Publish the photographs of finished folds after all, and take them back."""
    published = run_dir / "published"
    before = Report.read(published)
    pictures = {
        f"{name}.png" for name in ("classes", "sample_predictions", "augmentations", "heatmaps")
    }
    # At this rate nothing is learned.
    pictures.add("mistakes.png")
    for shared in (True, False):
        correct_facts(run_dir, license_id=config.model.license, publish_images=shared)
        report = Report.read(published)
        for folder, here in ((published, shared), (run_dir, not shared)):
            assert {f.name for f in (folder / "figures").iterdir()} & pictures == (
                pictures if here else set()
            )
            assert (folder / "examples").exists() == here
        assert report.data.images_shared == shared
        assert pictures & {Path(figure.file).name for figure in report.figures} == (
            pictures if shared else set()
        )
        card = (published / "README.md").read_text(encoding="utf-8")
        assert ("figures/heatmaps.png" in card) == shared
        assert (run_dir / "fold-2/published/examples").exists() == shared
        assert TrainConfig.read(run_dir).data.publish_images == shared
    assert report.figures == before.figures


def test_boxes_that_fit_no_image_stop_before_training(images: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes").mkdir()
    config = small_config(images, tmp_path / "run")
    config = replace(config, checks=replace(config.checks, boxes=tmp_path / "boxes"))
    with pytest.raises(DataError, match="holds no boxes"):
        train(config)
    assert not (tmp_path / "run/last.safetensors").exists()
