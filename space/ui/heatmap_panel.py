"""The HTML of an image under its heatmap; a slider in the browser sets the opacity."""

from __future__ import annotations

from PIL import Image

from .rendering import data_url, macros

SHOWN_PX = 720
OPACITY = 70
QUALITY = 85
# The slider works without the server, so it is smooth on a phone, too.
FADE = """
element.addEventListener('input', (event) => {
  const heat = element.querySelector('.heat');
  if (heat && event.target.type === 'range') heat.style.opacity = event.target.value / 100;
});
"""

_HTML = macros("heatmap_panel.html.jinja")


def panel(image: Image.Image, heat: Image.Image, label: str) -> str:
    """Return an image under a heatmap of a class, and the slider.

    Args:
        image: the region that the heatmap covers.
        heat: of any size; it is stretched over the image.
        label: the class that it explains.
    """
    shown = image.copy()
    shown.thumbnail((SHOWN_PX, SHOWN_PX))
    # The heatmap of a strip of many tiles can be wider than a WebP may be.
    heat = heat.copy()
    heat.thumbnail((SHOWN_PX, SHOWN_PX))
    pictures = (data_url(picture, QUALITY) for picture in (shown, heat))
    return str(_HTML.panel(label, *pictures, OPACITY))


def problem(message: str) -> str:
    """Return why there is no heatmap."""
    return str(_HTML.problem(message))
