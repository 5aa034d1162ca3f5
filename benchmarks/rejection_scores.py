"""Which score tells unknown surfaces best: eight, on a frozen backbone, with the same folds.

The images are divided into folds that cut through no shared surface. In each, every score learns
from the other folds and judges the images of this one, foreign images and, learned without a class
in turn, that class. The backbone has seen none of them, so each class left out is truly new. Scores
of the last layer's outputs need a head: a logistic regression on the pooled features.
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

from benchmarks.table import head, heading, row
from space.inference.novelty import channel_statistics, feature_stages
from trainer.config.settings import DataConfig, ModelConfig, TrainConfig
from trainer.data.bit_depth import FULL_DEPTH
from trainer.data.sources import open_image
from trainer.data.splits.dataset import prepare_images
from trainer.decision.novelty import fit_detector
from trainer.evaluation import ood_images
from trainer.evaluation.rejection import detection_auroc
from trainer.model import backbone

Array = npt.NDArray[np.float64]
BATCH_SIZE = 16
# What a score learns from known images: a function that says how strange others are.
Judge = Callable[["Seen"], Array]


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
    """Folder of images that show none of the classes, beside the drawn ones."""
    folds: int = 5
    """Into which the images are divided."""


@dataclass(frozen=True)
class Seen:
    """What the backbone makes of some images: pooled features, and detector by stage."""

    pooled: Array
    statistics: list[torch.Tensor]

    def __getitem__(self, rows: npt.NDArray[Any]) -> Seen:
        return Seen(self.pooled[rows], [values[rows] for values in self.statistics])


class Frozen:
    """A frozen network, prepared as for a training."""

    def __init__(self, config: ModelConfig) -> None:
        built = backbone.build(config, classes=2)
        self.model: Any = built.model.eval()
        self.transform: Any = create_transform(**built.data_config, is_training=False)
        self.stages = feature_stages(self.model)

    @torch.inference_mode()
    def look(self, images: list[Image.Image]) -> Seen:
        """Send images through the network, once."""
        batch = torch.stack([self.transform(image) for image in images])
        features, maps = self.model.forward_intermediates(batch, indices=self.stages)
        pooled = self.model.forward_head(features, pre_logits=True)
        return Seen(pooled.double().numpy(), [channel_statistics(seen) for seen in maps])

    def look_at_part(self, part: datasets.Dataset) -> Seen:
        """Send all images of a part through the network."""
        firsts = tqdm(range(0, len(part), BATCH_SIZE), "looking", leave=False, disable=None)
        rows = [range(first, min(first + BATCH_SIZE, len(part))) for first in firsts]
        return joined([self.look([open_image(r) for r in part.select(batch)]) for batch in rows])


def joined(parts: list[Seen]) -> Seen:
    """Put what was seen one after the other together."""
    return Seen(
        np.concatenate([part.pooled for part in parts]),
        [torch.cat(maps) for maps in zip(*(part.statistics for part in parts), strict=True)],
    )


def learn_scores(known: Seen, truth: npt.NDArray[np.int64], stages: list[int]) -> dict[str, Judge]:
    """Let each score learn from known images."""
    scaler = StandardScaler().fit(known.pooled)
    fitted = LogisticRegression(max_iter=1000).fit(scaler.transform(known.pooled), truth)
    ceiling = np.quantile(known.pooled, 0.9)
    neighbours = NearestNeighbors(n_neighbors=5).fit(normalize(known.pooled))

    def logits(pooled: Array) -> Array:
        outputs: Array = fitted.decision_function(scaler.transform(pooled))
        # Of two classes scikit-learn gives the second one's log odds alone.
        return np.stack([-outputs / 2, outputs / 2], axis=1) if outputs.ndim == 1 else outputs

    def mahalanobis(chosen: list[int]) -> Judge:
        def of(seen: Seen) -> list[torch.Tensor]:
            return [seen.statistics[place] for place in chosen]

        detector = fit_detector([stages[place] for place in chosen], of(known), truth)
        return lambda seen: detector.novelty(of(seen)).double().numpy()

    pooled = fit_detector([0], [torch.from_numpy(known.pooled)], truth)
    last = len(stages) - 1
    return {
        "least softmax probability": lambda s: -softmax(logits(s.pooled), axis=1).max(axis=1),
        "energy": lambda s: -logsumexp(logits(s.pooled), axis=1),
        "ReAct, then energy": lambda s: -logsumexp(logits(np.minimum(s.pooled, ceiling)), axis=1),
        "5th neighbour, pooled features": lambda s: neighbours.kneighbors(normalize(s.pooled))[0][
            :, -1
        ],
        "Mahalanobis, pooled features": lambda s: (
            pooled.novelty([torch.from_numpy(s.pooled).float()]).double().numpy()
        ),
        "Mahalanobis, texture of the first stage": mahalanobis([0]),
        "Mahalanobis, texture of the last stage": mahalanobis([last]),
        "Mahalanobis, texture of all stages (published)": mahalanobis(list(range(last + 1))),
    }


def judge_fold(
    known: tuple[Seen, npt.NDArray[np.int64]],
    test: tuple[Seen, npt.NDArray[np.int64]],
    strangers: Mapping[str, Seen],
    stages: list[int],
) -> dict[str, tuple[list[float], list[float]]]:
    """Return the AUROC of each ood kind and of each class left out, by score."""
    (seen, truth), (tested, tested_truth) = known, test
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name, judge in learn_scores(seen, truth, stages).items():
        scores = judge(tested)
        kinds = [detection_auroc(scores, judge(stranger)) for stranger in strangers.values()]
        found[name] = kinds, []
    for label in np.unique(truth):
        rest = truth != label
        for name, judge in learn_scores(seen[rest], truth[rest], stages).items():
            scores, new = judge(tested), tested_truth == label
            found[name][1].append(detection_auroc(scores[~new], scores[new]))
    return found


def main(settings: Settings) -> None:
    """Print the table."""
    model = ModelConfig(
        model=settings.model, weights=settings.weights, image_size=settings.image_size
    )
    frozen = Frozen(model)
    with TemporaryDirectory() as run_dir:
        data = DataConfig(data_dir=settings.data_dir, folds=settings.folds)
        config = TrainConfig(data=data, model=model)
        tested = [images.parts["test"] for images in prepare_images(config, Path(run_dir))]
        parts = [frozen.look_at_part(part) for part in tested]
    truths = [np.asarray(part["label"]) for part in tested]
    kinds = {kind: frozen.look(images) for kind, images in ood_images.drawn_images(0).items()}
    if settings.ood_dir is not None:
        shown = [
            frozen.look([image])
            for image in ood_images.images_of_folder(settings.ood_dir, FULL_DEPTH)
        ]
        kinds["folder"] = joined(shown)
    results = []
    for fold in tqdm(range(len(parts)), "judging", leave=False, disable=None):
        others = [place for place in range(len(parts)) if place != fold]
        known = joined([parts[o] for o in others]), np.concatenate([truths[o] for o in others])
        results.append(judge_fold(known, (parts[fold], truths[fold]), kinds, frozen.stages))
    print(
        heading(
            f"{settings.model} at {settings.image_size} px, frozen; {sum(map(len, truths))} images "
            f"in {len(parts)} folds; ood kinds: {', '.join(kinds)}; AUROC in per cent"
        )
    )
    print(head("Score", "ood, mean", "ood, worst kind", "class left out, mean", "worst"))
    for name in results[0]:
        aliens = np.mean([result[name][0] for result in results], axis=0)
        classes = np.mean([result[name][1] for result in results], axis=0)
        numbers = (aliens.mean(), aliens.min(), classes.mean(), classes.min())
        print(row(name, *(f"{100 * number:.1f}" for number in numbers)))


if __name__ == "__main__":
    main(tyro.cli(Settings))
