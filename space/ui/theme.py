"""The theme of the page: colors, fonts and shapes, all served locally."""

from pathlib import Path

import gradio as gr
from gradio.themes import Base, Color, Font, LocalFont
from gradio.themes.utils import colors, sizes

CSS_FILE = Path(__file__).parent / "style.css"
# The later ones refine the first.
CSS_FILES = [
    CSS_FILE,
    *(CSS_FILE.with_name(f"{name}.css") for name in ("viewer", "waiting", "many_images")),
]
ICON_FILE = Path(__file__).parent / "icon.svg"

# Around #0072b2, the blue of the figures.
BLUE = Color(
    name="blue",
    c50="#eff7fc",
    c100="#d9ecf7",
    c200="#b3d9ee",
    c300="#7fc0e2",
    c400="#3fa0d1",
    c500="#0a84c4",
    c600="#0072b2",
    c700="#005d92",
    c800="#054b74",
    c900="#0a3a58",
    c950="#072a41",
)


def make_theme() -> gr.Theme:
    """Return the theme; the server delivers the fonts, so it works offline."""
    return Base(
        primary_hue=BLUE,
        secondary_hue=BLUE,
        neutral_hue=colors.slate,
        text_size=sizes.text_md,
        radius_size=sizes.radius_lg,
        # Gradio's file of the semi-bold weight (600) lacks the plain letters.
        font=(LocalFont("IBM Plex Sans", weights=(400, 700)), Font("sans-serif")),
        font_mono=(LocalFont("IBM Plex Mono", weights=(400, 700)), Font("monospace")),
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_700",
        border_color_primary_dark="*neutral_700",
        color_accent="*primary_600",
        # White on the default, primary_500, has a contrast of 4.1; WCAG 2.2 asks for 4.5.
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        block_shadow="0 1px 2px rgb(15 23 42 / 6%)",
    )
