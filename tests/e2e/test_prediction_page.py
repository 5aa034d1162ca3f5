"""The page of predict.py in a browser: filter, sort, look closer, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import expect

from docs.browser import DESKTOP, PHONE, open_page
from space.inference.core.decision import Prediction
from tests.support.published_folder import noise
from trainer.prediction import page
from trainer.prediction.image_files import ImageFile
from trainer.prediction.row import Row

LABELS = ["Crazing", "<b>Rolled</b>", "Pitted"]
ROWS = 300
Verdict = Literal["class", "unsure", "unknown"]
UNKNOWN, UNSURE = range(0, ROWS, 50), range(1, ROWS, 20)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    noise(0).save(folder / "image.png")
    rows = []
    for number in range(ROWS):
        certain = 0.5 + number / 1000
        shares = [(1 - certain) / 2] * 3
        shares[number % 3] = certain
        verdict: Verdict = (
            "unknown" if number in UNKNOWN else "unsure" if number in UNSURE else "class"
        )
        prediction = Prediction(
            dict(zip(LABELS, shares, strict=True)), (LABELS[number % 3],), verdict, number / 7
        )
        rows.append(Row.of(f"coil/<i>{number:03}.png", prediction, 8, 1.0))
    rows.append(Row("coil/broken.png", error="The file is <damaged>."))
    image = str(folder / "image.png")
    files = {row.path: ImageFile(image, row.path, row.path) for row in rows}
    source = page.Source("local-dir:<model>", 8, LABELS)
    page.write(folder / "page.html", source, rows, files, {rows[3].path: Path(image)})
    return (folder / "page.html").as_uri()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_gallery_filters_and_sorts(report: str, size: tuple[int, int]) -> None:
    with open_page(report, size) as view:
        tiles, count = view.locator("#gallery li"), view.locator("#count")
        expect(count).to_have_text("301 of 301 images")
        first = tiles.first
        expect(first).to_contain_text("Unknown surface")
        expect(first).to_contain_text("<i>000.png")
        assert tiles.count() < ROWS, "tiles are made as one scrolls"
        for _ in range(5):
            view.keyboard.press("End")
            view.wait_for_timeout(100)
        expect(tiles).to_have_count(ROWS + 1)

        view.get_by_role("combobox", name="Verdict").select_option("Unsure")
        expect(count).to_have_text(f"{len(UNSURE)} of 301 images")
        view.get_by_role("combobox", name="Class").select_option("<b>Rolled</b>")
        rolled = [number for number in UNSURE if number % 3 == 1]
        expect(count).to_have_text(f"{len(rolled)} of 301 images")
        view.get_by_role("combobox", name="Verdict").select_option("All")
        view.get_by_role("combobox", name="Class").select_option("All")
        view.get_by_label("File name").fill("29")
        expect(tiles).to_have_count(13)  # 029, 129, 229 and 290 to 299
        view.get_by_label("File name").fill("")

        view.get_by_role("combobox", name="Sort by").select_option("Confidence, lowest first")
        expect(tiles.first).to_contain_text("The file is <damaged>.")
        expect(tiles.nth(2)).to_contain_text("001")
        view.get_by_role("combobox", name="Sort by").select_option("Novelty, highest first")
        expect(tiles.first).to_contain_text("299")

        unknown = view.get_by_role("button", name="Unknown surface 2.0 %")
        unknown.click()
        expect(tiles).to_have_count(len(UNKNOWN))
        unknown.click()
        expect(count).to_have_text("301 of 301 images")
        wide = view.evaluate("document.documentElement.scrollWidth")
        assert wide <= size[0], "the page scrolls sideways"


def test_a_click_shows_all_that_is_known(report: str) -> None:
    with open_page(report) as view:
        view.locator("#gallery button").nth(3).click()
        dialog = view.get_by_role("dialog")
        expect(dialog).to_contain_text("coil/<i>003.png")
        expect(dialog).to_contain_text("Crazing 50 %")
        expect(dialog.locator("li")).to_have_text(
            ["Crazing50 %", "<b>Rolled</b>25 %", "Pitted25 %"]
        )
        expect(dialog).to_contain_text("Novelty: 0.429 × the limit")
        expect(dialog.locator("img")).to_have_count(2)
        view.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        view.locator("#gallery button").nth(4).click()
        expect(dialog.locator("img")).to_have_count(1)


def test_a_mouse_over_a_picture_shows_its_heatmap(report: str) -> None:
    with open_page(report) as view:
        picture = view.locator("#gallery img").nth(3)
        before = picture.get_attribute("src")
        cards = view.evaluate("JSON.parse(document.getElementById('cards').textContent)")
        assert before == cards[3]["picture"]
        picture.hover()
        assert picture.get_attribute("src") == cards[3]["heatmap"]
        view.locator("h1").hover()
        assert picture.get_attribute("src") == before
