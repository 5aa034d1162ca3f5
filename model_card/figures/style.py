"""Style of all figures, and their export as small, reproducible PNG files."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image, ImageChops, ImageOps

from model_card.figures.fonts import BASE, families_for
from model_card.formatting import one_line

INK, GREY, LIGHT_GREY, PAPER = "#1f2328", "#6e7781", "#e4e7eb", "#ffffff"
# Okabe and Ito's palette, safe for every kind of color vision.
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"
RED, PURPLE, SKY = "#d55e00", "#cc79a7", "#56b4e9"
# At 8 inches, a chart has 1,200 pixels: sharp at the Hub's 800 on a screen of double density.
CHART_PIXELS_PER_INCH = 150
PHOTO_PIXELS_PER_INCH = 110
MARGIN_INCHES = 0.1

_SETTINGS: dict[Any, Any] = {
    "font.family": [BASE],
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a class name opens no formula
    # Opaque, because a transparent picture is unreadable on the dark pages of the Hub.
    "figure.facecolor": PAPER,
    "figure.dpi": CHART_PIXELS_PER_INCH,
    "savefig.dpi": "figure",
    "savefig.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT_GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
styled = mpl.rc_context(_SETTINGS)  # a decorator of functions that draw or save


def shortened(name: str, letters: int = 26) -> str:
    """Return a class name that fits beside an axis; its end stays, often the most specific part."""
    name = one_line(name)
    if len(name) <= letters:
        return name
    return f"{name[: letters - 9]}…{name[-8:]}"


@styled
def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the same figure gives the same bytes.

    A palette of 256 colors makes the file of a photograph a third of the size.
    """
    picture = _drawn(figure)
    # Not earlier: matplotlib creates some tick labels while it draws.
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    families = families_for("".join(text.get_text() for text in texts))
    if families != [BASE]:
        for text in texts:
            text.set_fontfamily(families)
        picture = _drawn(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _drawn(figure: Figure) -> Image.Image:
    """Return the picture of a figure with an even margin around what it shows.

    It is drawn once, and again only if long names reach beyond its edges. `savefig` always draws
    twice, to measure and to write.
    """
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # `families_for` reports it in one line, instead of one per character and figure.
        warnings.filterwarnings("ignore", r"(?s)Glyph .* missing from", UserWarning)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        box = _shown(picture)
        if 0 in box[:2] or box[2] == picture.width or box[3] == picture.height:
            enlarged = BytesIO()
            figure.savefig(enlarged, bbox_inches="tight", pil_kwargs={"compress_level": 0})
            with Image.open(enlarged) as opened:
                picture = opened.convert("RGB")
            box = _shown(picture)
    margin = round(MARGIN_INCHES * figure.dpi)
    return ImageOps.expand(picture.crop(box), margin, PAPER)


def _shown(picture: Image.Image) -> tuple[int, int, int, int]:
    """Return the box of all that is not paper; of an empty picture, the whole."""
    empty = Image.new("RGB", picture.size, PAPER)
    return ImageChops.difference(picture, empty).getbbox() or (0, 0, *picture.size)
