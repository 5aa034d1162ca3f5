"""The images of a run, where they come from, and how they are split."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from model_card.schema.base import Schema


class Split(Schema):
    """One split of the data."""

    name: Literal["train", "validation", "test"]
    images: int = Field(ge=0)
    images_by_class: dict[str, int]
    origin: str = Field(description="phrase on how the split was made")
    fingerprints: list[int] | None = Field(
        None,
        description="first 48 bits of the SHA-256 of each image, sorted; a later model finds "
        "here what this one was trained on; None: written by an earlier version",
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Split:
        if sum(self.images_by_class.values()) != self.images:
            raise ValueError(f"the classes of {self.name} don't add up to {self.images} images")
        return self


class SkippedImage(Schema):
    """An image that could not be read and was left out."""

    file: str
    reason: str


class Leakage(Schema):
    """Images of one split that show a piece of surface of an earlier split."""

    split: Literal["validation", "test"]
    seen_in: Literal["training", "training or validation"]
    images: int = Field(
        ge=0, description="images of the split that overlap one of the earlier split"
    )
    of: int = Field(gt=0, description="images of the split")

    @property
    def share(self) -> float:
        """Share of the images of the split."""
        return self.images / self.of


class SharedSurfaces(Schema):
    """Images that show the same piece of surface, and leakage between the splits."""

    images: int = Field(gt=0)
    pairs: int = Field(ge=0, description="pairs of images that overlap in any orientation")
    turned_pairs: int = Field(ge=0, description="pairs of rotated or mirrored images")
    pairs_across_classes: int = Field(ge=0)
    sharing_images: int = Field(ge=0, description="images that overlap at least one other")
    groups: int = Field(gt=0, description="groups of overlapping images, including single images")
    largest_group: int = Field(gt=0)
    leakage: list[Leakage]
    random_split_leakage: float = Field(
        ge=0, le=1, description="mean leakage of random test splits of the same size"
    )


class Feedback(Schema):
    """Corrections of a web page, and which of the images joined the training split.

    An image of several reasons to be left out counts for the first one that applies, in the order
    of the fields.
    """

    corrections: int = Field(
        gt=0, description="corrections that count: the last of each visit and image"
    )
    superseded: int = Field(ge=0, description="corrections that their visitors replaced")
    images: int = Field(ge=0, description="corrected images that can be read")
    taken: dict[str, int] = Field(description="images that joined the training split, by class")
    without_class: dict[str, int] = Field(
        description="images of several defects, of none of the classes, or not usable"
    )
    unknown_classes: dict[str, int] = Field(description="images of classes that the data lack")
    overlapping: int = Field(
        ge=0, description="images that share surface with a validation or test image"
    )
    contradicting: list[str] = Field(
        description="images whose corrections, or images of the same surface, disagree"
    )
    known: int = Field(ge=0, description="copies of training images")
    damaged: list[SkippedImage]

    def left_out(self) -> list[str]:
        """Return a line on each reason for which images did not join."""
        reasons = [
            (self.overlapping, "share surface with a validation or test image"),
            (
                len(self.contradicting),
                "contradict another correction, or a training image of the same surface: "
                + _first(self.contradicting),
            ),
            *((number, f"show {words}") for words, number in self.without_class.items()),
            *(
                (number, f"are called {label}, which is no class of the data")
                for label, number in self.unknown_classes.items()
            ),
            (self.known, "are copies of training images"),
            (
                len(self.damaged),
                "can't be used: " + _first([f"{bad.file} ({bad.reason})" for bad in self.damaged]),
            ),
        ]
        return [f"{number:,} that {words}" for number, words in reasons if number]


def _first(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if names[5:] else "")


class DataSource(Schema):
    """One of the folders or datasets that the images come from."""

    name: str
    kind: str = Field(description="folder, hub, drawn, or a kind that was added later")
    revision: str | None = Field(description="commit of a dataset on the Hub")
    images: dict[str, int] = Field(description="by split")
    left_out: dict[str, int] = Field(
        description="images that the class map leaves out, by the name of their class"
    )


class Data(Schema):
    """Source of the images and their splits."""

    source: str = Field(description="name of the folder, or id of the dataset on the Hub")
    kind: str = Field(description="folder, hub, drawn, or a kind that was added later")
    origin: str = Field(
        default_factory=lambda facts: f"The images come from {facts['source']}.",
        description="sentence on where the images come from",
    )
    streamed_images: int | None = Field(
        gt=0, description="largest number of images read of each split; None: all"
    )
    splits: list[Split]
    seed: int
    division: Literal["given", "partly given", "file", "grouped", "random"] = Field(
        description="how the test split was made: as the data came, for some sources as they came, "
        "by a split file, by groups of overlapping images, or at random"
    )
    surfaces: SharedSurfaces | None = Field(
        description="None: synthetic images, which do not overlap"
    )
    skipped: list[SkippedImage]
    smallest_px: tuple[int, int] = Field(description="width, height")
    largest_px: tuple[int, int] = Field(description="width, height")
    bit_depth: int = Field(
        default=16, ge=8, le=16, description="significant bits of samples of more than 8 bits"
    )
    images_shared: bool = Field(description="whether photographs are part of the published folder")
    feedback: Feedback | None = Field(
        default=None, description="corrections of a web page; None: none were used"
    )
    sources: list[DataSource] = Field(
        default=[], description="empty: written by an earlier version"
    )
    unshared: dict[str, int] = Field(
        default={},
        description="images of classes that a source lacks, left out since only some of the "
        "sources were trained on",
    )

    @property
    def test_leakage(self) -> Leakage | None:
        """The leakage into the test split, None if there is none."""
        found = [e for e in (self.surfaces.leakage if self.surfaces else []) if e.split == "test"]
        return found[0] if found and found[0].images else None
