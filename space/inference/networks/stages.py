"""The stages of a network that describe a surface."""

from __future__ import annotations

from typing import Any

# Ratio of image size to map size: coarser maps describe objects, finer ones single pixels.
FINEST, COARSEST = 4, 16
MOST_STAGES = 3


def feature_stages(model: Any) -> list[int]:
    """Return the stages of a timm model to observe; none if it does not expose them.

    These are the last stage of each scale between a quarter and a sixteenth of the image. If all
    stages have the same scale, as in vision transformers, a few evenly spaced ones.
    """
    if not hasattr(model, "forward_intermediates"):
        return []
    scales = [info["reduction"] for info in model.feature_info]
    last = {scale: index for index, scale in enumerate(scales) if FINEST <= scale <= COARSEST}
    if len(last) == 1 and len(scales) > MOST_STAGES:
        return [len(scales) * quarter // (MOST_STAGES + 1) - 1 for quarter in (1, 2, 3)]
    return sorted(last.values())
