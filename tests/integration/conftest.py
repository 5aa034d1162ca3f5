"""Trainings of these tests spend their time on training, not on pictures that no test looks at.

Those of `tests/e2e/test_whole_path.py` and of the notebook draw each figure.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from tests.support.small_pictures import small_pictures
from trainer.synthetic import samples

drawn_once = functools.cache(samples.draw_image)


@pytest.fixture(scope="module", autouse=True)
def _small_pictures() -> Iterator[None]:
    """Write one pixel for each figure, and draw few OOD images."""
    with small_pictures():
        yield


@pytest.fixture(scope="module", autouse=True)
def _samples_drawn_once() -> Iterator[None]:
    """Let the modules of these tests, of which many write the same samples, share the drawings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "draw_image", drawn_once)
        yield
