"""One Chromium for each module of tests, and one tab in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from docs.browser import open_browser

# Three tests share two cores: what takes a second by itself may take many, and no test asserts a
# duration.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Page:
    """A tab for `visited`."""
    return browser.new_page()
