"""The words and HTML of the web page, and what it finds in a published folder."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import astuple
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from PIL import Image

import space
from model_card import formatting
from space import model_report
from space.inference.attribution import COLORS
from space.inference.core.decision import Prediction
from space.model_identity import Identity, identify
from space.ui import heatmap_panel, page, rendering, results
from tests.support.reliability_facts import example_several_defects
from tests.support.reports import LABELS, example_data, example_report, example_surfaces, wilson

SPACE = Path(space.__path__[0])
ROOT = SPACE.parent
HOSTILE = "<img src=x onerror=alert(1)>&\"'"


def _text(html: str) -> str:
    """Return what a reader sees, on one line."""
    words = re.sub(r"<[^>]+>", " ", html.replace("&nbsp;", " ").replace("&lt;", "<"))
    return re.sub(r"\s+", " ", words.replace("&gt;", ">")).strip()


@given(st.floats(0, 1))
def test_a_score_is_written_as_on_the_card(fraction: float) -> None:
    assert rendering.score(fraction) == formatting.number(fraction)
    assert rendering.area(fraction) == formatting.area(fraction)


@pytest.mark.parametrize(
    "html",
    [
        page.header(Identity(HOSTILE, HOSTILE, HOSTILE, HOSTILE), [HOSTILE], None),
        page.references({HOSTILE: ""}, HOSTILE),
        page.figure(HOSTILE, HOSTILE, Image.new("RGB", (4, 4))),
        page.example_buttons([(HOSTILE, page.thumbnail(Image.new("RGB", (4, 4))))], "drawn"),
        heatmap_panel.panel(Image.new("RGBA", (2, 2)), HOSTILE, COLORS),
        heatmap_panel.problem(HOSTILE),
        page.scores_table(
            model_report.Report.model_validate(
                example_report().model_dump()
                | {
                    "metrics": [
                        {"name": "f1", "title": HOSTILE, "meaning": HOSTILE, "percent": True}
                    ]
                }
            )
        ),
    ],
)
def test_names_from_outside_are_shown_and_not_obeyed(html: str) -> None:
    # A browser shows a line break between two tags as a space.
    assert "\n" not in html
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;&#34;&#39;" in html


@pytest.mark.parametrize(
    ("label", "verdict", "caption"),
    [
        ("Rolled", "class", "Rolled"),
        ("Pitted", "class", "Rolled – wrong"),
        ("Rolled", "unsure", "Rolled – unsure"),
        ("Pitted", "unsure", "Rolled – unsure"),
        ("Rolled", "unknown", "Rolled – unknown"),
    ],
)
def test_an_example_says_where_the_prediction_is_not_correct(
    label: str, verdict: Literal["class", "unsure", "unknown"], caption: str
) -> None:
    probabilities = {name: 0.9 if name == label else 0.02 for name in LABELS}
    prediction = Prediction(probabilities, verdict=verdict)
    assert page.example_caption("Rolled", LABELS, prediction) == caption


def test_an_example_of_no_class_is_never_called_a_mistake() -> None:
    prediction = Prediction(dict.fromkeys(LABELS, 1 / 6))
    assert page.example_caption("coil 7", LABELS, prediction) == "coil 7"


def test_the_header_names_the_model_its_version_and_its_accuracy() -> None:
    report = model_report.Report.model_validate(example_report().model_dump())
    model = Identity("ada/steel", "https://hub/ada/steel", "1a2b3c4", "7 May 2026")
    html = page.header(model, LABELS, report)
    assert "Model ada/steel Version 1a2b3c4 Trained 7 May 2026 6 classes" in _text(html)
    assert "Test accuracy 98.6 % ( 96.5–99.5 % )" in _text(html)
    assert 'href="https://hub/ada/steel"' in html
    assert "drawings" not in html.lower()


def test_a_model_of_drawings_says_so() -> None:
    drawn = example_report(data=example_data(kind="drawn"))
    report = model_report.Report.model_validate(drawn.model_dump())
    text = _text(page.header(Identity("atto"), LABELS, report))
    assert "Demo only. This model was trained on drawings." in text


COMMIT = "1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b"


@pytest.mark.parametrize(
    ("model_id", "folder", "expected"),
    [
        (
            "hf-hub:ada/steel",
            f"models--ada--steel/snapshots/{COMMIT}",
            ("ada/steel", "https://huggingface.co/ada/steel", "1a2b3c4", "20 November 2026"),
        ),
        (
            "hf-hub:ada/steel@v2",
            f"models--ada--steel/snapshots/{COMMIT}",
            (
                "ada/steel",
                "https://huggingface.co/ada/steel/tree/v2",
                "1a2b3c4",
                "20 November 2026",
            ),
        ),
        (
            "local-dir:runs/first/published",
            "runs/first/published",
            ("convnext_atto", None, None, "20 November 2026"),
        ),
    ],
)
def test_a_model_is_identified_without_jargon(
    model_id: str, folder: str, expected: tuple[str | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://huggingface.co")
    report = model_report.Report.model_validate(example_report().model_dump())
    assert astuple(identify(model_id, Path(folder), report)) == expected
    bare = identify("local-dir:x", Path("x"), None)
    assert astuple(bare) == ("Local model", None, None, None)


def test_the_class_of_an_example_is_certain_or_none() -> None:
    labels = ["Rolled", "oil/water", "a:b", "a?b"]
    assert model_report.class_of(Path("examples/Rolled.png"), labels) == "Rolled"
    assert model_report.class_of(Path("oil_water.png"), labels) == "oil/water"
    assert model_report.class_of(Path("a_b.png"), labels) is None
    assert model_report.class_of(Path("coil 7.png"), labels) is None


def test_the_table_holds_every_score_with_its_interval() -> None:
    report = model_report.Report.model_validate(example_report().model_dump())
    text = _text(page.scores_table(report))
    auc = report.test.scores["auc"]
    assert "Accuracy share of images classified correctly 98.6 % 96.5–99.5 %" in text
    assert "Error rate share of images classified incorrectly 1.4 % 0.5–3.5 %" in text
    assert f"{auc.value:.3f} {auc.low:.3f}–{auc.high:.3f}" in text
    names = ["Sensitivity", "Specificity", "Precision", "F1", "AUC"]
    assert all(f" {name} " in text for name in names)


def test_a_perfect_score_is_written_as_such() -> None:
    confusion = [[5 if row == column else 0 for column in range(6)] for row in range(6)]
    report = model_report.Report.model_validate(example_report(confusion).model_dump())
    assert "correctly 100 % 88.6–100 %" in _text(page.scores_table(report))


def test_the_four_numbers_are_those_of_the_report() -> None:
    report = model_report.Report.model_validate(example_report().model_dump())
    text = _text(results.results(report))
    assert "Measured on 288 test images" in text
    assert "Accuracy 98.6 % 96.5–99.5 %" in text
    assert "Answered automatically 92.4 % a person reviews the rest" in text
    assert "Accuracy on these 99.6 % 97.9–99.9 %" in text
    assert "Unknown surfaces detected 97.5 % noise, the hardest of 2 kinds" in text


def test_scores_that_leak_are_not_shown_without_a_warning() -> None:
    def shown(**changes: Any) -> str:
        surfaces = example_surfaces(leaking=200)
        full = example_report(data=example_data(division="given", surfaces=surfaces), **changes)
        return _text(results.results(model_report.Report.model_validate(full.model_dump())))

    warning = "The scores are too good. 200 of these images show a piece of surface that the model"
    unseen = "On the other 88, its accuracy is 90.9 % (83.1–95.3 %)."
    measured = {"images": 88, "accuracy": wilson(80, 88)}
    assert warning in shown()
    assert "On the other" not in shown()
    assert f"{warning} has seen in training. {unseen}" in shown(unseen_test=measured)
    clean = model_report.Report.model_validate(example_report().model_dump())
    assert "too good" not in results.results(clean)


def test_kinds_that_are_all_detected_have_no_hardest() -> None:
    full = example_report().model_dump()
    for kind in full["reliability"]["ood_detection"]["kinds"]:
        kind["rejected"]["value"] = 1
    text = _text(results.results(model_report.Report.model_validate(full)))
    assert "Unknown surfaces detected 100 % each of 2 kinds" in text


def test_each_class_has_its_own_scores() -> None:
    full = example_report()
    report = model_report.Report.model_validate(full.model_dump())
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", results.results(report))
    for result, row in zip(full.test.classes, rows, strict=False):
        scores = [result.scores[name] for name in ("sensitivity", "precision", "f1")]
        numbers = " ".join(
            f"{formatting.number(s.value)} % {formatting.number(s.low)}–"
            f"{formatting.number(s.high)} %"
            for s in scores
        )
        assert _text(row) == f"{result.label} {result.images} {numbers}"


CONFUSED = [
    [46, 1, 0, 0, 1, 0],
    [0, 41, 0, 1, 0, 6],
    [0, 0, 48, 0, 0, 0],
    [0, 1, 1, 45, 1, 0],
    [0, 0, 0, 0, 48, 0],
    [0, 12, 0, 0, 0, 36],
]


def test_the_mistakes_are_the_most_frequent_and_the_most_confident() -> None:
    full = example_report(CONFUSED)
    report = model_report.Report.model_validate(full.model_dump())
    html = results.results(report)
    text = _text(html)
    assert "Scratches → Inclusion 12 of 48 Inclusion → Scratches 6 of 48" in text
    confident = [f"{each.file} {each.label} → {each.prediction}" for each in full.test.mistakes]
    assert all(each in text for each in confident[: results.MOST_MISTAKES])
    assert confident[results.MOST_MISTAKES] not in text
    # Each cell of the matrix, in its place.
    rows = re.findall(r"<tr><th scope=\"row\">[^<]*</th>(<td class=.*?)</tr>", html)
    cells = [[int(n.replace("·", "0")) for n in re.findall(r">([\d·]+)<", row)] for row in rows]
    assert cells == CONFUSED


def test_the_curve_ends_at_the_error_of_all_images() -> None:
    report = model_report.Report.model_validate(example_report().model_dump())
    html = results.results(report)
    [points] = re.findall(r'<polyline points="([^"]+)"', html)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    # Coverage 0.5, 0.9236 and 1; risk 0, 0.38 and 1.39 % on a scale up to 1.5 %.
    assert places == [(222.0, 200.0), (362.6, 154.4), (388.0, 33.2)]
    # 92.36 % answered with 0.38 % errors.
    assert '<circle cx="362.6" cy="154.4"' in html
    assert "Errors rise to 1.4 % if all test images are answered." in html


def test_without_errors_a_sentence_below_the_matrix_replaces_the_curve() -> None:
    dumped = example_report().model_dump()
    curve = dumped["reliability"]["operating_point"]["curve"]
    curve["risk"] = [0.0] * len(curve["risk"])
    html = results.results(model_report.Report.model_validate(dumped))
    assert "None: all test images are classified correctly." in html
    assert "<polyline" not in html
    assert "Errors by the share" not in html
    # The two figures that are left stand beside the table.
    assert '<div class="results faultless">' in html
    curve["risk"] = curve["coverage"] = []
    html = results.results(model_report.Report.model_validate(dumped))
    assert "Errors by the share" not in html
    assert "None: all test images" not in html


def test_a_report_without_further_facts_shows_what_it_has() -> None:
    bare = example_report().model_dump(include={"data", "test", "figures"})
    bare["test"] = {"images": 288, "scores": bare["test"]["scores"]}
    text = _text(results.results(model_report.Report.model_validate(bare)))
    assert "Accuracy 98.6 %" in text
    assert "automatically" not in text
    assert "confused" not in text


def test_a_report_of_several_defects_shows_them() -> None:
    several = example_several_defects(LABELS)
    changes = {"reliability": None, "several_defects": several}
    dumped = example_report().model_copy(update=changes).model_dump()
    report = model_report.Report.model_validate(dumped)
    text = _text(results.results(report))
    assert "Exactly the defects named 86.1 %" in text
    assert "Second defects named 47.8 %" in text
    assert "Defects ruled out 1.2 % promised: at most 5 %" in text
    assert "those of the most probable class of each image alone" in text


# What a folder holds.


def _put_pictures(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / name)


def test_a_folder_without_extras_has_none(tmp_path: Path) -> None:
    assert model_report.read_report(tmp_path) is None
    assert model_report.find_figures(tmp_path, None) == []
    assert results.results(None).count("without test results") == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b'{"test": NaN}', b"\xff\xfe"])
def test_a_report_that_cannot_be_read_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "report.json").write_bytes(content)
    assert model_report.read_report(tmp_path) is None
    assert str(tmp_path / "report.json") in caplog.text


def test_the_report_of_this_project_is_read(tmp_path: Path) -> None:
    example_report().write(tmp_path)
    report = model_report.read_report(tmp_path)
    assert report is not None
    assert report.test.scores["accuracy"].value == pytest.approx(284 / 288)


def test_figures_come_in_the_order_of_the_report_then_by_name(tmp_path: Path) -> None:
    example_report().write(tmp_path)
    _put_pictures(
        tmp_path / "figures", "a_new_one.png", "confusion_matrix.png", "learning_curves.png"
    )
    (tmp_path / "figures" / "notes.txt").write_text("no picture")
    figures = model_report.find_figures(tmp_path, model_report.read_report(tmp_path))
    assert [(figure.path.name, figure.title) for figure in figures] == [
        ("learning_curves.png", "Learning curves"),
        ("confusion_matrix.png", "Confusion matrix"),
        ("a_new_one.png", "A new one"),
    ]
    assert figures[0].alt == "What the picture of Learning curves shows"


def test_a_large_figure_is_scaled_down_before_it_is_sent() -> None:
    html = page.figure("Curves", "Two lines", Image.new("RGB", (4000, 1000)))
    found = re.search(r'src="data:image/webp;base64,([^"]+)"', html)
    assert found
    assert Image.open(io.BytesIO(base64.b64decode(found[1]))).size == (page.FIGURE_PX, 400)
    assert f'width="{page.FIGURE_PX}" height="400"' in html


def test_links_out_of_the_folder_are_neither_figures_nor_examples_nor_a_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _put_pictures(tmp_path, "secret.png")
    (tmp_path / "report.json").write_text("{}")
    folder = tmp_path / "published"
    secret = str(tmp_path / "secret.png")
    targets = ("/proc/self/environ", "/etc/passwd", secret, "nowhere", "a.png")
    for kind in ("figures", "examples"):
        _put_pictures(folder / kind, "own.png")
        for number, target in enumerate(targets):
            (folder / kind / f"{number}.png").symlink_to(target)
        (folder / kind / "inner.png").symlink_to("own.png")
    (folder / "report.json").symlink_to(tmp_path / "report.json")
    assert model_report.read_report(folder) is None
    figures = model_report.find_figures(folder, None)
    assert [figure.path.name for figure in figures] == ["inner.png", "own.png"]
    examples = model_report.find_examples(folder, LABELS, None).files
    assert [path.name for path in examples] == ["inner.png", "own.png"]
    assert caplog.text.count("figures/0.png, figures/1.png, figures/2.png and 2 more") == 1
    # The whole folder may be a link, too.
    (folder / "figures").rename(tmp_path / "figures")
    (folder / "figures").symlink_to(tmp_path / "figures")
    assert model_report.find_figures(folder, None) == []


def test_a_report_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    _put_pictures(tmp_path, "secret.png")
    folder = tmp_path / "published"
    _put_pictures(folder / "figures")
    report = example_report()
    astray = report.figures[0].model_copy(update={"file": "figures/../../secret.png"})
    report.model_copy(update={"figures": [astray]}).write(folder)
    assert model_report.find_figures(folder, model_report.read_report(folder)) == []


def test_the_examples_of_the_model_go_before_the_bundled_ones(tmp_path: Path) -> None:
    bundled = model_report.find_examples(tmp_path, [*LABELS[:3], "Rust"], None)
    assert [path.stem for path in bundled.files] == LABELS[:3]
    assert bundled.origin == "drawn, not photographed"
    _put_pictures(tmp_path / "examples", *(f"{number:02}.png" for number in range(20)))
    own = model_report.find_examples(tmp_path, LABELS, None)
    assert [path.stem for path in own.files] == [f"{number:02}" for number in range(12)]
    assert own.origin == "published with the model"


@pytest.mark.parametrize(
    ("kind", "origin"),
    [("folder", "from the test images"), ("drawn", "from the test images, drawn by a program")],
)
def test_examples_say_where_they_come_from(tmp_path: Path, kind: str, origin: str) -> None:
    example_report(data=example_data(kind=kind)).write(tmp_path)
    _put_pictures(tmp_path / "examples", "Rolled.png")
    report = model_report.read_report(tmp_path)
    assert model_report.find_examples(tmp_path, LABELS, report).origin == origin


# What the Hub reads.


def test_the_versions_of_the_space_are_those_under_test() -> None:
    lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for requirement in required:
        assert requirement.specifier.contains(version(requirement.name)), str(requirement)
    front_matter = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert f"gradio=={front_matter['sdk_version']}\n" in (ROOT / "constraints.txt").read_text()
    assert (SPACE / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60, "the Hub refuses longer ones"
