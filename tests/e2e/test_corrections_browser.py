"""Corrections in a real browser, in a copied-out Space that sends them to a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from docs.browser import DESKTOP, PHONE, open_browser
from tests.loopback_hub import LoopbackHub
from tests.support.published_folder import noise
from tests.support.reports import LABELS
from tests.support.running_space import copy_space, running_space

pytestmark = pytest.mark.browser


def _upload(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Drop an image file here to upload").click()
    chooser.value.set_files(path)
    expect(page.locator("#correction form")).to_be_visible()


def _check_keys_of_others(page: Page, form: Locator) -> None:
    """A digit with Ctrl is the browser's; on the buttons for the view it zooms."""
    page.locator("body").press("Control+3")
    page.get_by_role("button", name="Fit").press("1")
    expect(page.get_by_role("button", name="1:1")).to_have_attribute("aria-pressed", "true")
    expect(form.locator("input:checked")).to_have_count(0)


def test_corrections_by_mouse_and_by_keyboard_reach_the_hub(
    hub: LoopbackHub, token: str, package: Path, tmp_path: Path
) -> None:
    for seed in (1, 2):
        noise(seed).save(tmp_path / f"{seed}.png")
    app = copy_space(tmp_path / "copy")
    with (
        running_space(
            app,
            f"local-dir:{package}",
            tmp_path,
            warm=True,
            FEEDBACK_DIR=str(tmp_path / "corrections"),
            FEEDBACK_DATASET="ada/corrections",
            HF_ENDPOINT=hub.url,
            HF_TOKEN=token,
            HF_HUB_DISABLE_XET="1",
        ) as url,
        open_browser() as browser,
    ):
        page = browser.new_page(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
        page.goto(url)
        form, status = page.locator("#correction form"), page.locator("#correction-status")
        expect(page.locator("#answer .verdict")).to_have_text("No image yet")
        expect(form).to_be_hidden()
        # Without an image a digit selects nothing.
        page.keyboard.press("3")
        _upload(page, tmp_path / "1.png")
        expect(form).to_contain_text(
            "the dataset ada/corrections on the Hugging Face Hub (private)"
        )
        expect(form.locator("input:checked")).to_have_count(0)
        _check_keys_of_others(page, form)
        form.get_by_label("several defects").check()
        colors = form.locator(".choices span").evaluate_all(
            "all => all.map((e) => getComputedStyle(e).backgroundColor)"
        )
        # The third last is the choice.
        assert [color for color in colors if color != colors[0]] == [colors[-3]]
        form.get_by_label("Note").fill("7 of them, one at the edge")
        form.get_by_role("button", name="Send correction").click()
        expect(status).to_contain_text("Stored: several defects")
        # The photograph stays in view beside the long form.
        page.mouse.wheel(0, 2000)
        expect(form.get_by_role("button", name="Send correction")).to_be_in_viewport()
        expect(page.locator("#image img")).to_be_in_viewport(ratio=0.9)
        # In the note, a digit is text.
        expect(form.locator("input:checked")).to_have_attribute("data-kind", "several")
        page.get_by_role("button", name="Remove Image").click()
        expect(form).to_be_hidden()
        expect(status).to_have_text("")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        _upload(page, tmp_path / "2.png")
        expect(form.locator("input:checked")).to_have_count(0)
        expect(form.get_by_label("Note")).to_have_value("")
        page.locator("body").press("3")
        expect(form.locator("input:checked + span")).to_have_css("outline-style", "solid")
        expect(form.locator("input:checked")).to_have_attribute("value", LABELS[2])
        page.keyboard.press("Enter")
        expect(status).to_contain_text(f"Stored: {LABELS[2]}")
        sizes = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert sizes[0] <= sizes[1], "the page can be scrolled sideways"
    log = (tmp_path / "space.log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert token not in log
    repo = hub.repo("dataset", "ada/corrections")
    assert repo.private
    files = {name: hub.read("dataset", repo.id, name) for name in repo.head.files}
    records = sorted(name for name in files if name.startswith("corrections/"))
    said = [json.loads(files[name]) for name in records]
    assert [(each["kind"], each["label"]) for each in said] == [
        ("several", None),
        ("class", LABELS[2]),
    ]
    assert said[0]["note"] == "7 of them, one at the edge"
    assert {f"images/{each['image']}.png" for each in said} == {n for n in files if "images/" in n}
    assert "thread.key" not in files
