"""Heatmaps against boxes: answers known by hand, and what joins them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import datasets
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from space.inference.attribution import Explainer, colored
from space.inference.core.decision import Prediction
from trainer.data.voc_boxes import Box, BoxFolders, choose_boxes, mask, own_boxes
from trainer.errors import DataError
from trainer.evaluation.checks.explanations import explain_some
from trainer.evaluation.checks.localization import (
    HeatmapFit,
    compare,
    join,
    measure_localization,
    summarize,
)

# A quarter of the image: the lower left.
QUARTER = mask([Box("a", 0, 0.5, 0.5, 1)], 20, 20)


def test_a_heatmap_equal_to_the_box_has_all_energy_in_it() -> None:
    found = compare("a", QUARTER.astype(np.float64), QUARTER)
    assert found == HeatmapFit("a", area=0.25, energy=1.0, pointing=True)
    facts = summarize([found], ["a"]).classes[0]
    assert (facts.energy_lift, facts.pointing_lift) == (4.0, 4.0)


def test_a_uniform_heatmap_is_chance() -> None:
    found = compare("a", np.full((20, 20), 0.3), QUARTER)
    assert found.energy == pytest.approx(0.25)
    assert summarize([found], ["a"]).classes[0].energy_lift == pytest.approx(1)


def test_pointing_asks_for_the_hottest_pixel_alone() -> None:
    heatmap = QUARTER.astype(np.float64)
    heatmap[3, 15] = 1.5
    found = compare("a", heatmap, QUARTER)
    assert not found.pointing
    assert found.energy == pytest.approx(100 / 101.5)
    heatmap[10, 0] = 2
    assert compare("a", heatmap, QUARTER).pointing


def test_a_heatmap_of_nothing_points_nowhere() -> None:
    assert compare("a", np.zeros((20, 20)), QUARTER) == HeatmapFit("a", 0.25, 0.0, False)


def test_the_lift_of_a_class_is_that_of_the_means() -> None:
    parts = [
        HeatmapFit("a", 0.1, 0.5, True),
        HeatmapFit("a", 0.3, 0.3, False),
        HeatmapFit("c", 1, 1, True),
    ]
    facts = summarize(parts, ["a", "b", "c"])
    first, last = facts.classes
    assert (first.label, first.images, last.label) == ("a", 2, "c")
    assert first.energy_lift == pytest.approx(0.4 / 0.2)
    assert first.pointing.value == 0.5
    assert first.pointing_lift == pytest.approx(0.5 / 0.2)


def test_folds_joined_are_all_images_together() -> None:
    parts = [
        HeatmapFit("a", 0.1, 0.5, True),
        HeatmapFit("a", 0.3, 0.3, False),
        HeatmapFit("a", 0.6, 0.9, False),
        HeatmapFit("b", 0.5, 1, True),
    ]
    joined = join([summarize(parts[:1], ["a", "b"]), summarize(parts[1:], ["a", "b"])])
    whole = summarize(parts, ["a", "b"])
    for mine, theirs in zip(joined.classes, whole.classes, strict=True):
        assert (mine.label, mine.images, mine.pointing) == (
            theirs.label,
            theirs.images,
            theirs.pointing,
        )
        assert mine.energy == pytest.approx(theirs.energy)
        assert mine.area == pytest.approx(theirs.area)
        assert mine.energy_lift == pytest.approx(theirs.energy_lift)
        assert mine.pointing_lift == pytest.approx(theirs.pointing_lift)


def part(*rows: tuple[str, int]) -> datasets.Dataset:
    features = datasets.Features(
        {"file": datasets.Value("string"), "label": datasets.ClassLabel(names=["Pitted", "Rolled"])}
    )
    columns = {"file": [file for file, _ in rows], "label": [label for _, label in rows]}
    return datasets.Dataset.from_dict(columns, features=features)


def test_only_boxes_of_the_own_class_count(caplog: pytest.LogCaptureFixture) -> None:
    pitted, rolled = Box("pitted_surface", 0, 0, 1, 1), Box("rolled-in_scale", 0, 0, 0.5, 1)
    boxes = {"a.jpg": [pitted, rolled], "b.jpg": [pitted, Box("weld", 0, 0, 1, 1)]}
    assert own_boxes(boxes, part(("a.jpg", 1), ("b.jpg", 1)), ["Pitted", "Rolled"]) == {
        "a.jpg": [rolled]
    }
    assert "weld (1)" in caplog.text


def test_boxes_of_other_classes_alone_are_refused() -> None:
    boxes = {"a.jpg": [Box("weld", 0, 0, 1, 1)]}
    with pytest.raises(DataError, match="weld; the classes are Pitted, Rolled"):
        own_boxes(boxes, part(("a.jpg", 1)), ["Pitted", "Rolled"])


def test_boxes_are_read_before_training(tmp_path: Path) -> None:
    tests = [part(("a.jpg", 1))]
    assert choose_boxes(None, BoxFolders(), tests) == BoxFolders()
    (tmp_path / "a.xml").write_text("<annotation>")
    with pytest.raises(DataError, match=r"a\.xml"):
        choose_boxes(tmp_path, BoxFolders(), tests)


def test_boxes_beside_the_images_are_used_or_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tests = [part(("train/images/a.jpg", 1))]
    found = BoxFolders({"train/images": tmp_path})
    assert choose_boxes(None, found, tests) == BoxFolders()
    assert "holds no boxes for any of the 1 test images" in caplog.text
    label = tests[0].features["label"].names[1]
    (tmp_path / "a.xml").write_text(
        "<annotation><size><width>9</width><height>9</height></size>"
        f"<object><name>{label}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax>"
        "<ymax>4</ymax></bndbox></object></annotation>"
    )
    assert choose_boxes(None, found, tests) == found
    assert choose_boxes(tmp_path, BoxFolders(), tests) == BoxFolders({"": tmp_path})


class Marking:
    """Explains a class by one hot column of four: that of its own number."""

    def explain(self, image: Image.Image, label: int) -> npt.NDArray[np.float64]:
        heat = np.zeros((4, 4))
        heat[:, label] = 1
        return heat

    def seen(self, image: Image.Image) -> Image.Image:
        return image


NAMES = ["Dent", "Pitted", "Rolled", "Scale"]


def pictures(folder: Path, truth: list[int]) -> datasets.Dataset:
    """Return images with a gray level each, their row's number."""
    for row in range(len(truth)):
        Image.new("L", (8, 8), row).save(folder / f"{row}.png")
    files = [f"{row}.png" for row in range(len(truth))]
    features = datasets.Features(
        image=datasets.Image(decode=False),
        file=datasets.Value("string"),
        label=datasets.ClassLabel(names=NAMES),
    )
    columns = {"image": [str(folder / f) for f in files], "file": files, "label": truth}
    return datasets.Dataset.from_dict(columns, features=features)


def test_the_class_that_was_named_is_explained(tmp_path: Path) -> None:
    truth, named = [0, 1, 2, 3], [0, 3, 2, 1]
    predictions = [Prediction({label: float(label == NAMES[n]) for label in NAMES}) for n in named]
    explainer = cast(Explainer, Marking())
    found = explain_some(explainer, pictures(tmp_path, truth), predictions)
    rows = [int(np.asarray(one.image)[0, 0, 0]) for one in found]
    # The mistakes first.
    assert rows == [1, 3, 0, 2]
    for row, one in zip(rows, found, strict=True):
        assert (one.label, one.prediction) == (NAMES[truth[row]], NAMES[named[row]])
        expected = colored(Marking().explain(one.image, named[row]))
        assert one.heat.tobytes() == expected.tobytes()


def test_the_heatmap_of_the_true_class_is_scored(tmp_path: Path) -> None:
    """The boxes of each image cover the column of its class, so all heat lies in them."""
    test = pictures(tmp_path, [0, 1, 2, 3])
    for row, name in enumerate(NAMES):
        (tmp_path / f"{row}.xml").write_text(
            "<annotation><size><width>4</width><height>4</height></size>"
            f"<object><name>{name}</name><bndbox><xmin>{row + 1}</xmin><ymin>1</ymin>"
            f"<xmax>{row + 1}</xmax><ymax>4</ymax></bndbox></object></annotation>"
        )
    facts = measure_localization(cast(Explainer, Marking()), test, BoxFolders({"": tmp_path}))
    assert [one.label for one in facts.classes] == NAMES
    for one in facts.classes:
        assert (one.images, one.area, one.energy, one.pointing.value) == (1, 0.25, 1, 1)
