"""A headless Chromium that reaches this machine only, for README's picture and the tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",  # containers run it as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP, PHONE = (1440, 900), (390, 844)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run a headless Chromium until the block ends.

    Raises:
        RuntimeError: there is no Chromium on this machine.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if program is None:
        raise RuntimeError(f"None of {', '.join(CHROMIUM_NAMES)} is installed.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        browser.close()


@contextmanager
def open_page(url: str, size: tuple[int, int] = DESKTOP) -> Iterator[Page]:
    """Open `url` for the time of the block.

    Raises:
        RuntimeError: the page requested something from another address.
    """
    elsewhere: list[str] = []
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        home = urlsplit(url).netloc
        page.on(
            "request",
            lambda request: (
                elsewhere.append(request.url)
                if urlsplit(request.url).netloc not in ("", home)
                else None
            ),
        )
        page.goto(url)
        yield page
    if elsewhere:
        raise RuntimeError(f"The page requested files from other addresses: {elsewhere}")
