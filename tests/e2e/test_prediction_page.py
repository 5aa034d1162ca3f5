"""The page of predict.py in a browser: filter, sort, look closer, on a desk and on a phone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from docs.browser import DESKTOP, PHONE
from space.inference.core.decision import Prediction
from tests.support.published_folder import noise
from tests.support.visits import visited
from trainer.prediction import page
from trainer.prediction.coil.crop import Crop
from trainer.prediction.coil.defects import Defect
from trainer.prediction.coil.strips import Place, Strip
from trainer.prediction.coil.view import Coil, Piece
from trainer.prediction.image_files import ImageFile
from trainer.prediction.row import Row

LABELS = ["Crazing", "<b>Rolled</b>", "Pitted"]
ROWS = 300
CERTAIN = 4
Verdict = Literal["class", "unsure", "unknown"]
UNKNOWN, UNSURE = range(0, ROWS, 50), range(1, ROWS, 20)


def coil_of(rows: list[Row], image: str) -> Coil:
    """Return two strips, one lying and one upright, of images of 60 × 80 px, and a single image."""
    crops = [Crop(image, row.path, row.outcome, row.label) for row in rows[2:7]]
    lying = Strip((Place(0, 0, 0, 0, 80, 60), Place(1, 0, 0, 40, 80, 60)), 80, 100)
    upright = Strip((Place(2, 0, 0, 0, 80, 60), Place(3, 2, 70, 5, 80, 60)), 150, 65)
    alone = Strip((Place(4, 0, 0, 0, 80, 60),), 80, 60)
    rolled, pitted = LABELS[1:]
    return Coil(
        crops=crops,
        pieces=[
            Piece(
                1,
                lying,
                [Defect(pitted, 8, 25, 20, 50, (0, 1)), Defect(pitted, 60, 90, 20, 10, (1,))],
                Counter({pitted: 4}),
                Counter({"class": 2}),
            ),
            Piece(
                2, upright, [Defect(rolled, 0, 13, 30, 26, (2,))], Counter({rolled: 1}), Counter()
            ),
            Piece(3, alone, [], Counter(), Counter({"unsure": 1})),
        ],
        labels=[rolled, pitted],
        dropped_links=1,
        with_heat=True,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    noise(0).save(folder / "image.png")
    rows = []
    for number in range(ROWS):
        certain = 1 - 1e-9 if number == CERTAIN else 0.5 + number / 1000
        shares = [(1 - certain) / 2] * 3
        shares[number % 3] = certain
        verdict: Verdict = (
            "unknown" if number in UNKNOWN else "unsure" if number in UNSURE else "class"
        )
        prediction = Prediction(
            dict(zip(LABELS, shares, strict=True)), (LABELS[number % 3],), verdict, number / 7
        )
        rows.append(Row.measured(f"coil/<i>{number:03}.png", prediction, 8, 1.0))
    rows.append(Row("coil/broken.png", error="The file is <damaged>."))
    image = str(folder / "image.png")
    files = {row.path: ImageFile(image, row.path, row.path) for row in rows}
    source = page.Source("local-dir:<model>", 8, LABELS)
    coil = coil_of(rows, image)
    page.write(folder / "page.html", source, rows, files, {rows[3].path: Path(image)}, coil)
    return (folder / "page.html").as_uri()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_gallery_filters_and_sorts(report: str, tab: Page, size: tuple[int, int]) -> None:
    with visited(tab, report, size) as visit:
        view = visit.page
        tiles, count = view.locator("#gallery li"), view.locator("#count")
        expect(count).to_have_text("301 of 301 images")
        first = tiles.first
        expect(first).to_contain_text("Unknown surface")
        expect(first).to_contain_text("<i>000.png")
        expect(view.locator("#gallery ul")).to_have_count(6)
        expect(tiles).not_to_have_count(ROWS + 1)
        # Only the tiles near the window exist, at both ends, so the size of the page is bounded.
        view.keyboard.press("End")
        expect(tiles.last).to_contain_text("broken.png")
        expect(tiles.last).to_be_in_viewport()
        expect(first).not_to_contain_text("<i>000.png")
        assert tiles.count() < ROWS
        view.keyboard.press("Home")
        expect(first).to_contain_text("<i>000.png")
        expect(tiles.last).not_to_contain_text("broken.png")

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


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_click_shows_all_that_is_known(report: str, tab: Page, size: tuple[int, int]) -> None:
    with visited(tab, report, size) as visit:
        view = visit.page
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
        view.locator("#gallery button").nth(CERTAIN).click()
        expect(dialog.locator("img")).to_have_count(1)
        # In the row it is 1.
        shares = dialog.locator("li b")
        expect(shares).to_have_text(["> 99 %", "< 1 %", "< 1 %"])
        # The longest one, too, fits into its column.
        assert shares.first.evaluate("share => share.scrollWidth <= share.clientWidth")


def test_a_mouse_over_a_picture_shows_its_heatmap(report: str, tab: Page) -> None:
    with visited(tab, report) as visit:
        view = visit.page
        picture = view.locator("#gallery img").nth(3)
        before = picture.get_attribute("src")
        cards = view.evaluate("JSON.parse(document.getElementById('cards').textContent)")
        assert before == cards[3]["picture"]
        picture.hover()
        assert picture.get_attribute("src") == cards[3]["heatmap"]
        view.locator("h1").hover()
        assert picture.get_attribute("src") == before


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_strips_show_their_defects_in_place(report: str, tab: Page, size: tuple[int, int]) -> None:
    with visited(tab, report, size) as visit:
        view = visit.page
        section = view.locator("#coil")
        expect(section).to_contain_text("3 pieces of surface, 1 of them with a single image.")
        expect(section).to_contain_text("1 overlap contradicted the others and was not used.")
        expect(view.locator("#once tbody tr")).to_have_text(
            ["<b>Rolled</b>11", "Pitted24", "All35"]
        )
        strips = view.locator(".strip")
        expect(strips).to_have_count(2)
        expect(strips.first).to_contain_text(
            "2 images · 100 × 80 px · 2 defects in 4 of the images"
        )
        expect(strips.nth(1)).to_contain_text("shown turned by 90°")
        # A box of 25 to 75 % of the width and 10 to 35 % of the height.
        picture = strips.first.locator("img").bounding_box()
        defects = strips.first.locator(".defect")
        box = defects.first.bounding_box()
        assert picture and box
        assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(0.25, abs=0.01)
        assert (box["y"] - picture["y"]) / picture["height"] == pytest.approx(0.10, abs=0.01)
        assert box["width"] / picture["width"] == pytest.approx(0.5, abs=0.01)
        assert box["height"] / picture["height"] == pytest.approx(0.25, abs=0.01)
        # Upright, x 13 to 39 of 65 and y 0 to 30 of 150 lie, turned, at 40 % from the top.
        turned = strips.nth(1).locator(".defect").get_attribute("style")
        assert turned == "left: 0%; top: 40%; width: 20%; height: 40%;"

        view.get_by_role("combobox", name="Verdict").select_option("Unsure")
        # Names would hide a small picture; the color says the class.
        name = defects.nth(1).locator("span")
        expect(name).to_be_visible(visible=size == DESKTOP)
        # By keyboard, from a defect to its images and back to all.
        defects.nth(1).focus()
        expect(name).to_be_visible()
        view.keyboard.press("Enter")
        tiles, count = view.locator("#gallery li"), view.locator("#count")
        expect(count).to_have_text("1 of 301 images")
        expect(tiles).to_contain_text("<i>003.png")
        view.get_by_role("button", name="Pitted 2, strip 1: show all images again").click()
        expect(count).to_have_text("301 of 301 images")
        strips.nth(1).get_by_role("button", name="Show its images").click()
        expect(count).to_have_text("2 of 301 images")
        view.get_by_text("Table of the 2 strips of several images").click()
        expect(view.locator("#pieces tbody tr")).to_have_text(
            ["12100 × 80240Pitted 2", "2265 × 150110<b>Rolled</b> 1"]
        )
