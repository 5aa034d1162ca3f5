"""Visits of a page in one tab, where Chromium has compiled what was open before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Error, Page, Request

from docs.browser import DESKTOP


class Visit:
    """A page, and everything that went wrong or went astray while it was open.

    Attributes:
        console: what the page wrote there.
        errors: what its scripts did not catch.
        astray: addresses of other machines that it asked for.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console: list[str] = []
        self.errors: list[str] = []
        self.astray: list[str] = []

    def _hear(self, message: ConsoleMessage) -> None:
        self.console.append(message.text)

    def _fail(self, error: Error) -> None:
        self.errors.append(str(error))

    def _note(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob", "file") and address.hostname != "127.0.0.1":
            self.astray.append(request.url)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note what happens until the block ends."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", self._fail)
        self.page.on("request", self._note)
        yield
        self.page.remove_listener("console", self._hear)
        self.page.remove_listener("pageerror", self._fail)
        self.page.remove_listener("request", self._note)


@contextmanager
def visited(tab: Page, url: str, size: tuple[int, int] = DESKTOP) -> Iterator[Visit]:
    """Open a page for the time of the block, without anything that an earlier one stored.

    It must then fit the width of the screen, have caught its errors and asked no other machine.
    """
    tab.set_viewport_size({"width": size[0], "height": size[1]})
    visit = Visit(tab)
    with visit.listening():
        tab.goto(url)
        yield visit
        sizes = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    tab.evaluate("localStorage.clear(); sessionStorage.clear()")
    tab.goto("about:blank")
    assert sizes[0] <= sizes[1], "the page can be scrolled sideways"
    assert visit.errors == []
    assert visit.astray == []
