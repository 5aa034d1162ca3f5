"""Find class names that may mean the same: other case, underscores, a plural, a misspelling."""

from __future__ import annotations

from itertools import combinations

from trainer.inspection.report.schema import NamesAlike
from trainer.text.names import difference


def find_names_alike(labels: list[str]) -> list[NamesAlike]:
    """Return the pairs of class names that probably mean the same."""
    return [
        NamesAlike(one=one, other=other, difference=how)
        for one, other in combinations(sorted(labels), 2)
        if (how := difference(one, other))
    ]
