"""Long images: what inspect_data.py and training say of them."""

from __future__ import annotations

import logging

import pytest

from trainer.inputs.shapes import report_shapes, tile_counts
from trainer.inspection.report.finding import Finding
from trainer.inspection.report.listing import list_findings
from trainer.inspection.report.schema import ClassSchema, DataReport, SizeCount

STRIP, UPRIGHT, CAMERA = (1600, 256), (200, 400), (640, 480)


def squashed(*sizes: tuple[tuple[int, int], int]) -> list[Finding]:
    """Return what the inspection says of images of these sizes, and how many there are of each."""
    counted = [SizeCount(size_px=size, images=images) for size, images in sizes]
    images = sum(each.images for each in counted)
    facts = ClassSchema(label="A", images=images, surfaces=images, sizes=counted, gray=None)
    report = DataReport(
        source="strips",
        images=images,
        splits=[],
        given_splits=False,
        unusable=[],
        converted=[],
        bit_depth=None,
        depth_mixture=None,
        layout_problems=[],
        layout_notes=[],
        names_alike=[],
        classes=[facts],
        duplicates=[],
        pairs=[],
        groups=[],
        surfaces=images,
        leakage=[],
        random_split=None,
        label_check=None,
    )
    return [finding for finding in list_findings(report) if "squashed" in finding.title]


def test_inspection_says_that_strips_are_squashed() -> None:
    [look] = squashed((STRIP, 3), (UPRIGHT, 2), (CAMERA, 4))
    assert look.level == "review"
    assert look.title == "5 images of 9 are squashed, up to 6.2:1"
    assert "1600 × 256 pixels" in look.text
    assert "--tile" in look.text
    assert squashed((CAMERA, 4), ((399, 200), 1)) == []


def test_training_says_that_strips_are_squashed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        report_shapes([STRIP, UPRIGHT, CAMERA], tile=False)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "2 of 3 images are squashed, up to 6.2:1" in caplog.text
    assert "--tile" in caplog.text


def test_training_says_how_many_tiles_there_are(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        report_shapes([STRIP, UPRIGHT, CAMERA], tile=True)
    assert "2 of 3 images are cut into tiles: up to 7 an image, 10 in all." in caplog.text


def test_nothing_is_said_of_images_that_are_nearly_square(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report_shapes([CAMERA], tile=False)
    assert caplog.text == ""


def test_without_tiles_each_image_is_seen_once() -> None:
    assert tile_counts([STRIP, CAMERA], tile=False) == [1, 1]
    assert tile_counts([STRIP, CAMERA], tile=True) == [7, 1]
