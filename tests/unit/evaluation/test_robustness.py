"""The test on corrupted images: which images, what is counted, what folds come to together."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_card.card import render_card
from model_card.figures import explanations
from model_card.figures.style import INK, PAPER
from model_card.schema.robustness import Robustness
from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Engine
from space.inference.predictor import Observation, Prediction, Predictor
from tests.support.extra_facts import example_robustness, share
from tests.support.published_folder import write_published_folder
from tests.support.reports import example_report
from trainer.config.groups import DataConfig
from trainer.data.sources import find_images
from trainer.evaluation.checks import robustness
from trainer.evaluation.checks.robustness import choose_rows, join, measure_robustness
from trainer.inputs.corruptions import COMBINED, CORRUPTIONS, Corruption
from trainer.synthetic.samples import write_samples


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
        self.predicted = 0
        super().__init__(folder)
        # Not the image by which a model is tried out.
        self.seen.clear()
        self.predicted = 0

    def observe_prepared(
        self, inputs: Sequence[Pixels], engine: Engine | None = None
    ) -> Observation:
        self.seen += [tiles[0] for tiles in inputs]
        # No network runs: the answers don't depend on its outputs.
        return Observation(np.zeros((len(inputs), len(self.labels)), np.float32), statistics=[])

    def predict_from(self, observation: Observation) -> list[Prediction]:
        probabilities = {label: float(label == "Pitted") for label in self.labels}
        # Further ones may have been observed since.
        first, self.predicted = self.predicted, self.predicted + len(observation.logits)
        return [
            Prediction(probabilities, verdict="unknown" if image.mean() < 30 else "class")
            for image in self.seen[first : self.predicted]
        ]


@pytest.fixture(scope="module")
def test_part(tmp_path_factory: pytest.TempPathFactory) -> datasets.Dataset:
    folder = tmp_path_factory.mktemp("images") / "strips"
    write_samples(folder, train_per_class=1, test_per_class=2)
    return find_images(DataConfig(data_dir=(str(folder),))).splits["test"]


@pytest.mark.slow
def test_everything_is_classified_once_as_it_is_and_once_corrupted(
    test_part: datasets.Dataset, tmp_path: Path
) -> None:
    write_published_folder(tmp_path / "model")
    blind = Blind(tmp_path / "model")
    found = measure_robustness(blind, test_part, most_images=6, seed=3)
    assert (found.images, found.of) == (6, 12)
    assert len(blind.seen) == 6 * (1 + 5 * len(CORRUPTIONS))
    assert [kind.name for kind in found.kinds] == [kind.name for kind in CORRUPTIONS]
    assert {image.shape for image in blind.seen} == {(found.side_px, found.side_px, 3)}
    # One of six is Pitted, whatever happens to it.
    for kind in found.kinds:
        assert {step.accuracy.value for step in kind.steps} == {1 / 6}
    assert found.clean_unnoticed.value == pytest.approx(5 / 6)
    # Darkness is noticed.
    dark = next(kind for kind in found.kinds if kind.name == "Under-exposure")
    assert dark.steps[-1].unnoticed.value < 5 / 6
    # Each of the six is another picture at each severity of each kind.
    for place in range(6):
        pictures = {image.tobytes() for image in blind.seen[place::6]}
        assert len(pictures) == 1 + 5 * len(CORRUPTIONS)
    again = measure_robustness(Blind(tmp_path / "model"), test_part, most_images=6, seed=3)
    assert again == found


@pytest.mark.slow
def test_a_further_corruption_takes_its_row_alone(
    test_part: datasets.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docs/architecture.md says: one file, and report, card and figure have it."""
    haze = Corruption(
        *("Haze", "% white", (10, 20, 30, 40, 50), "the air"),
        lambda levels, white, _: levels + white / 100,
    )
    monkeypatch.setattr("trainer.evaluation.checks.robustness.CORRUPTIONS", (haze, COMBINED))
    write_published_folder(tmp_path / "model")
    found = measure_robustness(Blind(tmp_path / "model"), test_part, most_images=2, seed=3)
    assert [step.severity for step in found.kinds[0].steps] == list(haze.severities)
    figure = explanations.write_robustness(found, tmp_path)
    assert "Haze" in figure.alt
    report = example_report(robustness=found)
    card = render_card(report.model_copy(update={"figures": [*report.figures, figure]}))
    assert "| **Haze**<br>% white |" in card


class Counting(Predictor):
    """Of six images names the first n % 7 correctly, the n-th time; the others wrongly."""

    def __init__(self, folder: Path) -> None:
        self.images = 0
        super().__init__(folder)
        self.images = 0

    def predict_from(self, observation: Observation) -> list[Prediction]:
        named = []
        for _ in observation.logits:
            time, image = divmod(self.images, 6)
            named.append(self.labels[image if image < time % 7 else (image + 1) % 6])
            self.images += 1
        return [
            Prediction({label: float(label == name) for label in self.labels}, verdict="class")
            for name in named
        ]


@pytest.mark.slow
def test_each_cell_holds_what_its_own_images_gave(
    test_part: datasets.Dataset, tmp_path: Path
) -> None:
    write_published_folder(tmp_path / "model")
    found = measure_robustness(Counting(tmp_path / "model"), test_part, most_images=6, seed=3)
    cells = [step for kind in found.kinds for step in kind.steps]
    assert (found.clean.value, found.clean_unnoticed.value) == (0, 1)
    for number, cell in enumerate(cells, 1):
        assert cell.accuracy.value == pytest.approx(number % 7 / 6)
        assert cell.unnoticed.value == pytest.approx(1 - number % 7 / 6)


def graded(images: int, start: int) -> Robustness:
    """Return a test with another number of hits in each cell."""
    found = example_robustness(images, hits=start)
    hits = itertools.count(start)
    kinds = [
        kind.model_copy(
            update={
                "steps": [
                    step.model_copy(
                        update={"accuracy": share(n, images), "unnoticed": share(n - 1, images)}
                    )
                    for step, n in zip(kind.steps, hits, strict=False)
                ]
            }
        )
        for kind in found.kinds
    ]
    return found.model_copy(update={"kinds": kinds})


def test_folds_joined_are_all_images_together() -> None:
    joined = join([graded(200, start=30), graded(300, start=70)])
    assert joined.images == 500
    assert joined.clean == share(100, 500)
    cells = [step for kind in joined.kinds for step in kind.steps]
    assert [cell.accuracy for cell in cells] == [share(100 + 2 * n, 500) for n in range(55)]
    assert [cell.unnoticed for cell in cells] == [share(98 + 2 * n, 500) for n in range(55)]


def test_the_figure_shows_every_number_in_its_place() -> None:
    found = graded(images=1000, start=400)
    drawing = explanations.robustness(found)
    shown = {}
    for text in drawing.axes[0].texts:
        x, y = text.get_position()
        # The number, and below it the severity.
        shown[round(x), round(y), y > round(y)] = text.get_text()
    rows = [label.get_text().partition(" (")[0] for label in drawing.axes[0].get_yticklabels()]
    assert rows == [kind.name for kind in CORRUPTIONS]
    for row, kind in enumerate(CORRUPTIONS):
        for column, severity in enumerate(kind.severities):
            percentage = 100 * (400 + 5 * row + column) / 1000
            assert shown[column, row, False] == f"{percentage:.1f}"
            assert shown[column, row, True] == f"{severity:g}"


def test_numbers_are_legible_on_pale_and_on_dark_cells() -> None:
    """The more accuracy is lost, the darker the cell: from half of it on, paper on ink."""
    found = graded(images=100, start=20).model_copy(update={"clean": share(100, 100)})
    for text in explanations.robustness(found).axes[0].texts:
        x, y = (round(place) for place in text.get_position())
        lost = 1 - found.kinds[y].steps[x].accuracy.value
        assert text.get_color() == (PAPER if lost > 0.5 else INK)


@pytest.mark.parametrize(("tile", "shape"), [(False, (3, 32, 32)), (True, (3, 32, 96))])
def test_a_long_image_is_corrupted_in_its_own_shape(tile: bool, shape: tuple[int, ...]) -> None:
    data_config = {"input_size": (3, 32, 32), "interpolation": "bilinear"}
    pixels = robustness._scaled(Image.new("RGB", (300, 100)), data_config, tile=tile)
    assert pixels.shape == shape
