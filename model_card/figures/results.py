"""Write the figures into a folder, each with an alternative text for screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure as Drawing
from PIL import Image

from model_card.figures import charts, photos
from model_card.figures.photos import Sample
from model_card.figures.style import save_figure
from model_card.formatting import area, counted, enumeration, percent, shortlist
from model_card.schema.report import Figure
from model_card.schema.run.test_result import CrossValidation, Mistake, TestResult
from model_card.schema.run.training import Epoch

__all__ = [
    "Sample",
    "write_augmentations",
    "write_class_examples",
    "write_figure",
    "write_fold_figures",
    "write_mistakes",
    "write_report_figures",
    "write_samples",
]

FIGURES_FOLDER = "figures"


def write_report_figures(epochs: Sequence[Epoch], test: TestResult, folder: Path) -> list[Figure]:
    """Write learning curves, confusion matrix and ROC curves to `folder/figures/`.

    Returns:
        An entry of `Report.figures` for each.
    """
    return [
        write_figure(
            folder,
            "learning_curves",
            charts.learning_curves(epochs),
            "Loss and accuracy by epoch",
            _describe_learning(epochs),
        ),
        _write_confusions(test, folder, ""),
        write_figure(
            folder, "roc_curves", charts.roc_curves(test), "ROC curves", _describe_curves(test)
        ),
    ]


def _write_confusions(test: TestResult, folder: Path, prefix: str) -> Figure:
    """Write the confusion matrix, or with many classes the most frequent confusions alone."""
    of_folds = " of all folds" if prefix else ""
    if len(test.classes) > charts.MOST_CLASSES_IN_MATRIX:
        return write_figure(
            folder,
            f"{prefix}top_confusions",
            charts.top_confusions(test),
            f"Most frequent confusions{of_folds}",
            _describe_confusion(test, "Most frequent confusions"),
        )
    return write_figure(
        folder,
        f"{prefix}confusion_matrix",
        charts.confusion_matrix(test),
        f"Confusion matrix{of_folds}",
        _describe_confusion(test, "Confusion matrix"),
    )


def write_class_examples(examples: Sequence[tuple[str, Image.Image]], folder: Path) -> Figure:
    """Write the figure of a test image of each class; see `write_report_figures`."""
    return write_figure(
        folder,
        "classes",
        photos.class_examples(examples),
        "A test image of each class",
        f"A test image of each class: {enumeration([label for label, _ in examples])}.",
    )


def write_samples(samples: Sequence[Sample], folder: Path) -> Figure:
    """Write the figure of test images with true and predicted class, likewise."""
    return write_figure(
        folder,
        "sample_predictions",
        photos.sample_predictions(samples),
        "Test images and their predictions",
        _describe_samples(samples),
    )


def write_augmentations(
    original: Image.Image, augmented: Sequence[Image.Image], folder: Path
) -> Figure:
    """Write the figure of an image and random variants of it, likewise."""
    variants = counted(len(augmented), "random variant")
    return write_figure(
        folder,
        "augmentations",
        photos.augmentations(original, augmented),
        "Augmentation of one image",
        f"One image and {variants} of it, as the network sees them in training.",
    )


def write_fold_figures(result: CrossValidation, folder: Path) -> list[Figure]:
    """Write the confusions of all folds of a cross-validation, likewise."""
    return [_write_confusions(result.all_images, folder, "fold_")]


def write_mistakes(mistakes: Sequence[tuple[Mistake, Image.Image]], folder: Path) -> Figure:
    """Write the figure of misclassified images under their file names, likewise."""
    return write_figure(
        folder,
        "mistakes",
        photos.mistakes(mistakes),
        "Misclassified images",
        f"{counted(len(mistakes), 'misclassified image')}, the most confident first: "
        + shortlist([f"{m.file} ({m.label}) predicted as {m.prediction}" for m, _ in mistakes], 6)
        + ".",
    )


def write_figure(folder: Path, name: str, drawing: Drawing, title: str, alt: str) -> Figure:
    """Write a drawing as `folder/figures/NAME.png` and return its entry of `Report.figures`."""
    file = f"{FIGURES_FOLDER}/{name}.png"
    save_figure(drawing, folder / file)
    return Figure(file=file, title=title, alt=alt)


def _describe_learning(epochs: Sequence[Epoch]) -> str:
    first, last = epochs[0], epochs[-1]
    published = next(epoch for epoch in epochs if epoch.published)
    values = (
        f"training loss {published.train_loss:.4f} "
        f"and accuracy {percent(published.train_accuracy)}, "
        f"validation loss {published.validation_loss:.4f} "
        f"and accuracy {percent(published.validation_accuracy)}"
    )
    if len(epochs) == 1:
        return f"Loss and accuracy after the only epoch: {values}."
    return (
        f"Loss and accuracy over {len(epochs)} epochs. Training loss goes from "
        f"{first.train_loss:.4f} to {last.train_loss:.4f}, validation loss from "
        f"{first.validation_loss:.4f} to {last.validation_loss:.4f}; validation accuracy goes from "
        f"{percent(first.validation_accuracy)} to {percent(last.validation_accuracy)}. "
        f"Epoch {published.epoch} was published: {values}."
    )


def _describe_confusion(test: TestResult, what: str) -> str:
    labels = [result.label for result in test.classes]
    right = test.images - len(test.mistakes)
    start = (
        f"{what} of {counted(len(labels), 'class', 'classes')}: "
        f"{right:,} of {counted(test.images, 'test image')} are classified correctly"
    )
    confusions = charts.most_confused(test)
    if not confusions:
        return f"{start}."
    count, i, j = confusions[0]
    return (
        f"{start}. Most frequent confusion: of {counted(test.classes[i].images, 'image')} "
        f"of {labels[i]}, {count:,} {'is' if count == 1 else 'are'} predicted as {labels[j]}."
    )


def _describe_curves(test: TestResult) -> str:
    ranked = sorted(test.classes, key=lambda result: result.scores["auc"].value)
    lowest, highest = (area(result.scores["auc"].value) for result in (ranked[0], ranked[-1]))
    start = f"ROC curve of each of {len(ranked)} classes against the rest. Area under the curve"
    if ranked[0].scores["auc"].value == ranked[-1].scores["auc"].value:
        return f"{start}: {lowest} for each class."
    mean = area(test.scores["auc"].value)
    return (
        f"{start}: lowest {lowest} ({ranked[0].label}), highest {highest} ({ranked[-1].label}), "
        f"mean {mean}."
    )


def _describe_samples(samples: Sequence[Sample]) -> str:
    wrong = [
        f"{sample.label} predicted as {sample.prediction} with {percent(sample.confidence)} "
        "confidence"
        for sample in samples
        if not sample.right
    ]
    start = (
        f"{counted(len(samples), 'test image')}, {len(samples) - len(wrong)} classified correctly "
        f"and {len(wrong)} incorrectly"
    )
    return f"{start}: {enumeration(wrong)}." if wrong else f"{start}."
