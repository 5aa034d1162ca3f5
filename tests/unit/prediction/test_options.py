"""What --where and --fail-on select."""

from __future__ import annotations

import pytest

from trainer.errors import ConfigError
from trainer.prediction.options import read_condition, read_outcomes
from trainer.prediction.row import Row

ROWS = [
    Row("1", "Rolled", verdict="class"),
    Row("2", "Rolled", verdict="unsure"),
    Row("3", "Pitted", verdict="unknown"),
    Row("4", error="damaged"),
]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (None, "1234"),
        ("verdict=unsure", "2"),
        ("verdict=unknown,error", "34"),
        ("label=Rolled", "12"),
        ("label=Pitted,Rolled", "123"),
    ],
)
def test_rows_are_selected(text: str | None, taken: str) -> None:
    selection = read_condition(text)
    assert "".join(row.path for row in ROWS if selection.takes(row)) == taken
    assert selection.takes_all == (text is None)


@pytest.mark.parametrize("text", ["unsure", "verdict=", "verdict=maybe", "confidence=1", "=x"])
def test_other_conditions_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--where"):
        read_condition(text)


def test_unknown_words_are_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"Rold.*Did you mean Rolled.*Pitted, Rolled"):
        read_condition("label=Rold").check_labels(["Pitted", "Rolled"])
    with pytest.raises(ConfigError, match=r"--fail-on takes .* not unknwon.*Did you mean unknown"):
        read_outcomes("--fail-on", "class,unknwon")
    assert read_outcomes("--fail-on", "unknown,error") == ("unknown", "error")
    assert read_outcomes("--fail-on", None) == ()
