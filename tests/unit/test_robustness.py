"""The test on degraded images: which images, what is counted, what folds come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_card import extra_figures
from space.predictor import Prediction, Predictor
from tests.extra_facts import example_robustness
from tests.published_folder import write_published_folder
from trainer.config import DataConfig
from trainer.drawn_samples import write_samples
from trainer.imagefolder import find_images
from trainer.trust.degradations import DEGRADATIONS
from trainer.trust.robustness import choose_rows, join, measure_robustness


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 40), st.integers(0, 9))
def test_rows_are_shared_out_evenly(truth: list[int], most: int, seed: int) -> None:
    rows = choose_rows(truth, most, seed)
    assert rows == choose_rows(truth, most, seed)
    assert rows == sorted(set(rows))
    assert len(rows) == min(most, len(truth))
    taken, there = Counter(truth[row] for row in rows), Counter(truth)
    # A class has fewer than another only if it has no more, or by the last odd one.
    for label in there:
        assert taken[label] == there[label] or taken[label] >= max(taken.values()) - 1


class Blind(Predictor):
    """Calls everything Pitted, and says of dark images that it does not know them."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[np.ndarray] = []
        super().__init__(folder)
        # Not the image by which a model is tried out.
        self.seen.clear()

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        self.seen += [np.asarray(image) for image in images]
        probabilities = {label: float(label == "Pitted") for label in self.labels}
        return [
            Prediction(probabilities, verdict="unknown" if np.asarray(i).mean() < 30 else "class")
            for i in images
        ]


@pytest.fixture(scope="module")
def test_part(tmp_path_factory: pytest.TempPathFactory) -> datasets.Dataset:
    folder = tmp_path_factory.mktemp("images") / "strips"
    write_samples(folder, train_per_class=1, test_per_class=2)
    return find_images(DataConfig(data_dir=str(folder))).parts["test"]


def test_everything_is_judged_once_as_it_is_and_once_degraded(
    test_part: datasets.Dataset, tmp_path: Path
) -> None:
    write_published_folder(tmp_path / "model")
    blind = Blind(tmp_path / "model")
    found = measure_robustness(blind, test_part, most_images=6, seed=3)
    assert (found.images, found.of) == (6, 12)
    assert len(blind.seen) == 6 * (1 + 5 * len(DEGRADATIONS))
    assert [kind.name for kind in found.kinds] == [kind.name for kind in DEGRADATIONS]
    assert {image.shape for image in blind.seen} == {(found.side_px, found.side_px, 3)}
    # One of six is Pitted, whatever happens to it.
    for kind in found.kinds:
        assert {step.accuracy.value for step in kind.steps} == {1 / 6}
    assert found.clean_unnoticed.value == pytest.approx(5 / 6)
    # Darkness is noticed.
    dark = next(kind for kind in found.kinds if kind.name == "Under-exposure")
    assert dark.steps[-1].unnoticed.value < 5 / 6
    again = measure_robustness(Blind(tmp_path / "model"), test_part, most_images=6, seed=3)
    assert again == found


def test_folds_joined_are_all_images_together() -> None:
    one, two = example_robustness(images=40, hits=30), example_robustness(images=60, hits=60)
    joined = join([one, two])
    assert joined is not None
    assert joined.images == 100
    assert joined.kinds[3].steps[2].accuracy.value == 0.9
    assert join([]) is None


def test_the_figure_shows_every_number_and_its_text_the_worst() -> None:
    found = example_robustness(images=40, hits=30)
    drawing = extra_figures.robustness(found)
    shown = [text.get_text() for text in drawing.axes[0].texts]
    assert shown.count("75.0") == 55
    assert {"40", "0.2", "1.5"} <= set(shown)
