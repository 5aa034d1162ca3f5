"""Localization of heatmaps: methods of captum compared with the published one.

Each method explains the true class of the same test images of a finished run. Lift is the energy
inside the boxes divided by the boxes' share of the area, so that 1 is chance.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from captum.attr import (
    IntegratedGradients,
    LayerActivation,
    LayerGradCam,
    LayerGradientXActivation,
    Occlusion,
)
from torch.nn.functional import interpolate
from torchvision.transforms.v2.functional import gaussian_blur

from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.table import Cell
from space.inference.attribution import Explainer, above_mean, stage_names
from space.inference.predictor import Predictor, read_image
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.data.voc_boxes import BoxFolders, mask, match_class, read_boxes
from trainer.evaluation.checks.localization import HeatmapFit, compare, summarize

# Maps a batch of one image and its class to a heatmap of any size, [1, 1, row, column].
Method = Callable[[torch.Tensor, int], Any]


@dataclass(frozen=True)
class Settings:
    """Heatmaps of several methods against boxes."""

    run_dir: Path
    """A finished run of trainer/train.py."""
    data_dir: Path
    """Its images."""
    boxes: Path
    """Pascal VOC files."""
    images_per_class: int = 12
    """Random test images that have a box of their own class."""
    seed: int = 0
    """Of the choice."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print the table."""
    predictor = Predictor(settings.run_dir / PUBLISHED_DIR)
    model: Any = predictor.model
    chosen = choose(settings, predictor.labels)
    explainer = Explainer(predictor)
    measurement = Measurement(
        [
            text_column("Method"),
            *(number_column(label, "{:.2f} ({:.1f})") for label in predictor.labels),
            number_column("Mean", "{:.2f}"),
            number_column("An image", "{:.0f} ms"),
        ],
        f"{model.pretrained_cfg['architecture']}, {len(chosen)} images",
    )
    ways = {
        name: captum_map(method, predictor) for name, method in methods(explainer.model).items()
    }
    for name, explain in (ways | {"**published**": explainer.explain}).items():
        measurement.add(name, *score(explain, chosen, settings, predictor.labels))
    measurement.write(settings.json)


def choose(settings: Settings, labels: list[str]) -> list[tuple[str, int, Any]]:
    """Return (file, label, boxes of that class) of some test images of each class."""
    with (settings.run_dir / "split.csv").open(encoding="utf-8", newline="") as opened:
        files = [row["file"] for row in csv.DictReader(opened) if row["split"] == "test"]
    order = np.random.default_rng(settings.seed).permutation(len(files))
    chosen = []
    counts = dict.fromkeys(range(len(labels)), 0)
    boxes = read_boxes(BoxFolders({"": settings.boxes}), files)
    for file in (files[index] for index in order):
        label = labels.index(Path(file).parent.name)
        own = [b for b in boxes.get(file, []) if match_class(b.name, labels) == labels[label]]
        if own and counts[label] < settings.images_per_class:
            counts[label] += 1
            chosen.append((file, label, own))
    return chosen


def methods(model: Any) -> dict[str, Method]:
    """Return captum's methods by name, set up for a timm model."""
    scales = [model.get_submodule(name) for name in stage_names(model)]
    fine, middle, last = scales[-3:]

    def relevance(layer: torch.nn.Module) -> Method:
        explain = LayerGradientXActivation(model, layer)
        return lambda batch, label: explain.attribute(batch, label).sum(1, keepdim=True).relu()

    def product(*layers: torch.nn.Module) -> Method:
        explain = LayerGradientXActivation(model, list(layers))

        def explained(batch: torch.Tensor, label: int) -> Any:
            layers_relevance = explain.attribute(batch, label)
            heat = [layer.sum(1, keepdim=True).relu() for layer in layers_relevance]
            sized = [interpolate(layer, batch.shape[2:], mode="bilinear") for layer in heat]
            return torch.stack([above_mean(layer) for layer in sized]).prod(0)

        return explained

    def grad_cam(layer: torch.nn.Module) -> Method:
        explain = LayerGradCam(model, layer)
        return lambda batch, label: explain.attribute(batch, label, relu_attributions=True)

    def activation(batch: torch.Tensor, label: int) -> Any:
        del label
        return LayerActivation(model, last).attribute(batch).abs().mean(1, keepdim=True)

    def integrated(batch: torch.Tensor, label: int) -> Any:
        found = IntegratedGradients(model).attribute(batch, target=label, n_steps=16)
        sigma = batch.shape[-1] / 40
        return gaussian_blur(found.sum(1, keepdim=True).abs(), [4 * int(sigma) + 1] * 2, sigma)

    def occlusion(batch: torch.Tensor, label: int) -> Any:
        patch = batch.shape[-1] // 7
        found = Occlusion(model).attribute(
            batch, (3, patch, patch), strides=(3, patch // 2, patch // 2), target=label
        )
        return found.mean(1, keepdim=True).relu()

    return {
        "Grad-CAM, last scale": grad_cam(last),
        "Grad-CAM, scale before": grad_cam(middle),
        "gradient × activation, last scale": relevance(last),
        "gradient × activation, scale before": relevance(middle),
        "gradient × activation, two before": relevance(fine),
        "the last two scales above their mean, multiplied": product(middle, last),
        "activation, last scale": activation,
        "integrated gradients, smoothed": integrated,
        "occlusion": occlusion,
    }


def captum_map(method: Method, predictor: Predictor) -> Callable[[Any, int], Any]:
    """Return a function from image and class to a heatmap of the size of the network's input."""

    def explain(image: Any, label: int) -> Any:
        batch = predictor.normalized(image)
        found = method(batch, label).detach()
        return interpolate(found, batch.shape[2:], mode="bilinear")[0, 0].double().numpy()

    return explain


def score(
    explain: Callable[[Any, int], Any],
    chosen: list[tuple[str, int, Any]],
    settings: Settings,
    labels: list[str],
) -> list[Cell]:
    """Return, for each class, the lift of the energy and of the pointing game; mean; ms."""
    start = time.perf_counter()
    maps = [explain(read_image(settings.data_dir / file), label) for file, label, _ in chosen]
    milliseconds = 1000 * (time.perf_counter() - start) / len(chosen)
    found: list[HeatmapFit] = [
        compare(labels[label], heatmap, mask(own, *heatmap.shape))
        for heatmap, (_, label, own) in zip(maps, chosen, strict=True)
    ]
    classes = {facts.label: facts for facts in summarize(found, labels).classes}
    lifts: list[Cell] = [
        (classes[label].energy_lift, classes[label].pointing_lift) if label in classes else None
        for label in labels
    ]
    mean = float(np.mean([facts.energy_lift for facts in classes.values()]))
    return [*lifts, mean, milliseconds]


if __name__ == "__main__":
    main(tyro.cli(Settings))
