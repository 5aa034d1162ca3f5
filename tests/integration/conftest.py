"""Trainings of these tests spend their time on training, not on pictures that no test looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from tests.support.small_pictures import small_pictures


@pytest.fixture(scope="module", autouse=True)
def _small_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Draw no figures but in the tests of whole runs, which are marked `figures`."""
    drawn = request.node.get_closest_marker("figures") is not None
    with nullcontext() if drawn else small_pictures():
        yield
