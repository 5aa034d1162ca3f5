"""OOD scores compared: eight scores on a frozen backbone, with the same folds.

The folds do not cut through a shared surface. In each fold, every score is fitted to the other
folds and evaluated on the images of this fold, on OOD images, and on each class after fitting
without it. The backbone was trained on none of the images, so each left-out class is new to it.
Scores on logits need a head: a logistic regression on the pooled features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import torch
import tyro
from PIL import Image
from scipy.special import logsumexp, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler, normalize
from timm.data import create_transform
from tqdm import tqdm

from benchmarks.measurement import Measurement, number_column, text_column
from space.inference.core.arrays import Floats
from space.inference.engines.graph import channel_statistics
from space.inference.networks.stages import feature_stages
from trainer.config.groups import DataConfig, ModelConfig, RunConfig
from trainer.data.images.bit_depth import FULL_DEPTH
from trainer.data.images.decoding import open_image
from trainer.data.splits.dataset import prepare_images
from trainer.decision.novelty import fit_detector
from trainer.evaluation import ood_images
from trainer.evaluation.rejection import detection_auroc
from trainer.model import backbone

Array = npt.NDArray[np.float64]
BATCH_SIZE = 16
# A score fitted to reference images: maps observations to OOD scores, [image].
OodScore = Callable[["Observed"], Array]


@dataclass(frozen=True)
class Settings:
    """Compare scores of novelty on a frozen backbone."""

    data_dir: str
    """Folder with a folder for each class."""
    model: str = "tf_efficientnet_lite0"
    """timm's name."""
    weights: Path | None = None
    """Start from this safetensors file instead of the Hub."""
    image_size: int = 224
    """Side in pixels."""
    ood_dir: Path | None = None
    """Folder of images that show none of the classes, in addition to the drawn ones."""
    folds: int = 5
    """Number of folds."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


@dataclass(frozen=True)
class Observed:
    """Outputs of the backbone for some images: pooled features, and channel statistics by stage."""

    pooled: Array
    statistics: list[Floats]

    def __getitem__(self, rows: npt.NDArray[Any]) -> Observed:
        return Observed(self.pooled[rows], [values[rows] for values in self.statistics])


class Frozen:
    """A frozen network, prepared as in training."""

    def __init__(self, config: ModelConfig) -> None:
        built = backbone.build(config, classes=2)
        self.model: Any = built.model.eval()
        self.transform: Any = create_transform(**built.data_config, is_training=False)
        self.stages = feature_stages(self.model)

    @torch.inference_mode()
    def observe(self, images: list[Image.Image]) -> Observed:
        """Pass images through the network."""
        batch = torch.stack([self.transform(image) for image in images])
        features, maps = self.model.forward_intermediates(batch, indices=self.stages)
        pooled = self.model.forward_head(features, pre_logits=True)
        return Observed(
            pooled.double().numpy(), [channel_statistics(stage).numpy() for stage in maps]
        )

    def observe_split(self, split: datasets.Dataset) -> Observed:
        """Pass all images of a split through the network."""
        firsts = tqdm(range(0, len(split), BATCH_SIZE), "observing", leave=False, disable=None)
        rows = [range(first, min(first + BATCH_SIZE, len(split))) for first in firsts]
        return joined(
            [self.observe([open_image(r) for r in split.select(batch)]) for batch in rows]
        )


def joined(batches: list[Observed]) -> Observed:
    """Concatenate observations."""
    return Observed(
        np.concatenate([batch.pooled for batch in batches]),
        [
            np.concatenate(maps)
            for maps in zip(*(batch.statistics for batch in batches), strict=True)
        ],
    )


def fit_scores(
    reference: Observed, truth: npt.NDArray[np.int64], stages: list[int]
) -> dict[str, OodScore]:
    """Fit each score to reference images."""
    scaler = StandardScaler().fit(reference.pooled)
    fitted = LogisticRegression(max_iter=1000).fit(scaler.transform(reference.pooled), truth)
    ceiling = np.quantile(reference.pooled, 0.9)
    neighbors = NearestNeighbors(n_neighbors=5).fit(normalize(reference.pooled))

    def logits(pooled: Array) -> Array:
        outputs: Array = fitted.decision_function(scaler.transform(pooled))
        # With two classes, scikit-learn returns only the log odds of the second one.
        return np.stack([-outputs / 2, outputs / 2], axis=1) if outputs.ndim == 1 else outputs

    def mahalanobis(chosen: list[int]) -> OodScore:
        def chosen_statistics(observed: Observed) -> list[Floats]:
            return [observed.statistics[place] for place in chosen]

        detector = fit_detector(
            [stages[place] for place in chosen], chosen_statistics(reference), truth
        )
        return lambda observed: detector.novelty(chosen_statistics(observed)).astype(np.float64)

    pooled = fit_detector([0], [reference.pooled], truth)
    last = len(stages) - 1
    return {
        "maximum softmax probability": lambda s: -softmax(logits(s.pooled), axis=1).max(axis=1),
        "energy": lambda s: -logsumexp(logits(s.pooled), axis=1),
        "ReAct, then energy": lambda s: -logsumexp(logits(np.minimum(s.pooled, ceiling)), axis=1),
        "5th nearest neighbor, pooled features": lambda s: neighbors.kneighbors(
            normalize(s.pooled)
        )[0][:, -1],
        "Mahalanobis, pooled features": lambda s: pooled.novelty([s.pooled]).astype(np.float64),
        "Mahalanobis, texture of the first stage": mahalanobis([0]),
        "Mahalanobis, texture of the last stage": mahalanobis([last]),
        "**Mahalanobis, texture of all stages** (published)": mahalanobis(list(range(last + 1))),
    }


def evaluate_fold(
    reference: tuple[Observed, npt.NDArray[np.int64]],
    test: tuple[Observed, npt.NDArray[np.int64]],
    ood: Mapping[str, Observed],
    stages: list[int],
) -> dict[str, tuple[list[float], list[float]]]:
    """Return the AUROC of each OOD kind and of each class left out, by score."""
    (fitted, truth), (tested, tested_truth) = reference, test
    aurocs: dict[str, tuple[list[float], list[float]]] = {}
    for name, score in fit_scores(fitted, truth, stages).items():
        test_scores = score(tested)
        aurocs[name] = [detection_auroc(test_scores, score(kind)) for kind in ood.values()], []
    for label in np.unique(truth):
        rest = truth != label
        for name, score in fit_scores(fitted[rest], truth[rest], stages).items():
            test_scores, new = score(tested), tested_truth == label
            aurocs[name][1].append(detection_auroc(test_scores[~new], test_scores[new]))
    return aurocs


def main(settings: Settings) -> None:
    """Print the table."""
    model = ModelConfig(
        model=settings.model, weights=settings.weights, image_size=settings.image_size
    )
    frozen = Frozen(model)
    with TemporaryDirectory() as run_dir:
        data = DataConfig(data_dir=(settings.data_dir,), folds=settings.folds)
        prepared = prepare_images(data, RunConfig(), None, Path(run_dir))
        tested = [images.splits["test"] for images in prepared]
        folds = [frozen.observe_split(split) for split in tested]
    truths = [np.asarray(split["label"]) for split in tested]
    kinds = {kind: frozen.observe(images) for kind, images in ood_images.drawn_images(0).items()}
    if settings.ood_dir is not None:
        shown = [
            frozen.observe([image])
            for image in ood_images.images_of_folder(settings.ood_dir, FULL_DEPTH)
        ]
        kinds["folder"] = joined(shown)
    results = []
    for fold in tqdm(range(len(folds)), "evaluating", leave=False, disable=None):
        others = [place for place in range(len(folds)) if place != fold]
        reference = joined([folds[o] for o in others]), np.concatenate([truths[o] for o in others])
        results.append(evaluate_fold(reference, (folds[fold], truths[fold]), kinds, frozen.stages))
    titles = (
        *(f"OOD, mean of {len(kinds)} kinds", "Worst kind"),
        *("Held-out class, mean", "Worst class"),
    )
    measurement = Measurement(
        [text_column("Score"), *(number_column(title, "{:.1f}") for title in titles)],
        f"AUROC in percent; {settings.model} at {settings.image_size} px, frozen; "
        f"{sum(map(len, truths)):,} images in {len(folds)} folds; OOD: {', '.join(kinds)}",
    )
    for name in results[0]:
        ood = np.mean([result[name][0] for result in results], axis=0)
        classes = np.mean([result[name][1] for result in results], axis=0)
        numbers = (ood.mean(), ood.min(), classes.mean(), classes.min())
        measurement.add(name, *(100 * float(number) for number in numbers))
    measurement.write(settings.json)


if __name__ == "__main__":
    main(tyro.cli(Settings))
