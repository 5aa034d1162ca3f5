"""Render a report as the model card (README.md) of a model on the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from model_card import formatting
from model_card.front_matter import card_data
from model_card.promises import missed_promises
from model_card.schema.checks import Checks
from model_card.schema.report import Report
from model_card.schema.run.test_result import ClassResult, TestResult

CARD_FILE = "README.md"
TEMPLATE_FILE = "card.md.jinja"


@dataclass(frozen=True)
class Outcome:
    """Predictions of one class: correct ones, misses and false alarms.

    Attributes:
        result: scores of the class.
        correct: number of its images with the correct prediction.
        missed: wrong predictions of its images, each with its count, the most frequent first.
        alarms: true classes of the images wrongly predicted as this class, likewise.
    """

    result: ClassResult
    correct: int
    missed: list[tuple[str, int]]
    alarms: list[tuple[str, int]]

    @property
    def wrong(self) -> int:
        """Number of misses and false alarms."""
        return self.result.images + self.result.predicted - 2 * self.correct


def write_card(folder: Path, repo_id: str | None = None, space_id: str | None = None) -> None:
    """Write README.md beside the report.json in `folder`, whole or not at all; see `render_card`.

    Raises:
        FileNotFoundError: the folder has no report.
        pydantic.ValidationError: a value of the report is missing, unknown or out of range.
    """
    card = render_card(Report.read(folder), repo_id, space_id)
    # A symbolic link in its place is replaced; the file it points to stays as it is.
    partial = folder / f".{CARD_FILE}.partial"
    partial.unlink(missing_ok=True)
    partial.write_text(card, encoding="utf-8", newline="\n")
    partial.replace(folder / CARD_FILE)


def render_card(report: Report, repo_id: str | None = None, space_id: str | None = None) -> str:
    """Return the card as Markdown with YAML front matter.

    Args:
        report: source of every number in the card.
        repo_id: repository of the model on the Hub, as `user/name`; without it, the card's example
            loads the model from the current folder.
        space_id: Space that serves the model, as `user/name`, to link to.

    Raises:
        jinja2.UndefinedError: the template uses a value that the report lacks.
        ValueError: a value that the template shows is None.
    """
    owner, _, name = (repo_id or report.model.architecture).rpartition("/")
    body = (
        _environment()
        .get_template(TEMPLATE_FILE)
        .render(
            **{part: getattr(report, part) for part in Report.model_fields if part != "figures"}
            | _checks_of_all_folds(report),
            checks=list(Checks.model_fields),
            figures={PurePosixPath(figure.file).stem: figure for figure in report.figures},
            splits={split.name: split for split in report.data.splits},
            missed=missed_promises(report),
            rarest=_rarest(report),
            unvalidated=[
                label
                for split in report.data.splits
                for label, images in split.images_by_class.items()
                if split.name == "validation" and not images
            ],
            outcomes=_outcomes(report.test),
            published=next(epoch for epoch in report.training.epochs if epoch.published),
            decimals=formatting.decimals_for(report.test.images),
            name=name,
            owner=owner or None,
            repo_id=repo_id,
            space_id=space_id,
            model_id=f"hf-hub:{repo_id}" if repo_id else "local-dir:.",
        )
    )
    return f"---\n{card_data(report, name).to_yaml()}\n---\n\n{body}"


def _rarest(report: Report) -> list[str]:
    """Return the classes, those with the fewest training images first."""
    counts = next(split.images_by_class for split in report.data.splits if split.name == "train")
    return sorted(report.model.labels, key=lambda label: counts.get(label, 0))


def _checks_of_all_folds(report: Report) -> dict[str, Any]:
    """Return the facts of the checks: of all folds of a cross-validation, if there is one."""
    best = report.cross_validation or report
    return {name: getattr(best, name) for name in Checks.model_fields}


@cache
def _environment() -> Environment:
    """Return a Jinja environment that escapes every value and rejects missing ones.

    huggingface_hub's own `ModelCard.from_template` does neither.
    """
    environment = Environment(
        loader=PackageLoader("model_card.sections", package_path=""),
        undefined=StrictUndefined,
        # The results of `finalize` and of macros count as escaped; nothing is escaped twice.
        autoescape=True,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        function.__name__: function
        for function in (
            formatting.area,
            formatting.area_interval,
            formatting.counted,
            formatting.duration,
            formatting.enumeration,
            formatting.fenced,
            formatting.interval,
            formatting.megabytes,
            formatting.mid_sentence,
            formatting.percent,
            formatting.percent_interval,
            formatting.shortlist,
        )
    }
    return environment


def _finalize(value: object) -> Markup:
    """Escape the value of a template expression, unless it is Markdown already."""
    if value is None:
        raise ValueError("The card's template shows a value that is not known (None).")
    return value if isinstance(value, Markup) else formatting.escaped(str(value))


def _outcomes(test: TestResult) -> list[Outcome]:
    """Return the outcome of each class in the model's order."""
    labels = [result.label for result in test.classes]

    def others(counts: list[int], own: int) -> list[tuple[str, int]]:
        pairs = [(labels[i], n) for i, n in enumerate(counts) if n and i != own]
        return sorted(pairs, key=lambda pair: -pair[1])

    columns = [list(column) for column in zip(*test.confusion, strict=True)]
    return [
        Outcome(
            result=result,
            correct=test.confusion[i][i],
            missed=others(test.confusion[i], i),
            alarms=others(columns[i], i),
        )
        for i, result in enumerate(test.classes)
    ]
