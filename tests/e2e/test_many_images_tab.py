"""The tab for many images in a real browser: rows, filter, keyboard, downloads, stopping."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from docs.browser import DESKTOP, PHONE
from space.feedback.store import read_corrections
from space.inference.drift.baseline import Baseline
from space.inference.predictor import Predictor
from tests.support.accessibility import check_accessibility
from tests.support.published_folder import noise, write_decision, write_published_folder
from tests.support.reports import LABELS
from tests.support.running_space import copy_space, running_space
from tests.support.visits import visited
from trainer.decision.baseline import write_baseline

pytestmark = pytest.mark.browser


class Served:
    """A running Space, and images with the verdicts of its model."""

    def __init__(self, url: str, predictor: Predictor, images: list[Path], feedback: Path) -> None:
        self.url = url
        self.feedback = feedback
        self.images = images
        self.verdicts = {
            path.name: predictor.predict([noise(int(path.stem))])[0] for path in images
        }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("many")
    write_published_folder(folder / "model")
    write_decision(folder / "model")
    # The healthy images are less novel than any noise: a few images are no evidence yet.
    baseline = Baseline(
        labels=LABELS,
        predicted=[number % len(LABELS) for number in range(20 * len(LABELS))],
        confidence=[1.0] * 20 * len(LABELS),
        novelty=[0.0] * 20 * len(LABELS),
        verdicts={"class": 20 * len(LABELS)},
        images=None,
    )
    write_baseline(baseline, folder / "model")
    # By letters, 10 would come before 2.
    images = [folder / f"{seed}.png" for seed in (1, 2, 3, 10)]
    for path in images:
        noise(int(path.stem)).save(path)
    model_id = f"local-dir:{folder / 'model'}"
    feedback = folder / "feedback"
    app = copy_space(folder / "copy")
    with running_space(app, model_id, folder, warm=True, FEEDBACK_DIR=str(feedback)) as url:
        yield Served(url, Predictor(folder / "model"), images, feedback)
    assert "Traceback" not in (folder / "space.log").read_text(encoding="utf-8")


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, served: Served, tab: Page) -> Iterator[Page]:
    """The tab of the Space, just opened."""
    with visited(tab, served.url, request.param):
        tab.get_by_role("tab", name="Many images").click()
        yield tab


def _choose(page: Page, files: list[Path]) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(files)


def _rows(page: Page) -> Locator:
    return page.locator("#many .many-rows tbody tr:visible")


def _names(page: Page) -> list[str]:
    # Below the window, rows are not rendered and have no inner text.
    names: list[str] = page.locator("#many .many-rows tbody tr:visible .many-name").evaluate_all(
        "all => all.map((each) => each.firstChild.textContent)"
    )
    return names


@pytest.fixture
def answered(page: Page, served: Served, tmp_path: Path) -> Page:
    """The tab with the answers for four images and a bad file."""
    (tmp_path / "=bad.png").write_text("no image at all")
    _choose(page, [*served.images, tmp_path / "=bad.png"])
    expect(page.locator("#many .many-status")).to_contain_text("5 of 5 images answered")
    return page


def test_rows_come_sorted_and_can_be_filtered(answered: Page, served: Served) -> None:
    page = answered
    expect(_rows(page)).to_have_count(5)
    unsure = [name for name, found in served.verdicts.items() if found.verdict == "unsure"]
    accepted = [name for name, found in served.verdicts.items() if found.verdict == "class"]
    assert unsure
    assert accepted
    unsure.sort(key=lambda name: served.verdicts[name].confidence)
    accepted.sort(key=lambda name: served.verdicts[name].confidence)
    assert _names(page) == [*unsure, "=bad.png", *accepted]
    # Rounded up, a confidence could seem to reach the limit that it misses.
    assert page.locator("#many .many-rows tbody td:last-child").all_text_contents() == [
        *(f"{math.floor(served.verdicts[name].confidence * 1000) / 10:g} %" for name in unsure),
        "",
        *(f"{math.floor(served.verdicts[name].confidence * 1000) / 10:g} %" for name in accepted),
    ]
    people = "1 needs a person" if len(unsure) == 1 else f"{len(unsure)} need a person"
    expect(page.locator("#many .many-status")).to_contain_text(
        f"5 of 5 images answered, {people}, 1 can’t be used."
    )
    expect(_rows(page).filter(has_text="=bad.png")).to_contain_text("not an image in JPEG")
    expect(page.locator("#many .many-rows tbody img")).to_have_count(4)
    page.get_by_label("Verdict").select_option("class")
    assert _names(page) == accepted
    page.get_by_label("Verdict").select_option("")
    label = served.verdicts[accepted[0]].label
    page.get_by_label("Class").select_option(label)
    assert set(_names(page)) == {n for n, found in served.verdicts.items() if found.label == label}
    page.get_by_label("Class").select_option("")
    if page.viewport_size == {"width": PHONE[0], "height": PHONE[1]}:
        # There the rows have no columns to sort by.
        return
    head = page.locator('#many th:has([data-sort="name"])')
    names = ["=bad.png", "1.png", "2.png", "3.png", "10.png"]
    for order, arrow, expected in (
        ("ascending", "↑", names),
        ("descending", "↓", names[::-1]),
    ):
        page.locator('#many [data-sort="name"]').click()
        expect(head).to_have_attribute("aria-sort", order)
        drawn = head.locator("button").evaluate("e => getComputedStyle(e, '::after').content")
        assert arrow in drawn
        assert _names(page) == expected
    page.locator('#many [data-sort="confidence"]').click()
    assert _names(page) == [
        *sorted(served.verdicts, key=lambda n: served.verdicts[n].confidence),
        "=bad.png",
    ]
    assert head.get_attribute("aria-sort") is None


def test_a_drift_is_shown_beside_the_rows(answered: Page, served: Served) -> None:
    page = answered
    drift = page.locator("#many .many-drift")
    expect(drift.locator("summary")).to_have_text("No drift found")
    _choose(page, served.images * 5)
    status = page.locator("#many .many-status")
    expect(status).to_contain_text("20 of 20 images answered")
    expect(status).to_contain_text("drift found")
    expect(drift.locator("summary")).to_have_text("Drift found")
    if page.viewport_size == {"width": PHONE[0], "height": PHONE[1]}:
        # There it would push the rows from the screen.
        expect(drift.locator(".drift-panel")).to_be_hidden()
        drift.locator("summary").press("Enter")
    panel = drift.locator(".drift-panel")
    expect(panel).to_contain_text("20 images compared with the 120 that the model was tested on")
    accepted = sum(found.verdict == "class" for found in served.verdicts.values()) / 4
    expect(panel.get_by_role("row", name="Answer accepted")).to_contain_text(f"{accepted:.0%}"[:-1])
    expect(panel.get_by_role("img", name="Histogram of the novelty")).to_be_visible()
    # Of a baseline without image statistics.
    expect(panel).to_contain_text("no cause is estimated")
    expect(_rows(page)).to_have_count(20)


PAGES = (("PageDown", 4), ("PageUp", 0), ("PageDown", 4))


def test_the_keyboard_moves_and_opens(answered: Page, served: Served) -> None:
    page = answered
    _rows(page).first.focus()
    for key, place in (("ArrowDown", 1), ("End", 4), ("ArrowUp", 3), ("Home", 0), *PAGES):
        page.keyboard.press(key)
        expect(_rows(page).nth(place)).to_be_focused()
    # Another engine thread may round the last digit; the class is the same.
    name = _names(page)[4]
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="One image")).to_have_attribute("aria-selected", "true")
    label = served.verdicts[name].label
    expect(page.locator("#answer .verdict")).to_contain_text(label)
    expect(page.locator("#image img")).to_have_js_property("naturalWidth", noise(1).width)
    # The rows are still there.
    page.get_by_role("tab", name="Many images").click()
    expect(_rows(page)).to_have_count(5)


def test_table_and_copies_can_be_downloaded(answered: Page, served: Served) -> None:
    page = answered
    with page.expect_download() as table:
        page.get_by_role("button", name="Table (CSV)").click()
    assert table.value.suggested_filename == "predictions.csv"
    with Path(table.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [*served.verdicts, "'=bad.png"]
    assert [row["label"] for row in rows[:4]] == [f.label for f in served.verdicts.values()]
    with page.expect_download() as copies:
        page.get_by_role("button", name="Sorted images (zip)").click()
    assert copies.value.suggested_filename == "sorted_images.zip"
    folders = {"class": "accepted", "unsure": "unsure"}
    expected = [f"{folders[f.verdict]}/{f.label}/{n}" for n, f in served.verdicts.items()]
    with zipfile.ZipFile(copies.value.path()) as file:
        assert file.namelist() == [*expected, "predictions.csv"]


def test_a_zip_is_answered_and_stopping_keeps_what_is_done(
    page: Page, served: Served, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number in range(400):
            file.write(served.images[number % 4], f"coil/{number}.png")
    _choose(page, [tmp_path / "a.zip"])
    expect(_rows(page).first).to_be_visible()
    # The server stops, too.
    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Stop").click()
    status = page.locator("#many .many-status")
    expect(status).to_contain_text("Stopped.")
    count = _rows(page).count()
    assert 1 <= count < 400
    expect(status).to_contain_text(f"{count} of 400 images answered")
    with page.expect_download() as table:
        page.get_by_role("button", name="Table (CSV)").click()
    with Path(table.value.path()).open(encoding="utf-8-sig", newline="") as file:
        # The step that ran is stored as well.
        assert count <= len(list(csv.DictReader(file))) < 400
    _choose(page, served.images[:1])
    expect(status).to_contain_text("1 of 1 image answered")
    expect(_rows(page)).to_have_count(1)


def test_an_unknown_surface_has_no_class(page: Page, served: Served, tmp_path: Path) -> None:
    Image.new("L", (80, 60), 128).save(tmp_path / "gray.png")
    (tmp_path / ".DS_Store").write_bytes(b"of the system")
    _choose(page, [*served.images, tmp_path / "gray.png", tmp_path / ".DS_Store"])
    status = page.locator("#many .many-status")
    expect(status).to_contain_text(
        "5 of 5 images answered, 3 need a person, 1 system file left out."
    )
    row = _rows(page).filter(has_text="gray.png")
    expect(row.locator("td")).to_have_text(["", "gray.png", "Unknown surface", "", ""])
    choices = page.get_by_label("Class").locator("option").all_inner_texts()
    labels = [found.label for found in served.verdicts.values()]
    assert choices == [
        "All (5)",
        *(f"{label} ({labels.count(label)})" for label in sorted(set(labels))),
    ]
    for label in set(labels):
        page.get_by_label("Class").select_option(label)
        assert set(_names(page)) == {n for n, f in served.verdicts.items() if f.label == label}


def test_too_many_files_and_a_server_that_fails_get_words(page: Page, served: Served) -> None:
    status = page.locator("#many .many-status")
    _choose(page, served.images[:1] * 2001)
    expect(status).to_contain_text("These are 2,001 files; at most 2,000 can be read at once.")
    full = {"detail": "Queue is full."}
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json=full), times=1)
    _choose(page, served.images[:1])
    expect(status).to_contain_text("The server did not finish. 0 of 0 images answered.")
    _choose(page, served.images[:1])
    expect(status).to_contain_text("1 of 1 image answered")


# A browser lists a hundred entries of a folder a call; scripts can't make its entries.
DROP_FOLDER = """
async () => {
  const canvas = new OffscreenCanvas(8, 8);
  canvas.getContext('2d').fillRect(0, 0, 8, 8);
  const blob = await canvas.convertToBlob();
  const file = (name) => new File([blob], name, {type: 'image/png'});
  const entry = (name) => ({isFile: true, name, file: (good) => good(file(name))});
  const folder = (name, ...calls) => ({isFile: false, name,
    createReader: () => ({readEntries: (good) => good(calls.shift() ?? [])})});
  const coil = folder('coil', [entry('1.png'), folder('end', [entry('2.png')])], [entry('3.png')]);
  const drop = document.querySelector('.many-drop');
  const send = (type) => {
    const event = new Event(type, {bubbles: true, cancelable: true});
    event.dataTransfer = {types: ['Files'], files: [file('coil')],
      items: [{webkitGetAsEntry: () => coil}]};
    drop.dispatchEvent(event);
    return drop.classList.contains('over');
  };
  return [send('dragover'), send('dragleave'), send('dragover'), send('drop')];
}
"""


def test_a_dropped_folder_is_read_whole(page: Page) -> None:
    expect(page.locator("#many .many-drop")).to_be_visible()
    assert page.evaluate(DROP_FOLDER) == [True, False, True, False]
    expect(page.locator("#many .many-status")).to_contain_text("3 of 3 images answered")
    assert sorted(_names(page)) == ["coil/1.png", "coil/3.png", "coil/end/2.png"]


NAME_OF_FOCUS = """() => {
  const e = document.activeElement;
  return e.getAttribute('aria-label') || e.dataset.filter || e.textContent.trim() || e.name || e.id;
}"""


def _focused(page: Page, key: str = "Tab") -> str:
    page.keyboard.press(key)
    name: str = page.evaluate(NAME_OF_FOCUS)
    return name


def test_the_keyboard_alone_does_everything(
    browser: Browser, served: Served, tmp_path: Path
) -> None:
    """From the tab to a stored correction: Tab, arrows, Enter, digits and Escape only."""
    page = browser.new_page(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    # A key is pressed sooner than Chromium learns that it must not open a dialog.
    page.on("filechooser", lambda chooser: None)
    page.goto(served.url)
    expect(page.locator("#answer .verdict")).to_have_text("No image yet")
    names = [_focused(page)]
    while names[-1] != "One image":
        assert len(names) < 10, names
        names.append(_focused(page))
    # Gradio's tabs are buttons: Tab moves between them.
    if _focused(page, "ArrowRight") != "Many images":
        assert _focused(page) == "Many images"
    page.keyboard.press("Enter")
    expect(page.locator("#many .many-drop")).to_be_visible()
    while _focused(page) != "Choose files":
        names.append("")
        assert len(names) < 20, names
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(served.images)
    expect(page.locator("#many .many-status")).to_contain_text("4 of 4 images answered")
    page.get_by_role("button", name="Choose files").focus()
    assert [_focused(page) for _ in range(10)] == [
        *("Choose a folder", "verdict", "label", "Table (CSV)", "Sorted images (zip)"),
        *("No drift found", "Name", "Verdict", "Class", "Confidence"),
    ]
    page.keyboard.press("Tab")
    expect(_rows(page).first).to_be_focused()
    page.keyboard.press("ArrowDown")
    name = _names(page)[1]
    page.keyboard.press("Enter")
    form = page.locator("#correction form")
    expect(form).to_be_visible()
    expect(page.locator("#answer .verdict")).to_contain_text(served.verdicts[name].label)
    page.keyboard.press("2")
    expect(form.locator("input:checked")).to_have_attribute("value", LABELS[1])
    page.keyboard.press("Enter")
    expect(page.locator("#correction-status")).to_contain_text(f"Stored: {LABELS[1]}")
    [correction] = read_corrections(served.feedback).corrections
    assert correction.label == LABELS[1]
    assert correction.answer.label == served.verdicts[name].label
    page.keyboard.press("Escape")
    expect(_rows(page).nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(_rows(page).first).to_be_focused()
    # Gradio's own footer ends the walk.
    assert "API" in _focused(page)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    served: Served, tab: Page, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    """The rows with a drift and a bad file, and the form for corrections."""
    tab.emulate_media(color_scheme=scheme)
    with visited(tab, served.url) as visit:
        page = visit.page
        page.get_by_role("tab", name="Many images").click()
        (tmp_path / "bad.png").write_text("no image at all")
        Image.new("L", (80, 60), 128).save(tmp_path / "unknown.png")
        bad = [tmp_path / "bad.png", tmp_path / "unknown.png"]
        _choose(page, [*served.images * 4, *bad])
        expect(page.locator("#many .many-status")).to_contain_text("drift found.")
        check_accessibility(page)
        _rows(page).filter(has_text="1.png").first.click()
        form = page.locator("#correction form")
        expect(form).to_be_visible()
        form.get_by_label(LABELS[0]).check()
        check_accessibility(page)
        form.get_by_role("button", name="Send correction").click()
        expect(page.locator("#correction-status")).to_contain_text("Stored")
        check_accessibility(page)
    tab.emulate_media(color_scheme="null")
