"""Training on 12-bit images: the published folder, its report and its card name the depth."""

from __future__ import annotations

from pathlib import Path

from model_card.schema.report import Report
from space.inference.predictor import Predictor
from tests.support.bit_depth_images import write_set
from tests.support.small_run import small_config
from trainer.run import train


def test_the_depth_is_carried_to_the_published_folder(tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", 12, images=14)
    published = train(small_config(data, tmp_path / "run", epochs=1))
    assert Predictor(published).bit_depth == 12
    assert Report.read(published).data.bit_depth == 12
    assert "use 12 of the 16 bits: divide" in (published / "README.md").read_text(encoding="utf-8")
