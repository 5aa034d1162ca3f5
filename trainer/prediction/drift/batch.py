"""Compare a batch of predicted images with a baseline; `space.inference.drift` has the methods."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from model_card.formatting import counted, percent
from space.batch.row import ERROR
from space.inference.core.arrays import Floats, Pixels
from space.inference.core.classifier import Classifier
from space.inference.drift.baseline import BASELINE_FILE, Baseline, ImageReference
from space.inference.drift.cause import described
from space.inference.drift.comparison import DriftComparison, DriftReport
from space.inference.drift.image_statistics import image_statistics
from space.inference.model_folder import ModelFolder
from space.inference.predictor import Predictor
from trainer.config.paths import shown
from trainer.errors import ConfigError
from trainer.prediction.options import format_of
from trainer.prediction.pipeline import model_fingerprint
from trainer.prediction.row import OUTCOMES, Row
from trainer.prediction.row_file import RowFile
from trainer.text.names import printable

# The value of --baseline for the model's own baseline.
MODEL = "model"
NOT_LOOKED = (
    "Only confidence and novelty were compared: the baseline holds no statistics of its images."
)
WORDS = {key: name.words for key, name in OUTCOMES.items() if key != ERROR}


def published_baseline(classifier: Classifier) -> Baseline:
    """Return the baseline in the folder of a model.

    Raises:
        ConfigError: the model has none.
        ModelError: it is damaged.
    """
    if not isinstance(classifier, Predictor):
        raise ConfigError(
            "--baseline model: an exported file holds no baseline. Use the published folder with "
            "--model, or name a table of an earlier day with --baseline."
        )
    files = ModelFolder(classifier.folder)
    if not files.has(BASELINE_FILE):
        raise ConfigError(
            f"--baseline model: this model was published by an earlier version, without "
            f"{BASELINE_FILE}. Name a table of a good day with --baseline, or train it again."
        )
    baseline = files.read_json(BASELINE_FILE, Baseline)
    if baseline.labels != classifier.labels:
        raise ConfigError(f"{classifier.folder / BASELINE_FILE} belongs to another model.")
    return baseline


def table_baseline(classifier: Classifier, table: Path) -> Baseline:
    """Return the answers of an earlier batch as a baseline, with the image statistics of the model.

    Raises:
        ConfigError: the table is of another model, or holds no answer.
        UserError: it can't be read.
        ModelError: the model's own baseline is damaged.
    """
    labels = classifier.labels
    kind = format_of(table)
    if kind not in ("csv", "jsonl"):
        raise ConfigError(
            f"--baseline {shown(table)}: write `model`, or name a table, .csv or .jsonl."
        )
    several = classifier.facts.multi_label
    answers = RowFile(None, kind, labels, sys.stdout, several=several).read(table)
    rows = [row for row in answers if not row.error]
    model = model_fingerprint(classifier)
    if not rows or {row.model for row in rows} != {model}:
        raise ConfigError(
            f"--baseline {shown(table)} holds no answers of this model ({model}). Predict the "
            "images of a good day with it first."
        )
    novelty = [row.novelty for row in rows if row.novelty is not None]
    return Baseline(
        labels=labels,
        predicted=[labels.index(row.label or "") for row in rows],
        confidence=[row.confidence or 0.0 for row in rows],
        novelty=novelty if len(novelty) == len(rows) else None,
        verdicts=Counter(row.outcome for row in rows),
        images=_signatures(classifier),
    )


def _signatures(classifier: Classifier) -> ImageReference | None:
    """Return what names a cause; the images of a table were not measured."""
    if not isinstance(classifier, Predictor):
        return None
    if not ModelFolder(classifier.folder).has(BASELINE_FILE):
        return None
    images = published_baseline(classifier).images
    return images and images.model_copy(update={"classes": None, "statistics": None})


class BatchDrift:
    """The images of a batch, compared with a baseline as they are predicted.

    Args:
        baseline: the healthy images.
        source: what they are, in words.
    """

    def __init__(self, baseline: Baseline, source: str) -> None:
        self._comparison, self._source = DriftComparison(baseline), source
        self._statistics: dict[str, Floats] = {}

    def examine(self, name: str, inputs: Pixels) -> None:
        """Take what the network sees of an image; threads may call it in any order."""
        if self._comparison.baseline.images:
            self._statistics[name] = image_statistics(inputs)

    @classmethod
    def load(cls, classifier: Classifier, name: str) -> BatchDrift:
        """Return the comparison with what --baseline names: `model`, or a table of answers.

        Raises:
            UserError: there is no such baseline, or it is of another model.
            ModelError: the baseline of the model is damaged.
        """
        if name == MODEL:
            return cls(published_baseline(classifier), "the test images of the model")
        table = Path(name)
        return cls(table_baseline(classifier, table), f"the answers in {printable(table.name)}")

    def add(self, rows: Sequence[Row]) -> None:
        """Take answers, in the order of the images; unreadable images have none."""
        for row in rows:
            if row.label is None or row.confidence is None:
                continue
            statistics = self._statistics.pop(row.path, None)
            self._comparison.add(row.label, row.confidence, row.novelty, row.outcome, statistics)

    def sentences(self) -> tuple[str, ...]:
        """Return the report on all images so far."""
        report = self._comparison.report()
        if report is None:
            return ("Drift: no image could be compared.",)
        compared = (
            f"Drift {'found' if report.found else 'not found'}: "
            f"{counted(report.images, 'image')} compared with {self._source} "
            f"({counted(report.known_images, 'image')}), {report.p_words}."
        )
        found: tuple[str, ...] = (compared, _shares(report), _medians(report))
        if not report.looked:
            found = (*found, NOT_LOOKED)
        return (*found, _cause(report)) if report.found else found


def _cause(report: DriftReport) -> str:
    if report.causes is None:
        return "The baseline holds no image statistics, so no cause is estimated."
    return described(report.causes)


def _shares(report: DriftReport) -> str:
    shares = {key: report.shares[key] for key in WORDS if any(report.shares.get(key, ()))}
    words = [
        f"{WORDS[key]} {percent(share.batch)} (baseline {percent(share.baseline)})"
        for key, share in shares.items()
    ]
    return ", ".join(words).capitalize() + "."


def _medians(report: DriftReport) -> str:
    medians = {"confidence": report.confidence, "novelty": report.novelty}
    words = [
        f"median {name} {pair.batch:.2f} (baseline {pair.baseline:.2f})"
        for name, pair in medians.items()
        if pair is not None
    ]
    return f"{', '.join(words).capitalize()}."
