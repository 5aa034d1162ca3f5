"""What a machine can check of a page's accessibility."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SETTLED = """() => document.getAnimations().every(
  (each) => each.playState !== 'running' || each.effect.getTiming().iterations === Infinity)"""


def check_accessibility(page: Page) -> None:
    """Check the page as it is now with axe-core, and that each target is 24 px high and wide."""
    # In the middle of a transition, colors are none of those that the page has before or after.
    page.wait_for_function(SETTLED)
    found = Axe().run(page).response
    assert len(found["passes"]) > 20
    violations = [(each["id"], each["nodes"]) for each in found["violations"]]
    assert violations == [], violations
    sizes = page.locator("button:visible, input:visible, summary:visible").evaluate_all(
        "all => all.filter((e) => e.tabIndex >= 0).map((e) => [e.outerHTML.slice(0, 60), "
        "Math.min(e.offsetWidth, e.offsetHeight)])"
    )
    assert [name for name, side in sizes if side < 24] == []
