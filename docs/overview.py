"""Make README's picture from a finished run: `python -m docs.overview runs/demo`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page

from model_card.card import render_card
from model_card.schema.report import Report
from tests.support.browser import open_page
from tests.support.running_space import SPACE_FOLDER, running_space
from trainer.synthetic.samples import CLASSES, draw_image

OUTPUT = Path(__file__).with_name("overview.png")
HEIGHT_PX, GAP_PX, TITLE_PX, TILE_PX = 900, 40, 64, 134
CARD_STYLE = """
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1f2328; margin: 24px 32px }
h1 { font-size: 26px } h2 { font-size: 21px; border-bottom: 1px solid #d1d9e0 }
table { border-collapse: collapse; font-size: 14px } td, th { border: 1px solid #d1d9e0;
padding: 4px 10px } pre { background: #f6f8fa; padding: 12px; font-size: 13px } img { width: 100% }
"""


def main(run_dir: Path) -> None:
    """Put images, card and web page of a run side by side."""
    published = run_dir / "published"
    with tempfile.TemporaryDirectory() as folder:
        panels = {
            "1  Folders of images": _folders(),
            "2  A measured, published model": _card(published, Path(folder)),
            "3  A web page that answers": _space(published, Path(folder)),
        }
    width = sum(panel.width for panel in panels.values()) + GAP_PX * (len(panels) + 1)
    picture = Image.new("RGB", (width, HEIGHT_PX + TITLE_PX + GAP_PX), "#eef1f4")
    pen, left = ImageDraw.Draw(picture), GAP_PX
    for title, panel in panels.items():
        pen.text((left, 18), title, fill="#1f2328", font=ImageFont.load_default(size=30))
        picture.paste(panel, (left, TITLE_PX))
        left += panel.width + GAP_PX
    picture.quantize(128).save(OUTPUT, optimize=True)


def _folders() -> Image.Image:
    """Return three drawn images of each class, under the name of its folder."""
    panel = Image.new("RGB", (3 * TILE_PX + 44, HEIGHT_PX), "white")
    pen = ImageDraw.Draw(panel)
    for row, label in enumerate(CLASSES):
        top = row * HEIGHT_PX // len(CLASSES)
        pen.text((20, top + 3), f"train/{label}/", fill="#1f2328",
                 font=ImageFont.load_default(size=13))  # fmt: skip
        for column in range(3):
            tile = draw_image(label, column).resize((TILE_PX - 6, TILE_PX - 14))
            panel.paste(tile, (20 + column * TILE_PX, top + 22))
    return panel


def _card(published: Path, folder: Path) -> Image.Image:
    # Rendered again, so that a run of an earlier version shows the card of this one.
    body = render_card(Report.read(published)).split("---\n", 2)[2]
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    file = published / "overview.html"
    file.write_text(f"<meta charset=utf-8><style>{CARD_STYLE}</style>{html}", encoding="utf-8")
    try:
        with open_page(file.resolve().as_uri(), (760, HEIGHT_PX)) as page:
            return _screenshot(page, folder)
    finally:
        file.unlink()


def _space(published: Path, folder: Path) -> Image.Image:
    # The page shows what it serves; the folders of this machine are no part of the picture.
    (folder / "published").symlink_to(published.resolve())
    with (
        running_space(SPACE_FOLDER / "app.py", "local-dir:published", folder) as url,
        open_page(url, (1000, HEIGHT_PX)) as page,
    ):
        page.locator("#examples button").last.click()
        page.locator("#answer .bar").first.wait_for()
        page.wait_for_load_state("networkidle")
        page.evaluate("window.scrollTo(0, 0)")
        return _screenshot(page, folder)


def _screenshot(page: Page, folder: Path) -> Image.Image:
    file = folder / "page.png"
    page.screenshot(path=file, animations="disabled")
    with Image.open(file) as image:
        return image.convert("RGB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
