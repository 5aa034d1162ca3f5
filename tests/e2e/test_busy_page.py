"""A page with more visitors than it can answer: each reads how long that takes, or a refusal."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from docs.browser import DESKTOP, PHONE
from space.app import CONCURRENCY
from tests.support.published_folder import noise
from tests.support.served_page import Site, served_page

# Gradio and pandas warn of themselves, and leave event loops open.
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore")]
OTHERS = 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_page(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def held(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The model answers nobody until this is set; `OTHERS` images wait already."""
    free, predict = threading.Event(), site.demo.predictor.predict

    def slow(*arguments: Any) -> Any:
        free.wait(60)
        return predict(*arguments)

    monkeypatch.setattr(site.demo.predictor, "predict", slow)
    file = {"path": site.upload()}
    for number in range(CONCURRENCY + OTHERS):
        assert site.join("show_upload", [file], f"other{number}").status_code == 200
    yield free
    free.set()


def _visit(browser: Browser, site: Site, folder: Path, size: tuple[int, int]) -> Page:
    """Open the page and give it an image."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(site.url)
    noise(5).save(folder / "photo.png")
    page.locator("#image input[type=file]").first.set_input_files(folder / "photo.png")
    return page


def _place(others: int) -> re.Pattern[str]:
    """Return what the page says; of an answer's time it knows nothing before the first answer."""
    return re.compile(rf"^{others} other images are before yours(: about \d+\u00a0s)?$")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_visitor_reads_the_place_and_leaves_it_by_closing_the_page(
    site: Site, browser: Browser, held: threading.Event, tmp_path: Path, size: tuple[int, int]
) -> None:
    first = _visit(browser, site, tmp_path, size)
    words = first.locator("#answer .progress-text")
    expect(words).to_have_attribute("data-words", _place(OTHERS))
    expect(words).to_be_in_viewport()
    # What stands there is not the answer for this image, so it can't be corrected.
    expect(first.locator("#answer .html-container")).to_have_css("opacity", "0")
    expect(first.locator("#correction form")).not_to_be_visible()
    second = _visit(browser, site, tmp_path, size)
    words = second.locator("#answer .progress-text")
    expect(words).to_have_attribute("data-words", _place(OTHERS + 1))
    assert len(site.app._queue) == OTHERS + 2
    second.close()
    for _ in range(100):
        if len(site.app._queue) == OTHERS + 1:
            break
        first.wait_for_timeout(100)
    assert len(site.app._queue) == OTHERS + 1, "the image of a closed page is not answered"
    held.set()
    expect(first.locator("#answer .badge")).to_be_visible()
    expect(first.locator("#correction form")).to_be_visible()
    first.close()


@pytest.mark.usefixtures("held")
def test_a_full_queue_refuses_in_words(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(site.app._queue, "max_size", OTHERS)
    page = _visit(browser, site, tmp_path, DESKTOP)
    expect(page.locator("#answer .verdict")).to_have_text("No answer")
    expect(page.locator("#answer .advice")).to_contain_text("Choose the image again in a minute")
    expect(page.locator("#correction form")).not_to_be_visible()
    page.close()
