"""Sealed JSON: what goes in comes out, a change is noticed, numbers take few lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_card.schema.checksums import seal, unseal
from tests.support.drawn_text import CHARACTERS

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Words that look like a list of numbers when they are written.
    | st.text(st.sampled_from('[]\n ,19.-e"x'), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS, max_size=3), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(CHARACTERS, max_size=3), _VALUES, max_size=3))
@pytest.mark.slow
def test_what_is_sealed_comes_out_again(facts: dict[str, object]) -> None:
    assert unseal(seal(json.dumps(facts))) == facts


def test_a_matrix_takes_a_line_a_row_and_a_change_is_noticed() -> None:
    sealed = seal(json.dumps({"confusion": [[1, 0, -2.5e-7], [3, 4, 5]], "labels": ["a"]}))
    assert sealed.splitlines()[1:7] == [
        '  "confusion": [',
        "    [1, 0, -2.5e-07],",
        "    [3, 4, 5]",
        "  ],",
        '  "labels": [',
        '    "a"',
    ]
    with pytest.raises(ValueError, match="changed after it was written"):
        unseal(sealed.replace("3, 4", "4, 3"))
