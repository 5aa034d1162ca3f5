"""The leaderboard: p-values adjusted by hand, order, words, and results of other images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from trainer.comparison.cost import Cost
from trainer.comparison.leaderboard import Failure, Leaderboard, ranked
from trainer.comparison.network_result import NetworkFacts, NetworkResult, WorstCorruption
from trainer.comparison.page import markdown, write_pages
from trainer.comparison.time_left import TimeLeft
from trainer.errors import DataError
from trainer.evaluation.metrics.intervals import proportion

IMAGES = 40


def result(model: str, missed: int, **facts: object) -> NetworkResult:
    """Return a network that misses the first images; each image is its own piece of surface."""
    values: dict[str, object] = {
        "model": model,
        "folder": model,
        "initial_weights": "hub",
        "preset": "recommended",
        "epochs": 16,
        "input_size_px": 160,
        "parameters": 3_400_000,
        "trained_parameters": 5,
        "ece": 0.012,
        "ood_auroc": 0.987,
        "worst_corruption": WorstCorruption(name="blur", accuracy=proportion(30, 40)),
        "training_seconds": 125.0,
        "license": "apache-2.0",
        "missing": [],
        "cost": Cost(gmacs=0.55, ms=3.25, engine="OpenVINO", processor="CPU"),
    }
    return NetworkResult(
        facts=NetworkFacts.model_validate(values | facts),
        files=[f"{number}.png" for number in range(IMAGES)],
        groups=[*range(IMAGES)],
        hits=np.arange(IMAGES) >= missed,
    )


def board(*results: NetworkResult, failures: list[Failure] | None = None) -> Leaderboard:
    return Leaderboard(
        command="python trainer/compare_models.py",
        source="strip",
        folds=5,
        images=IMAGES,
        groups=IMAGES,
        processor="CPU",
        cores=2,
        baseline=results[0].facts.model,
        rows=ranked(results),
        failures=failures or [],
    )


def test_differences_to_the_first_network_are_adjusted_by_holm() -> None:
    """The baseline misses 8 images; the others 0, 1 and 6, all of them among these 8.

    8 gains: 2 of 2^8 flips are as extreme, p = 2/256, times 3. 7 gains: 2/128, times 2.
    2 gains: 2/4, times 1.
    """
    rows = ranked([result("base", 8), result("none", 0), result("six", 6), result("one", 1)])
    assert [row.model for row in rows] == ["none", "one", "six", "base"]
    found = {row.model: row.difference for row in rows}
    assert found["base"] is None
    expected = {"none": (8, 3 * 2 / 256), "one": (7, 2 * 2 / 128), "six": (2, 0.5)}
    for model, (gained, p_value) in expected.items():
        difference = found[model]
        assert difference is not None
        assert difference.value == pytest.approx(gained / IMAGES)
        assert difference.p_value == pytest.approx(p_value)
    verdicts = {row.model: row.verdict for row in rows}
    assert verdicts == {"none": "better", "one": "better", "six": "equal", "base": None}


def test_equal_networks_stay_in_the_given_order() -> None:
    rows = ranked([result("b", 3), result("a", 3), result("c", 3)])
    assert [row.model for row in rows] == ["b", "a", "c"]
    assert [row.difference and row.difference.p_value for row in rows] == [None, 1.0, 1.0]


def test_results_of_other_images_are_refused() -> None:
    other = result("late", 2)
    other.files[0] = "new.png"
    with pytest.raises(DataError, match=r"late was tested on other images than base.*folder late"):
        ranked([result("base", 1), other])


def test_markdown_says_what_can_not_be_distinguished_and_what_failed() -> None:
    failed = Failure(model="broken_net", reason="no memory")
    text = markdown(board(result("base", 8), result("six", 6), failures=[failed]))
    assert "six is not distinguishable from base." in text
    assert "broken_net has no result: no memory" in text
    [row] = [line for line in text.splitlines() if line.startswith("| six ")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1:3] == ["Hub", "85.0"]
    assert cells[4].startswith("+5.00 (−")
    assert cells[5:9] == ["0.5", "not distinguishable", "1.2", "0.987"]
    assert cells[9:] == [
        "blur: 75.0 %",
        "3.4",
        "0.55",
        "3.2",
        "2\u00a0min\u00a05\u00a0s",
        "apache-2.0",
    ]


def test_a_missing_ability_is_a_note_and_no_number() -> None:
    words = "no rejection of unknown surfaces"
    text = markdown(board(result("base", 8, ood_auroc=None, missing=[words])))
    assert f"base: {words}." in text
    assert "0.987" not in text


def test_files_are_complete_and_the_page_needs_no_other(tmp_path: Path) -> None:
    shown = board(result("<b>base", 8), result("six", 6))
    shown.write(tmp_path)
    write_pages(shown, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;base" in page
    assert "<b>base" not in page
    assert "http" not in page
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert [row["model"] for row in stored["rows"]] == ["six", "<b>base"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "comparison.json",
        "comparison.md",
        "index.html",
    ]


def test_time_left_follows_the_arithmetic_of_the_networks() -> None:
    times = iter([100.0, 160.0, 160.0])
    left = TimeLeft({"small": 10, "large": 40, "medium": 20}, clock=lambda: next(times))
    assert left.seconds is None
    left.end("small")
    assert left.seconds == pytest.approx(60 / 10 * 60)
    assert str(left) == ", about 6:00 left of the comparison"


def test_finished_networks_take_no_time() -> None:
    times = iter([0.0, 30.0])
    left = TimeLeft({"new": 10}, clock=lambda: next(times))
    left.end("finished before")
    assert left.seconds is None
    left.end("new")
    assert left.seconds == 0
