"""The facts of a report on the images: sources, splits, shared surfaces, leakage."""

from __future__ import annotations

from collections import Counter

from model_card.schema.run.data import Data, DataSource, Leakage, SharedSurfaces, Split
from model_card.schema.run.test_result import UnseenTest
from space.inference.predictor import Prediction
from trainer.data.collection import source_names
from trainer.data.image_record import short_fingerprint
from trainer.data.splits.dataset import Images
from trainer.data.splits.leakage import leaking_files, overlapping, random_split_leakage
from trainer.data.splits.overlap_groups import Surfaces
from trainer.evaluation.metrics.intervals import grouped_proportion


def data_facts(
    images: Images, *, seed: int, streamed_images: int | None, images_shared: bool
) -> Data:
    """Return where the images come from, and what is in each split."""
    splits = []
    for name in ("train", "validation", "test"):
        counts = Counter(images.splits[name]["label"][:])
        splits.append(
            Split(
                name=name,
                images=len(images.splits[name]),
                images_by_class={label: counts[i] for i, label in enumerate(images.labels)},
                origin=images.origins[name],
                fingerprints=sorted(
                    short_fingerprint(images.contents[file])
                    for file in images.splits[name]["file"][:]
                ),
            )
        )
    sizes_px = [tuple(size) for split in images.splits.values() for size in split["size_px"][:]]
    by_area = sorted(sizes_px, key=lambda size: size[0] * size[1])
    return Data(
        source=images.source,
        kind=images.kind,
        origin=images.origin,
        streamed_images=streamed_images,
        splits=splits,
        seed=seed,
        division=images.division,
        surfaces=_surface_facts(images, images.surfaces) if images.surfaces else None,
        skipped=images.skipped,
        bit_depth=images.bit_depth,
        smallest_px=by_area[0],
        largest_px=by_area[-1],
        images_shared=images_shared,
        feedback=images.feedback.facts if images.feedback else None,
        sources=_source_facts(images),
        unshared=images.unshared,
    )


def _source_facts(images: Images) -> list[DataSource]:
    counts = {name: Counter(source_names(split)) for name, split in images.splits.items()}
    return [
        DataSource(
            name=record.name,
            kind=record.kind,
            revision=record.revision,
            images={name: counted[record.name] for name, counted in counts.items()},
            left_out=record.left_out,
        )
        for record in images.sources
    ]


def _surface_facts(images: Images, surfaces: Surfaces) -> SharedSurfaces:
    files = {
        name: set(split["file"][:]) - images.corrected for name, split in images.splits.items()
    }
    labels = {
        file: label
        for split in images.splits.values()
        for file, label in zip(split["file"][:], split["label"][:], strict=True)
        if file not in images.corrected
    }
    # The search also saw images that --train-on leaves out.
    pairs = [pair for pair in surfaces.pairs if {pair.file_a, pair.file_b} <= labels.keys()]
    sizes = Counter(surfaces.groups[file] for file in labels)
    random_leakage, _ = random_split_leakage(surfaces, labels, len(files["test"]) / len(labels))
    in_validation = overlapping(surfaces, files["validation"], files["train"])
    return SharedSurfaces(
        images=len(labels),
        pairs=len(pairs),
        turned_pairs=sum(pair.turn > 0 for pair in pairs),
        pairs_across_classes=sum(pair.label_a != pair.label_b for pair in pairs),
        sharing_images=sum(size for size in sizes.values() if size > 1),
        groups=len(sizes),
        largest_group=max(sizes.values()),
        leakage=[
            Leakage(
                split="validation",
                seen_in="training",
                images=len(in_validation),
                of=len(files["validation"]),
            ),
            Leakage(
                split="test",
                seen_in="training or validation",
                images=len(leaking_files(images.splits, surfaces)),
                of=len(files["test"]),
            ),
        ],
        random_split_leakage=random_leakage,
    )


def unseen_test(images: Images, predictions: list[Prediction]) -> UnseenTest | None:
    """Score the test images without overlap with training images, if others have overlap."""
    leaking = leaking_files(images.splits, images.surfaces)
    test = images.splits["test"]
    truth = test.features["label"].int2str(test["label"][:])
    unseen = [row for row, file in enumerate(test["file"][:]) if file not in leaking]
    right = [predictions[row].label == truth[row] for row in unseen]
    if not leaking or not right:
        return None
    accuracy = grouped_proportion(right, test.select(unseen)["group"])
    return UnseenTest(images=len(right), accuracy=accuracy)
