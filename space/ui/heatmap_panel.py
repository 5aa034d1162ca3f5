"""The HTML of an image under its heatmap; a slider in the browser sets the opacity."""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image

SHOWN_PX = 720
OPACITY = 70
# The slider works without the server, so it is smooth on a phone, too.
FADE = """
element.addEventListener('input', (event) => {
  const heat = element.querySelector('.heat');
  if (heat && event.target.type === 'range') heat.style.opacity = event.target.value / 100;
});
"""


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
    name = escape(label)
    return (
        f'<figure class="overlay"><div class="layers">{_picture(shown, "shown", "")}'
        f"{_picture(heat, 'heat', f'Heatmap for {name}')}</div>"
        f"<figcaption>Bright regions support <b>{name}</b> most. The map shows what the model "
        "uses, not the outline of the defect.</figcaption>"
        f'<label>Heatmap opacity <input type="range" min="0" max="100" value="{OPACITY}">'
        "</label></figure>"
    )


def problem(message: str) -> str:
    """Return why there is no heatmap."""
    return f'<p class="advice" role="status">{escape(message)}</p>'


def _picture(image: Image.Image, name: str, alt: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    style = f' style="opacity:{OPACITY / 100}"' if alt else ""
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="{name}" src="data:image/webp;base64,{data}" alt="{alt}"{style}>'
