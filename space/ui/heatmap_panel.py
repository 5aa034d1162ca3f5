"""The HTML of an image under its heatmap, which a slider fades in the visitor's own browser."""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image

SHOWN_PX = 720
OPACITY = 70
# The slider answers without asking the server, so it moves smoothly on a phone, too.
FADE = """
element.addEventListener('input', (event) => {
  const heat = element.querySelector('.heat');
  if (heat && event.target.type === 'range') heat.style.opacity = event.target.value / 100;
});
"""


def panel(image: Image.Image, heat: Image.Image, label: str) -> str:
    """Return an image under a heatmap of a class, and the slider.

    Args:
        image: what the heatmap covers.
        heat: of any size; it is stretched over the image.
        label: of the class that it explains.
    """
    shown = image.copy()
    shown.thumbnail((SHOWN_PX, SHOWN_PX))
    # That of a strip of many tiles can be wider than a picture may be.
    heat = heat.copy()
    heat.thumbnail((SHOWN_PX, SHOWN_PX))
    name = escape(label)
    return (
        f'<figure class="overlay"><div class="layers">{_picture(shown, "shown", "")}'
        f"{_picture(heat, 'heat', f'Heatmap of what speaks for {name}')}</div>"
        f"<figcaption>Bright places speak most for <b>{name}</b>. The map says where the model "
        "looks, not where the defect ends.</figcaption>"
        f'<label>Opacity of the heatmap <input type="range" min="0" max="100" value="{OPACITY}">'
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
