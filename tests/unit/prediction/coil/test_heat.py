"""Heatmaps of images of which the network sees a central square."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainer.prediction.coil.crop import Crop
from trainer.prediction.coil.heat import heat_source


@pytest.mark.parametrize("whole", [True, False])
def test_what_the_network_does_not_see_is_cold(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGB", (80, 40))
    explainer = SimpleNamespace(
        explain=lambda image, label: np.full((4, 4), 0.5 + label),
        seen=lambda image: image if whole else image.copy(),
    )
    monkeypatch.setattr("trainer.prediction.coil.heat.make_explainer", lambda _: explainer)
    facts = SimpleNamespace(preprocessing=SimpleNamespace(crop_pct=0.5))
    predictor: Any = SimpleNamespace(labels=["a", "b"], bit_depth=8, facts=facts)
    decoder: Any = SimpleNamespace(read=lambda path, bit_depth: picture)
    explain = heat_source(predictor, [Crop("x", "x", "class", "b")], decoder)
    assert explain is not None
    heat = explain(0, "b")
    if whole:
        assert heat.shape == (4, 4)
        return
    # Half of 40 px are 4 cells, so 80 × 40 px are 16 × 8.
    expected = np.zeros((8, 16))
    expected[2:6, 6:10] = 1.5
    np.testing.assert_array_equal(heat, expected)
