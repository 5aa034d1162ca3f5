"""What a finished network makes of known and foreign images: all that a decision is based on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from space.inference.novelty import MahalanobisDetector, feature_stages
from space.inference.predictor import Observation, Predictor
from trainer.data.sources import open_image
from trainer.data.splits.dataset import Images
from trainer.decision.novelty import fit_detector, held_out_novelty
from trainer.decision.temperature import Array, Labels
from trainer.errors import DataError
from trainer.runtime import checkpoint

logger = logging.getLogger(__name__)

OUTPUTS_FILE = "outputs.safetensors"
BATCH_SIZE = 16
LARGEST_DIFFERENCE = 1e-3
MOST_LEFT_OUT = 20


@dataclass(frozen=True)
class ReferenceSet:
    """What is learned from training and validation images.

    Attributes:
        stages: of the network, whose detector are compared; none if it can't show them.
        described: detector of the images, by stage.
        truth: their classes.
        detector: what the images look like; None without stages.
        novelty: of each image to the others, without those that share its surface.
        validation_logits: [image, class], of the validation part.
        validation_truth: its classes.
    """

    stages: list[int]
    described: list[torch.Tensor]
    truth: Labels
    detector: MahalanobisDetector | None
    novelty: Array
    validation_logits: Array
    validation_truth: Labels


@dataclass(frozen=True)
class HeldOutOutputs:
    """Outputs for images that the network did not learn from.

    Attributes:
        logits: of the test part, [image, class].
        truth: its classes.
        novelty: of each test image, as `MahalanobisDetector` measures it; None without detector.
        reference_novelty: of the images that the detector were learned from; see `ReferenceSet`.
        ood: novelty of foreign images, by kind.
        left_out: for each class, novelty of the other classes' test images and of its own,
            where the detector were learned without the class.
    """

    logits: torch.Tensor
    truth: Labels
    novelty: torch.Tensor | None
    reference_novelty: Array
    ood: Mapping[str, Array]
    left_out: Mapping[str, tuple[Array, Array]]

    def save(self, run_dir: Path) -> None:
        """Keep the outputs in a run folder, for a cross-validation to join."""
        tensors = {"logits": self.logits, "truth": torch.from_numpy(self.truth)}
        tensors["known"] = torch.from_numpy(self.reference_novelty)
        if self.novelty is not None:
            tensors["novelty"] = self.novelty
        for index, values in enumerate(self.ood.values()):
            tensors[f"ood{index}"] = torch.from_numpy(values)
        for index, (known, unknown) in enumerate(self.left_out.values()):
            tensors[f"others{index}"] = torch.from_numpy(known)
            tensors[f"left_out{index}"] = torch.from_numpy(unknown)
        facts = {"ood": list(self.ood), "left_out": list(self.left_out)}
        checkpoint.save(run_dir / OUTPUTS_FILE, tensors, facts)

    @classmethod
    def load(cls, run_dir: Path) -> HeldOutOutputs:
        """Read what `save` wrote.

        Raises:
            DataError: the file is damaged or missing.
        """
        file = run_dir / OUTPUTS_FILE
        if not file.is_file():
            raise DataError(
                f"There is no {file}: an earlier version of this program made {run_dir}. "
                "Remove that folder, and it is made anew."
            )
        tensors, facts = checkpoint.load(file)
        return cls(
            logits=tensors["logits"],
            truth=tensors["truth"].numpy(),
            novelty=tensors.get("novelty"),
            reference_novelty=tensors["known"].numpy(),
            ood={kind: tensors[f"ood{index}"].numpy() for index, kind in enumerate(facts["ood"])},
            left_out={
                label: (tensors[f"others{index}"].numpy(), tensors[f"left_out{index}"].numpy())
                for index, label in enumerate(facts["left_out"])
            },
        )


def fit_reference(predictor: Predictor, images: Images, most: int, seed: int) -> ReferenceSet:
    """Look at validation images, and `most` training images, with a network without a decision."""
    stages = _checked_stages(predictor) if most else []
    validation, train = images.parts["validation"], images.parts["train"]
    seen = observe_part(predictor, validation, stages, "looking at validation images")
    known, described = validation, seen.statistics
    if stages:
        sample = _sample(train, most, seed)
        more = observe_part(predictor, sample, stages, "looking at training images")
        known = datasets.concatenate_datasets([validation, sample])
        described = [torch.cat(pair) for pair in zip(described, more.statistics, strict=True)]
    truth = np.asarray(known["label"][:])
    novelty = held_out_novelty(stages, described, truth, known["group"][:], seed)
    return ReferenceSet(
        stages=stages,
        described=described,
        truth=truth,
        detector=fit_detector(stages, described, truth) if len(novelty) else None,
        novelty=novelty,
        validation_logits=seen.logits.double().numpy(),
        validation_truth=np.asarray(validation["label"][:]),
    )


def collect_outputs(
    known: ReferenceSet,
    detector: MahalanobisDetector | None,
    labels: Sequence[str],
    test: datasets.Dataset,
    observed: Observation,
    ood: Mapping[str, Observation],
) -> HeldOutOutputs:
    """Say how strange test images and foreign ones are, also where a class was left out.

    Args:
        known: what was learned from training and validation images.
        detector: those of the decision; None if it rejects nothing.
        labels: of the classes.
        test: the test part.
        observed: what the published network makes of it.
        ood: and of foreign images, by kind.
    """
    truth = np.asarray(test["label"][:])
    return HeldOutOutputs(
        logits=observed.logits,
        truth=truth,
        novelty=detector.novelty(observed.statistics) if detector else None,
        reference_novelty=known.novelty,
        ood={kind: detector.novelty(seen.statistics).numpy() for kind, seen in ood.items()}
        if detector
        else {},
        left_out=_leave_classes_out(known, labels, truth, observed.statistics) if detector else {},
    )


def _leave_classes_out(
    known: ReferenceSet, labels: Sequence[str], truth: Labels, described: list[torch.Tensor]
) -> dict[str, tuple[Array, Array]]:
    """Fit the detector without each class in turn, and score all test images by them.

    Each class costs a fit: of many classes, MOST_LEFT_OUT evenly spaced ones are left out.
    """
    if len(labels) < 3:
        return {}
    found = {}
    for index in range(0, len(labels), -(-len(labels) // MOST_LEFT_OUT)):
        label = labels[index]
        rest = known.truth != index
        seen = [values[torch.from_numpy(rest)] for values in known.described]
        detector = fit_detector(known.stages, seen, known.truth[rest])
        novelty = detector.novelty(described).numpy()
        found[label] = novelty[truth != index], novelty[truth == index]
    return found


def observe_part(
    predictor: Predictor, part: datasets.Dataset, stages: Sequence[int], title: str
) -> Observation:
    """Send all images of a part through the network; `stages` as for `Predictor.observe`."""
    seen = []
    with tqdm(total=len(part), desc=title, unit="image", leave=False, disable=None) as bar:
        for first in range(0, len(part), BATCH_SIZE):
            rows = part.select(range(first, min(first + BATCH_SIZE, len(part))))
            seen.append(predictor.observe([open_image(row) for row in rows], stages))
            bar.update(len(rows))
    return _joined(seen)


def observe_images(
    predictor: Predictor, images: Iterable[Image.Image], stages: Sequence[int]
) -> Observation:
    """Send images through the network, a batch at a time; `stages` as for `Predictor.observe`."""
    left = iter(images)
    batches = iter(lambda: list(islice(left, BATCH_SIZE)), [])
    return _joined([predictor.observe(batch, stages) for batch in batches])


def _joined(parts: Sequence[Observation]) -> Observation:
    return Observation(
        logits=torch.cat([part.logits for part in parts]),
        statistics=[torch.cat(maps) for maps in zip(*(p.statistics for p in parts), strict=True)],
    )


def _sample(part: datasets.Dataset, most: int, seed: int) -> datasets.Dataset:
    """Return so many rows at most, chosen by chance."""
    if len(part) <= most:
        return part
    rows = np.random.default_rng(seed).choice(len(part), most, replace=False)
    return part.select(np.sort(rows))


def _checked_stages(predictor: Predictor) -> list[int]:
    """Return the stages to look at; none, and a word about it, if that changes the outputs."""
    stages = feature_stages(predictor.model)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image = Image.fromarray(noise)
    if stages:
        plain = predictor.observe([image], []).logits
        staged = predictor.observe([image], stages).logits
        if (plain - staged).abs().max() <= LARGEST_DIFFERENCE:
            return stages
    logger.warning(
        "This network does not show its stages, so that unknown surfaces can't be recognised."
    )
    return []
