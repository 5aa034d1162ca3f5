"""The HTML of a heatmap, which lies over the photograph on the page; the browser fades it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .rendering import data_url, macros

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

OPACITY = 70
QUALITY = 85

_HTML = macros("heatmap_panel.html.jinja")


def panel(heat: Image.Image, label: str, colors: Sequence[str]) -> str:
    """Return a heatmap of a class, its switch, opacity and color scale.

    Args:
        heat: of the proportions of the photograph that it lies over.
        label: the class that it explains.
        colors: of the scale at equal steps, from nothing to the strongest, as `rrggbb`.
    """
    gradient = ", ".join(f"#{color}" for color in colors)
    return str(_HTML.panel(label, data_url(heat, QUALITY), OPACITY, gradient))


def problem(message: str) -> str:
    """Return why there is no heatmap."""
    return str(_HTML.problem(message))
