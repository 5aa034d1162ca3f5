"""The matrix of models trained on some sources and tested on all."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import sources
from benchmarks.table import RunSettings
from model_card.schema.base import Score
from model_card.schema.run.test_result import SourceResult
from tests.support.reports import example_report
from trainer.compare_splits import _chosen_sources
from trainer.comparison.source_matrix import MATRIX_FILE, source_matrix


def test_each_training_is_a_row_and_each_source_a_column(tmp_path: Path) -> None:
    report = example_report()
    rows = {}
    for number, trained in enumerate((("a",), ("a", "b")), 1):
        tests = [
            SourceResult(
                source=name,
                images=report.test.images - 4 if name == "a" else 4,
                accuracy=Score(value=value / number, low=0.1, high=0.95),
            )
            for name, value in (("a", 0.8), ("b", 0.6))
        ]
        test = report.test.model_copy(update={"sources": tests})
        plain = {"test": test, "cross_validation": None}
        rows[f"run-{number}"] = (trained, report.model_copy(update=plain))
    matrix = source_matrix(rows, "python x")
    train = next(split.images for split in report.data.splits if split.name == "train")
    lines = matrix.markdown().replace("\u00a0", " ").replace("\u2060", "").splitlines()
    assert lines == [
        "| Trained on | Images | Tested on a | Tested on b |",
        "| --- | ---: | ---: | ---: |",
        f"| a | {train:,} | 80.0 % (10.0–95.0 %) | 60.0 % (10.0–95.0 %) |",
        f"| a + b | {train:,} | 40.0 % (10.0–95.0 %) | 30.0 % (10.0–95.0 %) |",
    ]
    saved = json.loads(matrix.write(tmp_path / "sources.json").read_text())
    assert [row["folder"] for row in saved["trainings"]] == ["run-1", "run-2"]
    assert saved["trainings"][1]["tests"][1]["accuracy"]["value"] == 0.3


def test_the_table_has_a_row_for_each_training(tmp_path: Path) -> None:
    report = example_report()
    shares = {("a",): (0.8, 0.6), ("a", "b"): (0.7, 0.5)}
    tests = {
        trained: [
            SourceResult(
                source=name,
                images=report.test.images - 4 if name == "a" else 4,
                accuracy=Score(value=value, low=0.1, high=0.95),
            )
            for name, value in zip("ab", values, strict=True)
        ]
        for trained, values in shares.items()
    }
    rows = {}
    for number, (trained, found) in enumerate(tests.items(), 1):
        test = report.test.model_copy(update={"sources": found})
        rows[f"run-{number}"] = (
            trained,
            report.model_copy(update={"test": test, "cross_validation": None}),
        )
    source_matrix(rows, "python x").write(tmp_path / MATRIX_FILE)
    (tmp_path / "run-1/published").mkdir(parents=True)
    report.write(tmp_path / "run-1/published")
    table = sources.table(RunSettings(runs=(tmp_path,), commands=("python x",)))
    assert [column.title for column in table.columns[3:]] == ["Tested on a", "Tested on b"]
    assert [cells[1] for cells in table.rows] == ["a", "a + b"]
    assert table.rows[0][4] == (0.6, 0.1, 0.95)
    assert table.machine == f"{report.machine.processor}, {report.machine.cores} cores"


def test_three_sources_are_also_left_out_one_by_one() -> None:
    assert _chosen_sources(["a", "b"]) == {"only-1": ("a",), "only-2": ("b",), "all": ("a", "b")}
    assert _chosen_sources(["a", "b", "c"]) == {
        "only-1": ("a",),
        "only-2": ("b",),
        "only-3": ("c",),
        "without-1": ("b", "c"),
        "without-2": ("a", "c"),
        "without-3": ("a", "b"),
        "all": ("a", "b", "c"),
    }
