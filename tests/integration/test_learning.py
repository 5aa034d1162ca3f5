"""Train with corrections, from the command line to the card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model_card.schema.report import Report
from space.feedback.record import Answer
from tests.support.corrections import add
from tests.support.small_run import small_config, train_until
from tests.unit.data.test_corrections import CLASSES, texture
from trainer.config.groups import DataConfig
from trainer.errors import ConfigError
from trainer.inspection import inspector
from trainer.run import train


def test_corrections_reach_the_report_and_the_card_and_survive_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = tmp_path / "data", tmp_path / "feedback"
    for place, label in enumerate(CLASSES):
        for number in range(10):
            file = root / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            texture(100 * place + number).save(file)
    for number in range(4):
        add(folder, texture(500 + number), CLASSES[number % 2], number)
    add(folder, texture(0), CLASSES[0], 5)
    add(folder, texture(600), None, 6, kind="none")
    config = small_config(root, tmp_path / "run", epochs=2)
    config = replace(config, data=replace(config.data, feedback=folder))
    train_until(2, config, monkeypatch)
    add(folder, texture(700), CLASSES[0], 7)
    published = train(replace(config, run=replace(config.run, resume=True)))
    facts = Report.read(published).data.feedback
    assert facts is not None
    assert facts.taken == {"Patches": 2, "Rolled": 2}
    assert facts.overlapping + facts.known == 1
    card = (published / "README.md").read_text(encoding="utf-8")
    assert "Corrections of the web page: 4 images joined the training split" in card
    assert "6 corrections of 6 images" in card
    assert "- 1 that show none of these" in card
    [train_split] = [s for s in Report.read(published).data.splits if s.name == "train"]
    assert "corrected images of a web page" in train_split.origin
    record = json.loads((tmp_path / "run" / "feedback.json").read_text())
    assert len(record["taken"]) == 4
    assert "feedback/" not in (tmp_path / "run" / "split.csv").read_text()


def test_folds_and_feedback_exclude_each_other(tmp_path: Path) -> None:
    config = small_config(tmp_path, tmp_path / "run")
    with pytest.raises(ConfigError, match="--feedback and --folds"):
        replace(config, data=replace(config.data, feedback=tmp_path, folds=3))


def test_an_inspection_summarizes_the_corrections(tmp_path: Path) -> None:
    root, folder = tmp_path / "data", tmp_path / "feedback"
    for place, label in enumerate(CLASSES):
        for number in range(3):
            file = root / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            texture(100 * place + number).save(file)
    add(folder, texture(500), "Patches", 0)
    add(folder, texture(501), None, 1, kind="several")
    add(folder, texture(502), "Patches", 2)
    add(folder, texture(502), "Rolled", 3, thread="f" * 32)
    unsure = add(
        folder,
        texture(503),
        "Rolled",
        4,
        answer=Answer(
            label="Patches",
            confidence=0.4,
            verdict="unknown",
            candidates=["Patches", "Rolled"],
            novelty=3.0,
        ),
    )
    output = tmp_path / "report"
    data = DataConfig(data_dir=(str(root),))
    page = inspector.run(data, output, None, tmp_path / "cache", folder)
    found = json.loads((output / "data-report.json").read_text())["feedback"]
    assert found["by_class"] == {"Patches": 1, "Rolled": 1}
    assert found["without_class"] == {"several defects": 1}
    assert found["by_verdict"] == {"unknown": 1, "unsure": 3}
    assert list(found["contradicting"].values()) == [["Patches", "Rolled"]]
    assert found["next_images"][0]["file"] == f"feedback/{unsure[:24]}.png"
    assert len(found["next_images"]) == 4
    text = page.read_text(encoding="utf-8")
    assert "The feedback corrects 4 images" in text
    assert f"feedback/{unsure[:24]}.png" in text
