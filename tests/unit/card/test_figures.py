"""Figures show the report's numbers, are the same every time, and are legible without color."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from model_card.figures import charts, explanations, photos, results
from model_card.figures.explanations import Explained
from model_card.figures.results import Sample
from model_card.figures.style import RED, save_figure, shortened
from tests.support.reports import LABELS, example_epochs, example_test

FLAWLESS = [[48 if i == j else 0 for j in range(6)] for i in range(6)]
THIRTY = [[20 if i == j else int(j == i + 1) for j in range(30)] for i in range(30)]
THIRTY_LABELS = [f"Kind {i}" for i in range(30)]


def noise(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    return Image.fromarray(pixels)


def samples() -> list[Sample]:
    return [
        Sample(noise(0), "Pitted", "Pitted", 0.99),
        Sample(noise(1, (64, 20)), "Pitted", "Patches", 0.61),
        Sample(noise(2), "Rolled", "Rolled", 1.0),
    ]


def texts(figure: Figure, axes: int = 0) -> list[str]:
    return [text.get_text().replace("\u00a0", " ") for text in figure.axes[axes].texts]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points(line: Line2D) -> tuple[list[float], list[float]]:
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def saved(figure: Figure, folder: Path) -> bytes:
    save_figure(figure, folder / "figure.png")
    return (folder / "figure.png").read_bytes()


def test_learning_curves_plot_the_epochs() -> None:
    epochs = example_epochs(8, published=3)
    figure = charts.learning_curves(epochs)
    loss, accuracy = figure.axes
    numbers = list(range(1, 9))
    train, validation, _, mark = (points(line) for line in loss.lines)
    assert train == (numbers, [epoch.train_loss for epoch in epochs])
    assert validation == (numbers, [epoch.validation_loss for epoch in epochs])
    assert mark == ([3], [epochs[2].validation_loss])
    train, validation, _, mark = (points(line) for line in accuracy.lines)
    assert train == (numbers, [epoch.train_accuracy for epoch in epochs])
    assert validation == (numbers, [epoch.validation_accuracy for epoch in epochs])
    assert mark == ([3], [epochs[2].validation_accuracy])
    assert legend(figure) == ["training", "validation", "published: epoch 3"]
    # At the edge, as that of a last epoch is, it stays whole.
    assert not any(axes.lines[3].get_clip_on() for axes in figure.axes)


def test_confusion_matrix_writes_counts_and_shares() -> None:
    figure = charts.confusion_matrix(example_test([[90, 10], [25, 175]], ["good", "defect"]))
    assert texts(figure) == ["90\n90.0 %", "10\n10.0 %", "25\n12.5 %", "175\n87.5 %"]
    cells = figure.axes[0].images[0].get_array()
    assert cells is not None
    right, wrong = cells[0, 0], cells[0, 1]
    assert right[2] > right[0], "correct predictions are blue"
    assert wrong[0] > wrong[2], "wrong predictions are orange"
    # Only the colors of mistakes differ, so weight distinguishes them in print.
    weights = [text.get_fontweight() for text in figure.axes[0].texts]
    assert weights == ["normal", "bold", "bold", "normal"]


def test_confusion_matrix_of_many_classes_has_its_shares_at_the_side() -> None:
    figure = charts.confusion_matrix(example_test(THIRTY, THIRTY_LABELS))
    assert sorted(set(texts(figure))) == ["1", "20"]
    [side] = [axes for axes in figure.axes[0].child_axes if axes.get_ylabel() == "Sensitivity"]
    shares = [text.get_text().replace("\u00a0", " ") for text in side.get_yticklabels()]
    assert shares == ["95.2 %"] * 29 + ["100 %"]


def test_roc_curves_name_the_worst_class_first() -> None:
    test = example_test()
    figure = charts.roc_curves(test)
    ranked = sorted(test.classes, key=lambda result: result.scores["auc"].value)
    assert [name.split(": ")[1] for name in legend(figure)][:2] == [r.label for r in ranked[:2]]
    assert legend(figure)[0] == "AUC 0.996: Inclusion"
    assert "AUC 1: Rolled" in legend(figure)
    drawn = [points(line) for line in figure.axes[0].lines]
    for result in test.classes:
        assert (result.roc.false_positive_rate, result.roc.true_positive_rate) in drawn
    whole, corner = figure.axes
    assert whole.get_xlim()[1] == 1
    assert corner.get_xlim()[1] == 0.1
    assert corner.get_ylim()[0] == 0.9


def test_roc_curves_of_many_classes_color_ten() -> None:
    test = example_test(THIRTY, THIRTY_LABELS)
    figure = charts.roc_curves(test)
    assert len(legend(figure)) == 11
    assert legend(figure)[-1].endswith("or more: 20 other classes")
    assert len(figure.axes[1].lines) == 30


@given(labels=st.lists(st.text(st.characters(max_codepoint=0x17F), min_size=1), min_size=10,
                       max_size=10, unique=True))  # fmt: skip
@settings(max_examples=3, deadline=None)
@pytest.mark.slow
def test_any_label_can_be_drawn(
    labels: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    # As many as a legend names.
    test = example_test([[9 if i == j else 1 for j in range(10)] for i in range(10)], labels)
    folder = tmp_path_factory.mktemp("labels")
    for figure in (charts.confusion_matrix(test), charts.roc_curves(test)):
        saved(figure, folder)


@pytest.mark.slow
@pytest.mark.parametrize("label", ["_hidden", "$x$", r"$\frac"])
def test_labels_are_taken_literally(label: str, tmp_path: Path) -> None:
    figure = charts.roc_curves(example_test([[9, 1], [2, 8]], [label, "other"]))
    saved(figure, tmp_path)
    assert any(entry.endswith(f": {label}") for entry in legend(figure))
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())


def _drawn_text(width_inches: float, place: float) -> Figure:
    figure = Figure(figsize=(width_inches, 1), dpi=100, layout="constrained")
    figure.text(place, 0.5, "W" * 20, va="center")
    return figure


def test_a_long_text_is_shown_whole_with_an_even_margin(tmp_path: Path) -> None:
    """Beyond the right edge, beyond the left one, and within both: the pictures are the same."""
    pictures = []
    for width_inches, place in ((1, 0.5), (1, -1), (9, 0.1)):
        saved(_drawn_text(width_inches, place), tmp_path)
        pictures.append(np.asarray(Image.open(tmp_path / "figure.png").convert("L")))
    assert pictures[0].shape[1] > 200
    for picture in pictures:
        ink = np.argwhere(picture < 255)
        # A tenth of an inch on all sides.
        assert ink.min(axis=0).tolist() == [10, 10]
        assert (np.array(picture.shape) - ink.max(axis=0)).tolist() == [11, 11]
        assert picture.shape[1] == pytest.approx(pictures[2].shape[1], abs=1)


def test_a_figure_that_fits_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings: list[object] = []
    draw = Figure.draw

    def count(figure: Figure, renderer: Any) -> None:
        drawings.append(figure)
        draw(figure, renderer)

    monkeypatch.setattr(Figure, "draw", count)
    saved(_drawn_text(9, 0.1), tmp_path)
    assert len(drawings) == 1


def test_long_labels_keep_both_ends() -> None:
    assert shortened("Crazing") == "Crazing"
    short = shortened("rolled-in scale near the left edge of the strip")
    assert (len(short), short[:9], short[-5:]) == (26, "rolled-in", "strip")


def test_wrong_samples_are_marked_by_sign_weight_and_frame() -> None:
    figure = photos.sample_predictions(samples())
    titles = [axes.get_title(loc="left").replace("\u00a0", " ") for axes in figure.axes]
    assert titles == [
        "✓ Pitted 99.0 %\nTrue: Pitted",
        "✗ Patches 61.0 %\nTrue: Pitted",
        "✓ Rolled 100 %\nTrue: Rolled",
    ]
    right, wrong, _ = (axes.spines["left"] for axes in figure.axes)
    assert wrong.get_linewidth() > right.get_linewidth()
    assert to_hex(wrong.get_edgecolor()) == RED


def test_each_class_has_a_picture_under_its_name(tmp_path: Path) -> None:
    examples = [(f"Kind {i}", noise(i)) for i in range(7)]
    figure = photos.class_examples(examples)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [label for label, _ in examples]
    for axes, (_, image) in zip(figure.axes, examples, strict=True):
        shown = axes.images[0].get_array()
        assert np.array_equal(np.asarray(shown), np.asarray(image.convert("RGB")))
    rows = {axes.get_position().y0 for axes in figure.axes}
    assert len(rows) == 2, "six in a row"
    entry = results.write_class_examples(examples[:2], tmp_path)
    assert entry.file == "figures/classes.png"
    assert entry.alt == "A test image of each class: Kind 0 and Kind 1."
    assert (tmp_path / entry.file).is_file()


def test_augmentations_show_original_and_variants() -> None:
    original = noise(0)
    figure = photos.augmentations(original, [noise(1), noise(2), noise(3), noise(4)])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Original", "Variant 1", "Variant 2", "Variant 3", "Variant 4"]
    shown = figure.axes[0].images[0].get_array()
    assert np.array_equal(np.asarray(shown), np.asarray(original.convert("RGB")))


@pytest.mark.slow
def test_written_figures_are_small_opaque_and_repeatable(tmp_path: Path) -> None:
    epochs, test = example_epochs(), example_test()
    entries = results.write_report_figures(epochs, test, tmp_path / "a")
    results.write_report_figures(epochs, test, tmp_path / "b")
    assert [entry.file for entry in entries] == [
        "figures/learning_curves.png",
        "figures/confusion_matrix.png",
        "figures/roc_curves.png",
    ]
    for entry in entries:
        content = (tmp_path / "a" / entry.file).read_bytes()
        assert content == (tmp_path / "b" / entry.file).read_bytes()
        assert len(content) < 100_000
        with Image.open(tmp_path / "a" / entry.file) as picture:
            assert picture.width >= 1000
            assert set(picture.info) <= {"dpi"}
            assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


@pytest.mark.slow
def test_style_stays_inside(tmp_path: Path) -> None:
    before = mpl.rcParams.copy()
    saved(charts.learning_curves(example_epochs()), tmp_path)
    assert mpl.rcParams == before


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no file for a figure."""
    monkeypatch.setattr(results, "save_figure", lambda *_: None)


@pytest.mark.usefixtures("undrawn")
def test_alternative_texts_hold_the_numbers(tmp_path: Path) -> None:
    entries = results.write_report_figures(example_epochs(8, published=7), example_test(), tmp_path)
    learning, confusion, curves = (entry.alt.replace("\u00a0", " ") for entry in entries)
    assert "over 8 epochs. Training loss goes from 1.0200 to 0.0451" in learning
    assert "Epoch 7 was published: training loss 0.0574 and accuracy 98.6 %" in learning
    assert "284 of 288 test images are classified correctly" in confusion
    assert "of 48 images of Inclusion, 1 is predicted as Scratches" in confusion
    assert "lowest 0.996 (Inclusion), highest 1 (" in curves
    assert "mean 0.998" in curves


@pytest.mark.slow
def test_extreme_results_are_drawn_and_described(tmp_path: Path) -> None:
    entries = results.write_report_figures(example_epochs(1, 1), example_test(FLAWLESS), tmp_path)
    learning, confusion, curves = (entry.alt for entry in entries)
    assert "after the only epoch" in learning
    assert confusion.endswith("288 of 288 test images are classified correctly.")
    assert curves.endswith("Area under the curve: 1 for each class.")


@pytest.mark.usefixtures("undrawn")
def test_the_most_frequent_confusion_is_described(tmp_path: Path) -> None:
    three = [[8, 2, 0], [0, 9, 1], [3, 3, 4]]
    entries = results.write_report_figures(
        example_epochs(), example_test(three, LABELS[:3]), tmp_path
    )
    assert "of 10 images of Patches, 3 are predicted as Crazing" in entries[1].alt


def test_figures_of_images_are_written_and_described(tmp_path: Path) -> None:
    shown = results.write_samples(samples(), tmp_path)
    augmented = results.write_augmentations(noise(0), [noise(1)], tmp_path)
    assert (tmp_path / shown.file).is_file()
    assert (tmp_path / augmented.file).is_file()
    assert shown.alt.replace("\u00a0", " ") == (
        "3 test images, 2 classified correctly and 1 incorrectly: "
        "Pitted predicted as Patches with 61.0 % confidence."
    )
    assert augmented.alt.startswith("One image and 1 random variant of it")


def test_a_heatmap_lies_on_the_copy_to_the_right_of_its_image() -> None:
    plain, heat = Image.new("RGB", (8, 8), "white"), Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    figure = explanations.heatmaps(
        [Explained(plain, heat, "Pitted", "Pitted"), Explained(plain, heat, "Rolled", "Patches")]
    )
    shown = [
        (axes.get_title("left"), np.asarray(axes.images[0].get_array())[0, 0, :3].tolist())
        for axes in figure.axes
        if axes.images
    ]
    white, red = [255, 255, 255], [255, 127, 127]
    assert shown == [
        ("True: Pitted", white),
        ("✓ Pitted", red),
        ("True: Rolled", white),
        ("✗ Patches", red),
    ]


def many_classes(count: int) -> list[list[int]]:
    """Return a confusion matrix in which class 7 is called 3 most often, and some others 1."""
    confusion = [[4 if i == j else 0 for j in range(count)] for i in range(count)]
    confusion[7][3] = 9
    for i in range(100, min(count, 160)):
        confusion[i][0] = 1 + i % 3
    return confusion


@pytest.mark.slow
def test_a_thousand_classes_make_bounded_figures(tmp_path: Path) -> None:
    test = example_test(many_classes(1000), [f"Kind {i}" for i in range(1000)])
    drawn = results.write_report_figures(example_epochs(3, published=2), test, tmp_path)
    confusions = drawn[1]
    assert confusions.file == "figures/top_confusions.png"
    assert confusions.title == "Most frequent confusions"
    assert "of 13 images of Kind 7, 9 are predicted as Kind 3." in confusions.alt
    assert len(confusions.alt) < 300
    for figure in drawn:
        with Image.open(tmp_path / figure.file) as picture:
            assert max(picture.size) < 1500
    chart = charts.top_confusions(test)
    names = [label.get_text() for label in chart.axes[0].get_yticklabels()]
    assert len(names) == 20
    assert names[0] == "Kind 7 → Kind 3"
    assert names[1] == "Kind 101 → Kind 0"
    assert texts(chart)[0] == "9 of 13"
    assert chart.axes[0].get_title(loc="left") == "Most frequent confusions, the first 20 of 61"


@pytest.mark.usefixtures("undrawn")
def test_forty_classes_are_still_a_matrix(tmp_path: Path) -> None:
    for count, name in ((40, "confusion_matrix"), (41, "top_confusions")):
        test = example_test(many_classes(count), [f"Kind {i}" for i in range(count)])
        drawn = results.write_report_figures(example_epochs(1, published=1), test, tmp_path)
        assert Path(drawn[1].file).stem == name


def test_no_confusion_among_many_classes_is_said(tmp_path: Path) -> None:
    flawless = [[2 if i == j else 0 for j in range(50)] for i in range(50)]
    chart = charts.top_confusions(example_test(flawless, [f"Kind {i}" for i in range(50)]))
    assert chart.axes[0].get_title(loc="left") == "No image was confused"
    save_figure(chart, tmp_path / "none.png")
