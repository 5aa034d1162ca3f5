"""Inspect a collection from its files to the written report."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from pathlib import Path
from textwrap import fill
from typing import Literal

from datasets import Dataset, DatasetDict, concatenate_datasets

from model_card.schema.run.data import Leakage
from trainer.config.groups import DataConfig
from trainer.data.collection import Collection
from trainer.data.sources import collect_images
from trainer.data.splits.leakage import RANDOM_SPLITS, overlapping, random_split_leakage
from trainer.data.splits.overlap_groups import Surfaces, find_surfaces
from trainer.data.splits.split import SPLITS
from trainer.inspection import checks, corrections, page
from trainer.inspection.checks import ImageProperties
from trainer.inspection.label_errors import check_labels
from trainer.inspection.names import find_names_alike
from trainer.inspection.report.listing import list_findings
from trainer.inspection.report.schema import (
    ClassSchema,
    DataReport,
    Group,
    RandomSplit,
    SplitCount,
    open_output,
)
from trainer.monitoring.phases import PHASES
from trainer.runtime.files import disk_errors_explained

logger = logging.getLogger(__name__)


def run(
    data: DataConfig,
    output_dir: Path | None,
    predictions: Path | None,
    cache_dir: Path | None = None,
    feedback: Path | None = None,
) -> Path:
    """Inspect a folder of images, or a dataset on the Hub; return the path of the page.

    Raises:
        UserError: there are no images, or the report can't be written.
    """
    collection = collect_images(data)
    output = output_dir or Path("runs") / f"inspection-{collection.source.replace('/', '-')}"
    open_output(output, collection.folders)
    report, images = inspect(collection, predictions, cache_dir)
    if feedback is not None:
        summary = corrections.summarize(feedback, cache_dir)
        report = report.model_copy(update={"feedback": summary})
    PHASES.start("report")
    for finding in list_findings(report):
        logger.info("%s: %s", finding.level.upper(), finding.title)
        # The page explains all; what to do about a problem should not wait for it.
        if finding.level == "problem":
            logger.info("%s", fill(finding.text, 78, initial_indent="  ", subsequent_indent="  "))
    with disk_errors_explained(output, "Or name another folder with --output-dir."):
        report.write(output)
        return page.write(report, images, output)


def inspect(
    collection: Collection, predictions: Path | None, cache_dir: Path | None
) -> tuple[DataReport, Dataset]:
    """Build the report; return it and the readable images.

    Raises:
        DataError: the predictions don't fit the images.
    """
    unusable, converted = list(collection.unusable), []
    splits, facts = DatasetDict(), list[ImageProperties]()
    for name in (name for name in SPLITS if name in collection.splits):
        split = collection.splits[name]
        splits[name], facts_of_split, bad, odd = checks.check_images(split, name)
        facts += facts_of_split
        unusable += bad
        converted += odd
    images = concatenate_datasets(list(splits.values()))
    files, numbers = images["file"][:], images["label"][:]
    labels = [collection.labels[number] for number in numbers]
    labels_by_file = dict(zip(files, labels, strict=True))
    # Before the slow search, so that a wrong file is reported at once.
    label_check = check_labels(predictions, labels_by_file) if predictions else None
    duplicates = checks.find_duplicates(files, labels, facts)
    surfaces = find_surfaces(images, cache_dir) if files else Surfaces([], {})
    given_splits = len(splits) > 1
    report = DataReport(
        source=collection.source,
        images=len(images),
        splits=[_describe_split(name, split, collection.labels) for name, split in splits.items()],
        given_splits=given_splits,
        unusable=unusable,
        converted=converted,
        bit_depth=collection.depth.bits if collection.depth.images else None,
        depth_mixture=collection.depth.mixture(),
        layout_problems=collection.problems,
        layout_notes=collection.notes,
        names_alike=find_names_alike(collection.labels),
        classes=_describe_classes(collection.labels, labels, files, facts, surfaces),
        duplicates=duplicates,
        pairs=surfaces.pairs,
        groups=_groups(surfaces, labels_by_file),
        surfaces=len(set(surfaces.groups.values())),
        leakage=_leakage(splits, surfaces),
        random_split=None if given_splits else _random_split(surfaces, files, numbers),
        label_check=label_check,
    )
    return report, images


def _describe_classes(
    names: list[str],
    labels: list[str],
    files: list[str],
    facts: list[ImageProperties],
    surfaces: Surfaces,
) -> list[ClassSchema]:
    by_class: dict[str, list[ImageProperties]] = defaultdict(list)
    groups: dict[str, set[int]] = defaultdict(set)
    for label, file, each in zip(labels, files, facts, strict=True):
        by_class[label].append(each)
        groups[label].add(surfaces.groups[file])
    return [checks.describe_class(name, by_class[name], len(groups[name])) for name in names]


def _groups(surfaces: Surfaces, labels: dict[str, str]) -> list[Group]:
    members: dict[int, list[str]] = defaultdict(list)
    for file, group in surfaces.groups.items():
        members[group].append(file)
    found = [
        Group(files=files, labels=sorted({labels[file] for file in files}))
        for files in members.values()
        if len(files) > 1
    ]
    return sorted(found, key=lambda group: -len(group.files))


def _describe_split(
    name: Literal["train", "validation", "test"], split: Dataset, labels: list[str]
) -> SplitCount:
    counts = Counter(split["label"][:])
    by_class = {label: counts[number] for number, label in enumerate(labels)}
    return SplitCount(name=name, images=len(split), images_by_class=by_class)


def _leakage(splits: DatasetDict, surfaces: Surfaces) -> list[Leakage]:
    """Count, in each later split, the images that overlap one of an earlier split."""
    found = []
    earlier: set[str] = set(splits["train"]["file"][:]) if "train" in splits else set()
    for name in ("validation", "test"):
        if name not in splits or not len(splits[name]):
            continue
        later = set(splits[name]["file"][:])
        if earlier:
            found.append(
                Leakage(
                    split=name,
                    seen_in="training or validation"
                    if name == "test" and "validation" in splits
                    else "training",
                    images=len(overlapping(surfaces, later, earlier)),
                    of=len(later),
                )
            )
        earlier |= later
    return found


def _random_split(surfaces: Surfaces, files: list[str], numbers: list[int]) -> RandomSplit | None:
    if not files:
        return None
    share = DataConfig().test_fraction
    mean, deviation = random_split_leakage(surfaces, dict(zip(files, numbers, strict=True)), share)
    return RandomSplit(test_share=share, splits=RANDOM_SPLITS, mean=mean, deviation=deviation)
