"""Join corrected images to the training split, guarded by the overlap search.

The splits are made before, without them: test and validation are those of a run without
`--feedback`, so that accuracies compare.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, DatasetDict, concatenate_datasets
from pydantic import BaseModel

from model_card.formatting import counted, shortlist
from model_card.schema.run import data
from trainer.data.corrected_images import (
    Feedback,
    as_rows,
    read_feedback,
    without_class,
)
from trainer.data.images.bit_depth import COLUMN
from trainer.data.splits.leakage import overlapping
from trainer.data.splits.overlap_groups import Surfaces, find_surfaces
from trainer.errors import DataError
from trainer.runtime.files import replaced_whole

logger = logging.getLogger(__name__)

FEEDBACK_FILE = "feedback.json"


class Taken(BaseModel):
    """A corrected image in the training split."""

    file: str
    label: str
    group: int


class Record(BaseModel):
    """What a run took from its feedback; a resumed run takes the same."""

    facts: data.Feedback
    taken: list[Taken]

    @property
    def files(self) -> set[str]:
        """The names of the corrected images in the training split."""
        return {each.file for each in self.taken}

    def write(self, run_dir: Path) -> None:
        """Write `feedback.json`, whole or not at all."""
        with replaced_whole(run_dir / FEEDBACK_FILE) as partial:
            partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Joined:
    """The training split with corrected images.

    Attributes:
        train: the rows of the data, then the corrected ones.
        record: what was taken, and what was not.
    """

    train: Dataset
    record: Record


def join(folder: Path, splits: DatasetDict, cache_dir: Path | None, *, skip_bad: bool) -> Joined:
    """Join the corrected images of a folder to the training split.

    Args:
        folder: see `read_feedback`.
        splits: of the data, with the column `group`; they are not changed.
        cache_dir: of overlap searches.
        skip_bad: whether to leave out damaged files instead of stopping.

    Raises:
        DataError: the folder can't be used, or has damaged files.
    """
    feedback = read_feedback(folder)
    labels = splits["train"].features["label"].names
    named = ((image, image.label) for image in feedback.images)
    usable = [(image, label) for image, label in named if label is not None and label in labels]
    depth = int(splits["train"][COLUMN][0])
    rows, unread = as_rows(usable, labels, depth)
    damaged = [*feedback.damaged, *unread]
    if damaged and not skip_bad:
        lines = "\n".join(f"  {bad.file}: {bad.reason}" for bad in damaged)
        raise DataError(
            f"{counted(len(damaged), 'file')} of --feedback {folder} can't be used:\n{lines}\n"
            "Remove them, or pass --skip-bad-images to train without them."
        )
    everything = concatenate_datasets([split.remove_columns("group") for split in splits.values()])
    surfaces = find_surfaces(_pooled(everything, rows), cache_dir)
    guard = _Guard(splits, rows, surfaces)
    taken = guard.taken()
    facts = _facts(feedback, labels, damaged, guard, taken)
    _log(facts)
    return Joined(with_rows(splits["train"], rows, taken), Record(facts=facts, taken=taken))


def rejoin(folder: Path, splits: DatasetDict, run_dir: Path) -> Joined:
    """Join what the run in `run_dir` took when it started.

    Raises:
        DataError: its record or an image is missing or damaged.
    """
    file = run_dir / FEEDBACK_FILE
    try:
        record = Record.model_validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file}, the list of corrected images that the run took, is missing or damaged. Start "
            "a new run."
        ) from error
    found = {image.file: image for image in read_feedback(folder).images}
    if missing := sorted(record.files - found.keys()):
        raise DataError(
            f"{counted(len(missing), 'corrected image')} of the run in {run_dir} "
            f"{'is' if len(missing) == 1 else 'are'} not in --feedback {folder} any more: "
            f"{shortlist(missing, 5)}. Restore the folder, or start a new run."
        )
    images = [(found[each.file], each.label) for each in record.taken]
    labels = splits["train"].features["label"].names
    rows, _ = as_rows(images, labels, int(splits["train"][COLUMN][0]))
    return Joined(with_rows(splits["train"], rows, record.taken), record)


def with_rows(train: Dataset, rows: Dataset, taken: list[Taken]) -> Dataset:
    """Return the training split with those of the rows that are taken."""
    if not taken:
        return train
    place = {file: index for index, file in enumerate(rows["file"][:])}
    chosen = rows.select([place[each.file] for each in taken])
    chosen = chosen.add_column("group", [each.group for each in taken])
    return concatenate_datasets([train, _like(train, chosen)])


def _pooled(images: Dataset, rows: Dataset) -> Dataset:
    return concatenate_datasets([images, _like(images, rows)]) if len(rows) else images


def _like(images: Dataset, rows: Dataset) -> Dataset:
    return rows.select_columns(images.column_names).cast(images.features)


class _Guard:
    """Decides which rows may join the training split."""

    def __init__(self, splits: DatasetDict, rows: Dataset, surfaces: Surfaces) -> None:
        self.surfaces = surfaces
        names = rows.features["label"].names
        self.labels = dict(zip(rows["file"][:], (names[n] for n in rows["label"][:]), strict=True))
        train = splits["train"]
        self.trained = dict(
            zip(train["file"][:], (names[n] for n in train["label"][:]), strict=True)
        )
        self.train_groups = dict(zip(train["file"][:], train["group"][:], strict=True))
        held_out = {file for name in ("validation", "test") for file in splits[name]["file"][:]}
        groups = surfaces.groups
        # Directly or in a chain of images, as for the splits themselves.
        held = {groups[file] for file in held_out}
        self.overlapping = {file for file in self.labels if groups[file] in held}
        rest = self.labels.keys() - self.overlapping
        self.contradicting = self._contradicting(rest)
        self.known = self._known(rest - self.contradicting)
        self.first_new = 1 + max(max(split["group"][:], default=0) for split in splits.values())

    def _contradicting(self, files: set[str]) -> set[str]:
        """Return the files that share surface with an image of another class."""
        found: set[str] = set()
        for label in set(self.labels.values()):
            own = {file for file in files if self.labels[file] == label}
            others = (files - own) | {f for f, other in self.trained.items() if other != label}
            found |= overlapping(self.surfaces, own, others)
        return found

    def _known(self, files: set[str]) -> set[str]:
        """Return the copies of training images."""
        copies = (pair for pair in self.surfaces.pairs if pair.copy_of_a)
        return {p.file_b for p in copies if p.file_a in self.trained and p.file_b in files}

    def taken(self) -> list[Taken]:
        """Return the rows that join; those that overlap training images share their group."""
        groups = self.surfaces.groups
        joined = {groups[file]: group for file, group in self.train_groups.items()}
        left_out = self.overlapping | self.contradicting | self.known
        taken = []
        for file, label in self.labels.items():
            if file not in left_out:
                group = joined.setdefault(groups[file], self.first_new + groups[file])
                taken.append(Taken(file=file, label=label, group=group))
        return taken


def _facts(
    feedback: Feedback,
    labels: list[str],
    damaged: list[data.SkippedImage],
    guard: _Guard,
    taken: list[Taken],
) -> data.Feedback:
    disagree = [image.file for image in feedback.images if not image.agrees]
    unknown = Counter(
        image.label for image in feedback.images if image.label and image.label not in labels
    )
    counts = Counter(each.label for each in taken)
    return data.Feedback(
        corrections=feedback.corrections,
        superseded=feedback.superseded,
        images=len(feedback.images),
        taken={label: counts[label] for label in labels if counts[label]},
        overlapping=len(guard.overlapping),
        known=len(guard.known),
        contradicting=sorted([*disagree, *guard.contradicting]),
        unknown_classes={str(label): number for label, number in sorted(unknown.items())},
        without_class=without_class(feedback.images),
        damaged=damaged,
    )


def _log(facts: data.Feedback) -> None:
    """Log what joins the training, and what does not and why."""
    logger.info(
        "Feedback: %s of %s join the training split.",
        f"{sum(facts.taken.values()):,}",
        counted(facts.images, "corrected image"),
    )
    for words in facts.left_out():
        logger.warning("Left out of the feedback: %s", words)
