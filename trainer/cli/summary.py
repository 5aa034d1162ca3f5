"""The last lines of a command: the model's scores, and the next commands."""

from __future__ import annotations

import shlex
from pathlib import Path

from model_card.formatting import number
from model_card.schema.base import Score
from model_card.schema.reliability import Reliability
from model_card.schema.report import Report
from model_card.schema.run.test_result import TestResult
from trainer.runtime.invocation import command_line, space_command_line

WIDTH = 80
LABEL_WIDTH = 14


def summary(folder: Path, *, published: bool = False) -> str:
    """Return the scores of a finished run, and the commands that serve and publish it.

    All lines fit into 80 columns, except long paths.

    Args:
        folder: the published folder, with its report.
        published: whether the model is on the Hub already.
    """
    report = Report.read(folder)
    joined = report.cross_validation
    test, reliability = (
        (joined.all_images, joined.reliability) if joined else (report.test, report.reliability)
    )
    rows = _scores(test, "Out-of-fold" if joined else "Test accuracy")
    if joined is None and report.unseen_test is not None:
        rows.append(
            ("Without leak", _measured(report.unseen_test.accuracy, report.unseen_test.images))
        )
    if reliability is not None:
        rows += _decisions(reliability)
    commands = [("Card", [str(folder / "README.md")])]
    served = shlex.quote(f"local-dir:{folder}")
    commands.append(("Serve it", [f"MODEL_ID={served}", space_command_line()]))
    if not published:
        run_dir = shlex.quote(str(folder.parent))
        push = [f"{command_line('push.py')} --run-dir {run_dir}", "--repo-id USER/NAME"]
        commands.append(("Publish it", push))
    lines = [f"{label:{LABEL_WIDTH}}{_cut(text)}" for label, text in rows]
    return "\n".join(["", *lines, *(_command(label, words) for label, words in commands), ""])


def _scores(test: TestResult, title: str) -> list[tuple[str, str]]:
    accuracy = test.scores["accuracy"]
    worst = min(test.classes, key=lambda result: result.scores["sensitivity"].value)
    found = f"{number(worst.scores['sensitivity'].value)} % of {worst.images} images found"
    return [
        (title, _measured(accuracy, test.images)),
        ("Worst class", f"{found}: {worst.label}"),
    ]


def _measured(score: Score, images: int) -> str:
    interval = f"{number(score.low)}–{number(score.high)} %"
    return f"{number(score.value)} % (95 % interval {interval}) on {images} images"


def _decisions(reliability: Reliability) -> list[tuple[str, str]]:
    point = reliability.operating_point
    person = point.unsure.value + point.unknown.value
    rows = [
        (
            "To a person",
            f"{number(person)} % of the images (unsure {number(point.unsure.value)} %, "
            f"unknown {number(point.unknown.value)} %)",
        )
    ]
    if point.automatic_accuracy is not None:
        share = number(point.automatic_accuracy.value)
        rows.append(("Automatic", f"{share} % of the other images are answered correctly"))
    return rows


def _cut(text: str) -> str:
    """Shorten a text that would not fit, such as a long class name."""
    room = WIDTH - LABEL_WIDTH
    return text if len(text) <= room else text[: room - 1] + "…"


def _command(label: str, words: list[str]) -> str:
    """Return a path or command after its label; if it is long, on the lines below."""
    line = f"{label:{LABEL_WIDTH}}{' '.join(words)}"
    return line if len(line) <= WIDTH else f"{label}\n  " + " \\\n    ".join(words)
