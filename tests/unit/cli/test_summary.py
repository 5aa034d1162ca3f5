"""The last lines of a command say what the report says, within 80 columns."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from model_card.schema.report import Report
from model_card.schema.run.test_result import UnseenTest
from tests.support.reports import LABELS, example_cross_validation, example_report, wilson
from trainer.cli.summary import summary


def _decided(report: Report, **changes: object) -> Report:
    assert report.reliability is not None
    point = report.reliability.operating_point.model_copy(update=changes)
    reliability = report.reliability.model_copy(update={"operating_point": point})
    return report.model_copy(update={"reliability": reliability})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published folder whose numbers all differ: 284 of 288, 6.9 + 2.8 %, 99.2 %."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/first/published")
    folder.mkdir(parents=True)
    numbers = {
        "unsure": wilson(20, 288),
        "unknown": wilson(8, 288),
        "automatic_accuracy": wilson(258, 260),
    }
    _decided(example_report(), **numbers).write(folder)
    return folder


def test_it_says_what_the_report_says(folder: Path) -> None:
    assert summary(folder).splitlines() == [
        "",
        "Test accuracy 98.6 % (95 % interval 96.5–99.5 %) on 288 images",
        "Worst class   95.8 % of 48 images found: Pitted",
        "To a person   9.7 % of the images (unsure 6.9 %, unknown 2.8 %)",
        "Automatic     99.2 % of the other images are answered correctly",
        "Card          runs/first/published/README.md",
        "Serve it      MODEL_ID=local-dir:runs/first/published python space/app.py",
        "Publish it    python trainer/push.py --run-dir runs/first --repo-id USER/NAME",
    ]


def test_a_leak_shows_the_score_without_it(folder: Path) -> None:
    unseen = UnseenTest(images=211, accuracy=wilson(199, 211))
    Report.read(folder).model_copy(update={"unseen_test": unseen}).write(folder)
    lines = summary(folder).splitlines()
    assert lines[3] == "Without leak  94.3 % (95 % interval 90.3–96.7 %) on 211 images"


def test_what_is_published_is_not_to_be_published(folder: Path) -> None:
    text = summary(folder, published=True)
    assert "Serve it" in text
    assert "push.py" not in text


def test_folds_are_summed_up_together(folder: Path) -> None:
    joined = example_cross_validation()
    Report.read(folder).model_copy(update={"cross_validation": joined}).write(folder)
    lines = summary(folder).splitlines()
    assert lines[1].startswith("Out-of-fold   97.9 % (95 % interval ")
    assert lines[1].endswith(" on 576 images")
    # Of the 96 scratches, 90 were found.
    assert lines[2] == "Worst class   93.8 % of 96 images found: Scratches"


def test_a_report_without_decisions_has_none(folder: Path) -> None:
    Report.read(folder).model_copy(update={"reliability": None}).write(folder)
    assert "To a person" not in summary(folder)


def test_where_nothing_is_automatic_no_share_of_it_is_given(folder: Path) -> None:
    _decided(Report.read(folder), automatic_accuracy=None).write(folder)
    assert "Automatic" not in summary(folder)


def test_long_names_are_cut_and_commands_stay_whole(tmp_path: Path) -> None:
    folder = tmp_path / ("deep folder/" * 6) / "published"
    folder.mkdir(parents=True)
    labels = [*LABELS[:3], "a class whose name is much longer than a line" * 2, *LABELS[4:]]
    example_report(labels=labels).write(folder)
    text = summary(folder)
    place = str(folder.parent)
    assert all(len(line) <= 80 or place in line for line in text.splitlines())
    serve = text.partition("Serve it\n")[2].partition("Publish it")[0]
    assert shlex.split(serve.replace("\\\n", " ")) == [
        f"MODEL_ID=local-dir:{folder}",
        "python",
        "space/app.py",
    ]
    push = text.partition("Publish it\n")[2]
    assert shlex.split(push.replace("\\\n", " "))[2:4] == ["--run-dir", place]
