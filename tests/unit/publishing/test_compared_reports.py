"""The reports of two versions, as `benchmarks.after_training` compares them."""

from __future__ import annotations

import pytest

from benchmarks.after_training import largest_difference
from benchmarks.program import ProgramError

EARLIER = {
    "model": {"architecture": "a", "parameters": 3000},
    "test": {"images_per_second": 5.0, "accuracy": 0.9, "reviewed": None},
    "export": {"files": {"decision.json": "0a"}},
    "figures": [{"name": "roc", "alt": "90.0 %"}],
}


def test_the_largest_difference_is_of_shares_or_relative() -> None:
    this = {
        "model": {"architecture": "a", "parameters": 3009, "new": "fact"},
        "test": {"images_per_second": 9.0, "accuracy": 0.902, "reviewed": None},
        "export": {"files": {"decision.json": "0b"}},
        "figures": [{"name": "roc", "alt": "90.2 %"}],
    }
    assert largest_difference(EARLIER, EARLIER) == 0
    assert largest_difference(EARLIER, this) == pytest.approx(9 / 3009)


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"model": {"architecture": "b", "parameters": 3000}}, "model.architecture"),
        ({"model": {"architecture": "a"}}, "model.parameters"),
        ({"test": {"accuracy": 0.88, "reviewed": None}}, "test.accuracy"),
        ({"test": {"accuracy": 0.9, "reviewed": 0.0}}, "test.reviewed"),
        ({"figures": []}, "figures.0.name"),
    ],
)
def test_what_is_lost_or_differs_is_named(facts: dict[str, object], named: str) -> None:
    with pytest.raises(ProgramError, match=named):
        largest_difference(EARLIER, EARLIER | facts)
