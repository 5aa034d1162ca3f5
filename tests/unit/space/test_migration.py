"""Folders that were published before fields took today's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_card.schema.checksums import file_checksum, seal
from model_card.schema.report import REPORT_FILE, Report
from space.inference.decision_file import RULES_FILE, load_decision
from space.inference.migration import (
    EARLIER_METRICS,
    NAMES_OF_OTHERS,
    RENAMED,
    in_current_names,
    migrated,
)
from space.inference.predictor import Predictor
from space.model_report import read_report
from space.ui import page
from tests.support.extra_facts import example_localization, example_robustness
from tests.support.published_folder import noise, write_decision, write_published_folder
from tests.support.reports import LABELS, example_cross_validation, example_report
from trainer.errors import DataError
from trainer.publishing.published import check_published

FORMER = {today: former for former, today in RENAMED.items()}


def in_former_names(content: Any, above: str = "") -> Any:
    """Return content as the earlier version wrote it."""
    if isinstance(content, list):
        return [in_former_names(each, above) for each in content]
    if not isinstance(content, dict):
        return content
    # Corruptions were called kinds before, too.
    former = FORMER if above == "ood_detection" else {**FORMER, "kinds": "kinds"}
    return {
        former.get(key, key): value if key in NAMES_OF_OTHERS else in_former_names(value, key)
        for key, value in content.items()
    }


def full_report() -> Report:
    """Return a report in which each renamed field occurs, and classes that have former names."""
    return example_report(
        cross_validation=example_cross_validation(),
        localization=example_localization(LABELS),
        robustness=example_robustness(40, 30),
    )


def test_a_report_of_the_earlier_version_is_read_as_it_was_written() -> None:
    report = json.loads(full_report().model_dump_json())
    report["data"]["splits"][0]["images_by_class"] = {"kept": 3, "look": 4}
    report["machine"]["versions"]["strength"] = "1.0"
    former = in_former_names(report)
    text = json.dumps(former)
    for name in FORMER.values():
        if name not in {"strangeness_limit", "look"}:
            assert f'"{name}":' in text, name
    assert migrated(former) == report
    assert json.loads(in_current_names(text.encode())) == report


def test_todays_files_and_others_stay_as_they_are() -> None:
    report = full_report().model_dump_json().encode()
    assert in_current_names(report) is report
    for text in (b"", b"{", b"[1]", b'["trust"]', b'{"a": {"trust": 1}}', b'{"trust": ', b"\xff"):
        assert in_current_names(text) is text
    assert migrated([{"trust": 1}]) == [{"trust": 1}]


def test_a_model_of_the_earlier_version_gives_the_same_answers(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    write_published_folder(folder)
    write_decision(folder)
    images = [noise(seed) for seed in range(6)]
    expected = Predictor(folder).predict(images)
    rules = folder / RULES_FILE
    former = in_former_names(json.loads(rules.read_text()))
    assert {"strangeness_limit", "costs"} <= former.keys()
    assert "look" in former["costs"]
    rules.write_text(json.dumps(former))
    assert load_decision(folder, LABELS) is not None
    assert Predictor(folder).predict(images) == expected


def test_a_folder_of_the_earlier_version_can_be_shown_and_pushed(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    write_published_folder(folder)
    report = Report.read(folder)
    former = in_former_names(json.loads(report.model_dump_json()))
    (folder / REPORT_FILE).write_text(seal(json.dumps(former)))
    shown = read_report(folder)
    assert shown is not None
    assert shown.reliability is not None
    assert check_published(folder).reliability == report.reliability
    assert Report.read(folder) == report
    before = file_checksum(folder / REPORT_FILE)
    assert check_published(folder) == report
    assert file_checksum(folder / REPORT_FILE) == before


def test_metrics_of_an_earlier_report_are_shown_as_those_of_today(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    write_published_folder(folder)
    report = Report.read(folder)
    read = read_report(folder)
    assert read
    shown = page.scores_table(read)
    content = json.loads(report.model_dump_json())
    del content["metrics"]
    (folder / REPORT_FILE).write_text(seal(json.dumps(content)))
    earlier = read_report(folder)
    assert earlier
    assert page.scores_table(earlier) == shown
    assert [metric.name for metric in report.metrics] == [name for name, *_ in EARLIER_METRICS]
    assert Report.read(folder) == report


def test_a_changed_report_of_the_earlier_version_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    write_published_folder(folder)
    former = in_former_names(json.loads((folder / REPORT_FILE).read_text()))
    (folder / REPORT_FILE).write_text(
        seal(json.dumps(former)).replace('"cores": ', '"cores": 1', 1)
    )
    with pytest.raises(DataError, match="changed after it was written"):
        check_published(folder)
