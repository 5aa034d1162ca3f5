"""The web demo in a real browser: on a desk and on a phone, with good files and bad ones."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from itertools import count
from math import exp
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from docs.browser import DESKTOP, PHONE
from model_card.figures.reliability import write_reliability_figures
from model_card.figures.results import write_report_figures
from model_card.formatting import enumeration
from space.inference.images.reader import MAX_FILE_BYTES
from space.inference.predictor import Predictor, read_image
from tests.support.accessibility import check_accessibility
from tests.support.published_folder import noise, write_decision, write_published_folder
from tests.support.reports import LABELS, example_report
from tests.support.running_space import SPACE_FOLDER, copy_space, running_space
from tests.support.visits import Visit, visited

pytestmark = pytest.mark.browser
# What Gradio's own page writes to the console, whatever the app does.
HARMLESS = {"Method not implemented."}


class Demo:
    """The running demo and the model behind it."""

    def __init__(self, url: str, model: Path, log: Path) -> None:
        self.url = url
        self.predictor = Predictor(model)
        self.log = log

    def verdict_for(self, path: Path) -> str:
        """Return the sentence that the page should show for a file."""
        (prediction,) = self.predictor.predict([read_image(path)])
        if prediction.verdict == "unknown":
            return "Unknown surface"
        if len(prediction.candidates) > 1 and prediction.verdict == "unsure":
            return f"Between {enumeration(list(prediction.candidates))}"
        sure = "over 99" if prediction.confidence >= 0.995 else f"{prediction.confidence:.0%}"
        probably = "Probably " if prediction.verdict == "unsure" else ""
        return f"{probably}{prediction.label} — {sure.rstrip('%')} % sure"

    def noise_with(self, verdict: str, folder: Path) -> Path:
        """Return a picture of noise of which the model says this."""
        seeds = (s for s in count() if self.predictor.predict([noise(s)])[0].verdict == verdict)
        path = folder / f"{verdict}.png"
        noise(next(seeds)).save(path)
        return path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A bare copy of the Space that serves a small model with real figures."""
    folder = tmp_path_factory.mktemp("demo")
    model = folder / "model"
    write_published_folder(model)
    shutil.copytree(SPACE_FOLDER / "examples", model / "examples")
    report = example_report()
    figures = write_report_figures(report.training.epochs, report.test, model)
    assert report.reliability is not None
    figures += write_reliability_figures(report.reliability, model)
    report.model_copy(update={"figures": figures}).write(model)
    write_decision(model)
    app, model_id = copy_space(folder / "copy"), f"local-dir:{model}"
    with running_space(app, model_id, folder, warm=True) as url:
        yield Demo(url, model, folder / "space.log")


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visit(request: pytest.FixtureRequest, demo: Demo, tab: Page) -> Iterator[Visit]:
    """The demo's page, just opened, whose console and requests are checked afterwards."""
    with visited(tab, demo.url, request.param) as visit:
        expect(tab.locator("#answer .verdict")).to_have_text("No image yet")
        yield visit
    assert set(visit.console) <= HARMLESS
    assert "Traceback" not in demo.log.read_text(encoding="utf-8")


def _upload(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Drop an image file here to upload").click()
    chooser.value.set_files(path)


def _says(page: Page, sentence: str) -> None:
    said = page.locator("#answer .verdict, #answer .badge.unknown")
    expect(said).to_have_text(sentence)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph, so to speak."""
    noise(1).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_an_upload_is_predicted_and_can_be_removed(visit: Visit, demo: Demo, photo: Path) -> None:
    page = visit.page
    _upload(page, photo)
    _says(page, demo.verdict_for(photo))
    shares = page.locator("#answer .probabilities li")
    expect(shares).to_have_count(len(LABELS))
    total = sum(int(re.findall(r"(\d+)\s%", text)[0]) for text in shares.all_inner_texts())
    assert abs(total - 100) <= len(LABELS) / 2
    expect(page.locator("#answer .note")).to_contain_text("knows 6 classes")
    page.get_by_role("button", name="Remove Image").click()
    _says(page, "No image yet")


def test_each_verdict_is_said_in_words_and_colour(visit: Visit, demo: Demo, tmp_path: Path) -> None:
    page = visit.page
    Image.new("L", (80, 60), 128).save(tmp_path / "unknown.png")
    files = [demo.noise_with(verdict, tmp_path) for verdict in ("class", "unsure")]
    said, colours = [], []
    for file in (*files, tmp_path / "unknown.png"):
        _upload(page, file)
        _says(page, demo.verdict_for(file))
        badge = page.locator("#answer .badge")
        said.append(badge.inner_text())
        colours.append(badge.evaluate("e => getComputedStyle(e).backgroundColor"))
        assert _contrast(page, ".badge") >= 4.5
        (prediction,) = demo.predictor.predict([read_image(file)])
        answer = page.locator("#answer")
        if prediction.verdict == "unknown":
            expect(answer).to_contain_text("× the limit")
            # Probabilities that mean little are folded away.
            expect(page.locator("#answer .probabilities")).to_be_hidden()
        else:
            expect(answer).to_contain_text("An automatic answer needs 90 %")
            names = ", ".join(prediction.candidates)
            expect(answer).to_contain_text(f"Prediction set at 90 % coverage: {names}")
            # The tick stands on the first bar, at the confidence that is needed.
            bar, tick = (
                _box(page, f"#answer .probabilities {e}") for e in (".bar >> nth=0", ".limit")
            )
            assert (tick[0] - bar[0]) / bar[2] == pytest.approx(0.9, abs=0.01)
            assert tick[2] > 0 and tick[3] > bar[3]
            expect(page.locator("#answer .legend .limit")).to_be_visible()
        page.get_by_role("button", name="Remove Image").click()
        expect(badge).to_have_count(0)
    assert said == [
        "Answer accepted",
        "Needs human review",
        "Unknown surface",
    ]
    assert len(set(colours)) == 3


def test_a_heatmap_lies_over_the_photograph_and_fades_without_the_server(
    visit: Visit, demo: Demo, photo: Path
) -> None:
    page = visit.page
    ask = page.get_by_role("button", name="Show where the model looks")
    expect(ask).to_be_hidden()
    _upload(page, photo)
    _says(page, demo.verdict_for(photo))
    expect(page.locator("#heatmap .heat")).to_have_count(0)
    ask.focus()
    ask.press("Enter")
    heat, slider = page.locator("#heatmap .heat"), page.get_by_role("slider", name="Opacity")
    expect(heat).to_be_visible()
    expect(heat).to_have_attribute("alt", re.compile("Heatmap for"))
    expect(page.get_by_role("img", name="Color scale")).to_be_in_viewport(ratio=1)
    # One picture on the other, also when both are enlarged and moved.
    page.get_by_role("button", name="Zoom in").press("Enter")
    page.get_by_role("button", name="Zoom in").press("ArrowLeft")
    assert _box(page, ".heat") == pytest.approx(_box(page, "#image img"), abs=1)
    for value in ("0", "35", "100"):
        slider.fill(value)
        expect(heat).to_have_css("opacity", f"{int(value) / 100:g}")
    # A thumb is 44 pixels high.
    assert _box(page, "#heatmap input[type=range]")[3] >= 44
    # The keyboard goes on where the button was.
    switch = page.get_by_role("checkbox", name="Heatmap")
    switch.press("Space")
    expect(heat).to_be_hidden()
    switch.press("Space")
    expect(heat).to_be_visible()
    # That of another image would mislead.
    page.get_by_role("group", name="Try one").get_by_role("button", name="Patches").click()
    expect(heat).to_have_count(0)
    # Of a surface that the model does not know, it would explain a class that means nothing.
    _says(page, "Unknown surface")
    expect(ask).to_be_hidden()
    page.get_by_role("button", name="Remove Image").click()
    expect(page.get_by_role("group", name="View")).to_be_hidden()


def _box(page: Page, selector: str) -> list[float]:
    """Return left, top, width and height on the screen."""
    box: list[float] = page.locator(selector).evaluate(
        "e => { const r = e.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; }"
    )
    return box


def _in_frame(visit: Visit, demo: Demo, photo: Path) -> tuple[list[float], float]:
    """Upload a photograph; return the box of its frame, and the zoom at which it fits."""
    _upload(visit.page, photo)
    _says(visit.page, demo.verdict_for(photo))
    width, height = noise(1).size
    frame = _box(visit.page, "#image .image-frame")
    return frame, min(frame[2] / width, frame[3] / height)


def test_a_photograph_fills_the_page_and_zooms_to_its_pixels(
    visit: Visit, demo: Demo, photo: Path
) -> None:
    page = visit.page
    frame, fit = _in_frame(visit, demo, photo)
    percent = page.get_by_role("status", name="Zoom")
    assert frame[2] * frame[3] >= 0.2 * page.evaluate("innerWidth * innerHeight")
    rows = page.locator(".zoom button").evaluate_all("each => each.map((one) => one.offsetTop)")
    assert len(rows) == 6
    assert len(set(rows)) == 1, "the buttons take one row"
    expect(percent).to_have_text(f"{round(100 * fit)}\u00a0%")
    page.get_by_role("button", name="1:1").click()
    expect(percent).to_have_text("100\u00a0%")
    # The picture has the size of the frame, in which the photograph is as large as it fits.
    assert _box(page, "#image img")[2] / frame[2] == pytest.approx(1 / fit, rel=0.01)
    page.get_by_role("button", name="Fit").click()
    page.get_by_role("button", name="Zoom in").click(click_count=3)
    expect(percent).to_have_text(f"{min(1600, round(100 * fit * 1.5**3))}\u00a0%")
    expect(page.locator("#image img")).to_have_css("image-rendering", "pixelated")
    before = _box(page, "#image img")
    page.mouse.move(frame[0] + frame[2] / 2, frame[1] + frame[3] / 2)
    page.mouse.down()
    page.mouse.move(frame[0] + frame[2] / 2 - 30, frame[1] + frame[3] / 2 + 20)
    page.mouse.up()
    moved = _box(page, "#image img")
    assert [moved[0] - before[0], moved[1] - before[1]] == pytest.approx([-30, 20], abs=1)
    # Keys, two clicks and pinching zoom, too.
    button, picture = page.get_by_role("button", name="Fit"), page.locator("#image img")
    for key, zoom in (("0", fit), ("+", 1.5 * fit), ("-", fit), ("1", 1.0), ("0", fit)):
        button.press(key)
        expect(percent).to_have_text(f"{min(1600, round(100 * zoom))}\u00a0%")
    for zoom in (2 * fit, fit):
        picture.dblclick()
        expect(percent).to_have_text(f"{min(1600, round(100 * zoom))}\u00a0%")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -50)
    expect(percent).to_have_text(f"{min(1600, round(100 * fit * exp(50 / 200)))}\u00a0%")
    page.keyboard.up("Control")
    # Another image fills the frame again.
    page.get_by_role("group", name="Try one").get_by_role("button", name="Rolled").click()
    expect(page.get_by_role("button", name="Fit")).to_have_attribute("aria-pressed", "true")


def test_keys_move_a_photograph_to_its_edge_and_buttons_open_it(
    visit: Visit, demo: Demo, photo: Path
) -> None:
    page = visit.page
    frame, fit = _in_frame(visit, demo, photo)
    button = page.get_by_role("button", name="Fit")
    # Without Ctrl the wheel scrolls the page.
    page.mouse.move(frame[0] + frame[2] / 2, frame[1] + frame[3] / 2)
    page.mouse.wheel(0, -50)
    button.press("+")
    expected = f"{min(1600, round(150 * fit))}\u00a0%"
    expect(page.get_by_role("status", name="Zoom")).to_have_text(expected)
    for _ in range(4):
        button.press("+")
    before = _box(page, "#image img")
    button.press("ArrowLeft")
    assert _box(page, "#image img")[0] - before[0] == pytest.approx(60, abs=1)
    for _ in range(40):
        button.press("ArrowLeft")
    shown, (width, height) = _box(page, "#image img"), noise(1).size
    scale = min(shown[2] / width, shown[3] / height)
    left = shown[0] + (shown[2] - width * scale) / 2
    assert left == pytest.approx(frame[0], abs=1)
    with page.expect_file_chooser():
        page.get_by_role("button", name="Other image…").click()
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement?.id === 'viewer'")
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement === null")


GIVE_FILES = """
([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt());
    data.items.add(new File([bytes], name, {type: 'image/png'}));
  }
  const event = kind === 'paste'
    ? new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})
    : new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true});
  document.querySelector('footer').dispatchEvent(event);
}
"""


OVER_PAGE = """
(kind) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([''], 'photo.png'));
  document.body.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true}));
  return getComputedStyle(document.body, '::after').content !== 'none';
}
"""


def test_files_can_be_pasted_and_dropped_anywhere(
    visit: Visit, demo: Demo, photo: Path, tmp_path: Path
) -> None:
    page = visit.page
    Image.new("L", (80, 60), 128).save(tmp_path / "unknown.png")
    files = [
        (path.name, base64.b64encode(path.read_bytes()).decode())
        for path in (photo, tmp_path / "unknown.png")
    ]
    page.evaluate(GIVE_FILES, ["paste", files[:1]])
    _says(page, demo.verdict_for(photo))
    # The page shows that a file is over it, until it leaves.
    marks = [page.evaluate(OVER_PAGE, kind) for kind in ("dragenter", "dragleave")]
    assert marks == [True, False]
    # From another tab, over the image that is there.
    page.get_by_role("tab", name="Results").click()
    page.evaluate(GIVE_FILES, ["drop", files[1:]])
    _says(page, "Unknown surface")
    # Several are all answered, in the tab that takes several.
    page.evaluate(GIVE_FILES, ["drop", files])
    rows = page.get_by_role("grid", name="Answers").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="unknown.png")).to_contain_text("Unknown")
    # One file goes to the tab that is open.
    page.evaluate(GIVE_FILES, ["drop", files[:1]])
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("photo.png")


def test_a_class_shows_what_it_looks_like(visit: Visit) -> None:
    page = visit.page
    picture = page.get_by_alt_text("An example of Pitted")
    expect(picture).to_be_hidden()
    page.locator("#answer").get_by_role("button", name="Pitted").press("Enter")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 480)
    expect(page.get_by_role("heading", name="What does Pitted look like?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(picture).to_be_hidden()


def test_a_tiff_is_shown_although_browsers_cannot(visit: Visit, demo: Demo, tmp_path: Path) -> None:
    path = tmp_path / "photo.tiff"
    Image.fromarray(np.full((50, 2000), 40_000, np.uint16)).save(path)
    _upload(visit.page, path)
    _says(visit.page, demo.verdict_for(path))
    shown = visit.page.locator("#image img")
    expect(shown).to_have_js_property("naturalWidth", 1024)


def test_an_example_is_predicted_and_shown(visit: Visit, demo: Demo) -> None:
    page = visit.page
    page.get_by_role("group", name="Try one").get_by_role("button", name="Rolled").click()
    _says(page, demo.verdict_for(SPACE_FOLDER / "examples" / "Rolled.png"))
    expect(page.locator("#image img")).to_have_js_property("naturalWidth", 200)
    # By keyboard as well.
    page.get_by_role("group", name="Try one").get_by_role("button", name="Patches").press("Enter")
    _says(page, demo.verdict_for(SPACE_FOLDER / "examples" / "Patches.png"))


def test_a_bad_file_gets_words_and_the_next_one_an_answer(
    visit: Visit, demo: Demo, photo: Path, tmp_path: Path
) -> None:
    page = visit.page
    (tmp_path / "other.png").write_text("no image at all")
    _upload(page, tmp_path / "other.png")
    _says(page, "This file can’t be used")
    expect(page.locator("#answer")).to_contain_text("other.png")
    expect(page.locator("#answer")).to_contain_text("not an image in JPEG")
    _upload(page, photo)
    _says(page, demo.verdict_for(photo))


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("letter.txt", 10, "letter.txt is not an image. Choose a JPEG"),
        ("huge.png", MAX_FILE_BYTES + 1, "maximum allowed size"),
    ],
)
def test_what_gradio_refuses_is_explained(
    visit: Visit, tmp_path: Path, name: str, size: int, says: str
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(size)
    _upload(visit.page, tmp_path / name)
    expect(visit.page.get_by_test_id("toast-text")).to_contain_text(says)
    title = visit.page.locator(".toast-title")
    assert title.evaluate("e => getComputedStyle(e, '::after').content") == '"That didn’t work"'
    assert title.evaluate("e => getComputedStyle(e).fontSize") == "0px"
    _says(visit.page, "No image yet")


def test_the_results_tab_shows_numbers_first_and_the_rest_folded(visit: Visit) -> None:
    page = visit.page
    page.get_by_role("tab", name="Results").click()
    point = example_report().reliability
    assert point is not None
    expect(page.locator(".card b")).to_have_text(
        ["98.6 %", f"{100 * point.operating_point.automatic:.1f} %", "99.6 %", "97.5 %"]
    )
    expect(page.get_by_role("img", name="Errors rise to 1.4 %")).to_be_visible()
    figures = page.locator("#more-results img")
    expect(figures.first).to_be_hidden()
    page.get_by_text("All scores").press("Enter")
    expect(page.get_by_role("row", name="Accuracy")).to_contain_text("96.5–99.5 %")
    page.get_by_text("More figures").press("Enter")
    # The confusion matrix and the errors by coverage are drawn from their numbers.
    expect(figures).to_have_count(4)
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        expect(figure).to_have_js_property("complete", True)
        assert figure.evaluate("e => e.naturalWidth") > 500
        assert len(figure.get_attribute("alt") or "") > 20
    page.get_by_role("tab", name="One image").click()
    _says(page, "No image yet")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(
    demo: Demo, tab: Page, photo: Path, scheme: Literal["light", "dark"]
) -> None:
    """Contrast of at least 4.5, which WCAG 2.2 asks of text (criterion 1.4.3)."""
    tab.emulate_media(color_scheme=scheme)
    with visited(tab, demo.url) as visit:
        page = visit.page
        _upload(page, photo)
        _says(page, demo.verdict_for(photo))
        texts = (
            ".intro p",
            ".fact",
            ".look",
            ".zoom button",
            ".verdict",
            ".advice",
            ".note",
            ".share",
            "#examples small",
        )
        for text in (
            *texts,
            ".badge",
            "#examples button span",
            "button[role=tab][aria-selected=true]",
        ):
            assert _contrast(page, text) >= 4.5, text
        page.get_by_role("button", name="Show where the model looks").click()
        expect(page.locator("#heatmap .heat")).to_be_visible()
        check_accessibility(page)
        page.get_by_role("tab", name="Results").click()
        for summary in page.locator("#more-results summary").all():
            summary.click()
        check_accessibility(page)
        for text in (".card small", ".confusion .wrong", ".scores small", ".plot figcaption"):
            assert _contrast(page, text) >= 4.5, text
    tab.emulate_media(color_scheme="null")


def _contrast(page: Page, selector: str) -> float:
    """Return WCAG's contrast ratio between a text and what lies behind it."""
    colours = page.locator(selector).first.evaluate(
        """element => {
          const rgb = (colour) => {
            const canvas = new OffscreenCanvas(1, 1).getContext('2d');
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
          };
          const text = rgb(getComputedStyle(element).color);
          let ground = [255, 255, 255, 0];
          for (let e = element; e && !ground[3]; e = e.parentElement)
            ground = rgb(getComputedStyle(e).backgroundColor);
          return [text, ground];
        }"""
    )
    dark, light = sorted(_luminance(colour) for colour in colours)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: list[int]) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (level / 255 for level in colour[:3])
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
