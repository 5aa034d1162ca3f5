"""Text for Hypothesis to draw."""

from __future__ import annotations

from hypothesis import strategies as st

# Those of `st.text()`, which first computes what UTF-8 can encode: two seconds in each new clone.
CHARACTERS = st.characters(exclude_categories=["Cs"])
