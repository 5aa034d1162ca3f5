"""Make README's picture from a finished run: `python -m docs.overview runs/demo`.

The picture holds the report of the run and a fingerprint of what each panel shows. A test renders
the same report with today's code and fails when a panel would look different.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import sys
import tempfile
from html import unescape
from pathlib import Path

from markdown_it import MarkdownIt
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page

from docs.browser import open_page
from model_card.card import render_card
from model_card.schema.checksums import unseal
from model_card.schema.report import REPORT_FILE, Report
from space import model_report
from space.app import build_app, launch
from space.demo import Demo
from space.inference.core.decision import Prediction
from space.inference.predictor import Predictor
from space.model_identity import identify
from space.server.uploads import UploadFolder
from space.ui import page as space_page
from space.ui import prediction_panel
from space.ui.theme import CSS_FILES
from trainer.synthetic.samples import CLASSES, draw_image

OUTPUT = Path(__file__).with_name("overview.png")
# Texts inside the PNG file.
REPORT, FINGERPRINTS = "report", "fingerprints"
PANELS = (
    "1  Folders of images",
    "2  A measured, published model",
    "3  A web page that answers",
)
FOLDERS, CARD, SPACE = PANELS
IMAGES_OF_A_CLASS = 3
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
    report = (published / REPORT_FILE).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        panels = {
            FOLDERS: _folders(),
            CARD: _card(published, report, Path(folder)),
            SPACE: _space(published, Path(folder)),
        }
    width = sum(panel.width for panel in panels.values()) + GAP_PX * (len(panels) + 1)
    picture = Image.new("RGB", (width, HEIGHT_PX + TITLE_PX + GAP_PX), "#eef1f4")
    pen, left = ImageDraw.Draw(picture), GAP_PX
    for title, panel in panels.items():
        pen.text((left, 18), title, fill="#1f2328", font=ImageFont.load_default(size=30))
        picture.paste(panel, (left, TITLE_PX))
        left += panel.width + GAP_PX
    texts = PngInfo()
    texts.add_text(REPORT, report, zip=True)
    texts.add_text(FINGERPRINTS, json.dumps(fingerprints(report)))
    # Without k-means, grays take most of the colors, and the blue of the page turns green.
    picture.quantize(256, kmeans=3).save(OUTPUT, optimize=True, pnginfo=texts)


def outdated_panels(picture: Path = OUTPUT) -> list[str]:
    """Return the titles of the panels that would look different today."""
    with Image.open(picture) as image:
        texts = {str(name): str(text) for name, text in image.info.items()}
    if not {REPORT, FINGERPRINTS} <= texts.keys():
        return list(PANELS)
    drawn, current = json.loads(texts[FINGERPRINTS]), fingerprints(texts[REPORT])
    return [title for title in PANELS if drawn.get(title) != current[title]]


def fingerprints(report: str) -> dict[str, str]:
    """Return a hash of what each panel shows of a report (the text of report.json)."""
    shown = {
        FOLDERS: [tile.tobytes() for label in CLASSES for tile in _tiles(label)],
        CARD: [CARD_STYLE.encode(), "".join(_first_screen(report).split()).encode()],
        SPACE: [*(file.read_bytes() for file in CSS_FILES), _page_text(report).encode()],
    }
    return {
        title: hashlib.sha256(b"".join([title.encode(), *parts])).hexdigest()
        for title, parts in shown.items()
    }


def _first_screen(report: str) -> str:
    """Return the card above its first section, which fills the panel."""
    card = render_card(Report.model_validate(unseal(report)))
    return card.split("---\n", 2)[2].partition("\n## ")[0]


def _page_text(report: str) -> str:
    """Return the words of the page's head, of an answer and of an example, without a model."""
    facts = model_report.Report.model_validate_json(report)
    answer = Prediction({CLASSES[0]: 0.75, CLASSES[1]: 0.25}, CLASSES[:1], required=0.5)
    background = prediction_panel.Background(drawn=facts.drawn)
    html = (
        space_page.header(identify("local-dir:published", Path(), facts), CLASSES, facts)
        + prediction_panel.prediction(answer, background, own_example=True)
        + space_page.example_buttons([(CLASSES[0], "")], "")
    )
    # Tags and white space can change without a change that is seen.
    return "".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def _folders() -> Image.Image:
    """Return three drawn images of each class, under the name of its folder."""
    panel = Image.new("RGB", (IMAGES_OF_A_CLASS * TILE_PX + 44, HEIGHT_PX), "white")
    pen = ImageDraw.Draw(panel)
    for row, label in enumerate(CLASSES):
        top = row * HEIGHT_PX // len(CLASSES)
        pen.text((20, top + 3), f"train/{label}/", fill="#1f2328",
                 font=ImageFont.load_default(size=13))  # fmt: skip
        for column, tile in enumerate(_tiles(label)):
            panel.paste(tile, (20 + column * TILE_PX, top + 22))
    return panel


def _tiles(label: str) -> list[Image.Image]:
    size = TILE_PX - 6, TILE_PX - 14
    return [draw_image(label, number).resize(size) for number in range(IMAGES_OF_A_CLASS)]


def _card(published: Path, report: str, folder: Path) -> Image.Image:
    # Rendered again, so that a run of an earlier version shows the card of this one.
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(_first_screen(report))
    file = published / "overview.html"
    file.write_text(f"<meta charset=utf-8><style>{CARD_STYLE}</style>{html}", encoding="utf-8")
    try:
        with open_page(file.resolve().as_uri(), (760, HEIGHT_PX)) as page:
            return _screenshot(page, folder)
    finally:
        file.unlink()


def _space(published: Path, folder: Path) -> Image.Image:
    uploads = UploadFolder(folder / "uploads")
    # Gradio reads this variable wherever it stores a file.
    os.environ["GRADIO_TEMP_DIR"] = str(uploads.path)
    app = build_app(Demo(Predictor(published), "local-dir:published", uploads))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    url = launch(app, uploads, port)
    try:
        with open_page(url, (1000, HEIGHT_PX)) as page:
            page.locator(".examples button").last.click()
            page.locator("#answer .bar").first.wait_for()
            page.wait_for_function("document.querySelector('#image img')?.naturalWidth > 0")
            page.evaluate("window.scrollTo(0, 0)")
            return _screenshot(page, folder)
    finally:
        app.close(verbose=False)


def _screenshot(page: Page, folder: Path) -> Image.Image:
    file = folder / "page.png"
    page.screenshot(path=file, animations="disabled")
    with Image.open(file) as image:
        return image.convert("RGB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
