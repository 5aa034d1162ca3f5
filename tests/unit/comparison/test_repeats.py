"""Repeats of a comparison: whether they make the same claims, computed by hand."""

from __future__ import annotations

import pytest

from benchmarks.leaderboards import table
from tests.unit.comparison.test_leaderboard import board, result


def test_claims_of_two_runs_are_compared() -> None:
    """Of 40 images, 8 more hits are a difference (p = 2/256); 2 more are none (p = 2/4)."""
    first = board(result("base", 8), result("good", 0), result("luck", 6))
    second = board(result("base", 8), result("good", 0), result("luck", 0))
    found = table([first, second])
    assert [cells[0] for cells in found.rows] == ["`good`", "`luck`", "`base`"]
    assert found.cell("`good`", "Claim, run 1") == "better"
    assert found.cell("`good`", "Difference, run 1") == pytest.approx((20, 2 * 2 / 256))
    assert found.cell("`good`", "The claims agree") == "yes"
    assert found.cell("`luck`", "Claim, run 1") == "not distinguishable"
    assert found.cell("`luck`", "Claim, run 2") == "better"
    assert found.cell("`luck`", "The claims agree") == "no"
    assert found.cell("`base`", "The claims agree") is None
    accuracy = found.cell("`base`", "Accuracy, run 1")
    assert isinstance(accuracy, tuple)
    assert accuracy[0] == 32 / 40


def test_a_single_run_makes_claims_that_nothing_repeats() -> None:
    found = table([board(result("base", 8), result("good", 0))])
    titles = [column.title for column in found.columns]
    assert titles[2:6] == ["Accuracy", "Difference", "Claim", "OOD AUROC"]
    assert found.cell("`good`", "Claim") == "better"


def test_comparisons_of_other_networks_are_refused() -> None:
    with pytest.raises(SystemExit, match="not of the same networks"):
        table([board(result("base", 8), result("a", 0)), board(result("base", 8), result("b", 0))])
