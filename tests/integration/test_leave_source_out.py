"""Models of one source and of both, tested on the same images of both."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from model_card.schema.report import Report
from trainer import compare_splits
from trainer.synthetic.samples import draw_image

LABELS = ("Crazing", "Patches")
IMAGES = 8


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """Two folders of drawn images; the plant also has Pitted, and two copies from the lab."""
    folders = {name: tmp_path / name for name in ("plant", "lab")}
    for first, (name, folder) in zip((0, 100), folders.items(), strict=True):
        for label in (*LABELS, "Pitted") if name == "plant" else LABELS:
            (folder / label).mkdir(parents=True)
            for number in range(IMAGES):
                image = draw_image(label, first + number)
                image.save(folder / label / f"{number}.png")
    for number in (0, 5):
        copy = folders["plant"] / "Crazing" / f"copy-{number}.png"
        shutil.copy(folders["lab"] / "Crazing" / f"{number}.png", copy)
    return folders


def test_each_training_is_tested_on_the_same_images(
    sources: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "matrix"
    options = (
        f"--leave-source-out --data-dir {sources['plant']} --data-dir {sources['lab']} "
        "--model test_convnext --no-pretrained --epochs 1 --warmup-epochs 0 --image-size 32 "
        "--robustness-images 0 --reference-images 0 --mixed-precision no "
        f"--run-dir {folder}"
    )
    compare_splits.main(options.split())
    matrix = json.loads((folder / "sources.json").read_text())
    assert matrix["labels"] == list(LABELS)
    assert matrix["left_out"] == {"Pitted": IMAGES}
    runs = {run["folder"]: run for run in matrix["trainings"]}
    assert {name: run["trained_on"] for name, run in runs.items()} == {
        "only-1": ["plant"],
        "only-2": ["lab"],
        "all": ["plant", "lab"],
    }
    alone = runs["only-1"]["train_images"] + runs["only-2"]["train_images"]
    assert alone == runs["all"]["train_images"]
    tested = []
    for name, run in runs.items():
        report = Report.read(folder / name / "published")
        results = [(each.source, each.accuracy.value) for each in report.test.sources]
        assert [(each["source"], each["accuracy"]["value"]) for each in run["tests"]] == results
        with (folder / name / "split.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        tested.append({row["file"] for row in rows if row["split"] == "test"})
        trained = {row["file"].partition("/")[0] for row in rows if row["split"] == "train"}
        assert trained == set(run["trained_on"])
        assert report.data.surfaces is not None
        # Copies count where both images are in the run.
        assert report.data.surfaces.images == len(rows)
        assert report.data.surfaces.groups == len({row["group"] for row in rows})
    assert tested[0] == tested[1] == tested[2]
    assert "| plant + lab |" in capsys.readouterr().out
