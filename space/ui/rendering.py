"""HTML from the templates beside this module; every value in them is escaped."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from PIL import Image

NO_BREAK_SPACE = "\u00a0"


class TagsWithoutSpace(Extension):
    """Drops line breaks between tags, which a browser would show as spaces."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return the text of a template without line breaks between tags."""
        return re.sub(r"(?<=[>}])\s*\n\s*(?=[<{])", "", source).strip()


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    extensions=[TagsWithoutSpace],
)


def macros(template: str) -> Any:
    """Return the macros of a template as functions, which return HTML."""
    return _ENVIRONMENT.get_template(template).module


def rounded(value: float, decimals: int, whole: int) -> str:
    """Format a score as the model card does: never rounded up to `whole` or down to 0."""
    if value in (0, whole):
        return f"{value:.0f}"
    step = 10.0**-decimals
    return f"{min(max(value, step), whole - step):.{decimals}f}"


def score(fraction: float) -> str:
    """Format a fraction as a percentage, without the sign."""
    return rounded(100 * fraction, 1, 100)


def area(fraction: float) -> str:
    """Format an area under a curve."""
    return rounded(fraction, 3, 1)


def share(probability: float) -> str:
    """Format a probability as a percentage: 0 and 100 only where they are exact."""
    if 0 < probability < 0.005:
        text = "< 1 %"
    elif 0.995 <= probability < 1:
        text = "> 99 %"
    else:
        text = f"{100 * probability:.0f} %"
    return text.replace(" ", NO_BREAK_SPACE)


def data_url(image: Image.Image, quality: int, *, lossless: bool = False) -> str:
    """Return a picture as a data URL; for a lossless one, `quality` is the encoder's effort."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, lossless=lossless, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


_ENVIRONMENT.filters |= {"score": score, "area": area, "share": share}
