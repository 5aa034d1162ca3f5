"""Trainings of these tests spend their time on training, not on pictures that no test looks at."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from tests.support.small_pictures import few_ood_images, small_pictures
from trainer.synthetic import samples

drawn_once = functools.cache(samples.draw_image)


@pytest.fixture(scope="module", autouse=True)
def _small_pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Draw no figures but in the tests of whole runs, which are marked `figures`."""
    drawn = request.node.get_closest_marker("figures") is not None
    with few_ood_images() if drawn else small_pictures():
        yield


@pytest.fixture(scope="module", autouse=True)
def _samples_drawn_once() -> Iterator[None]:
    """Let the modules of these tests, of which many write the same samples, share the drawings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "draw_image", drawn_once)
        yield
