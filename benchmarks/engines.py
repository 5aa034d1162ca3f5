"""The engines compared: whole answers for images, with preprocessing, novelty and decision.

The networks have random weights; the time does not depend on them. Each round asks every engine
once, so that a busy moment of the machine meets them all, after a pause: threads of an engine spin
for a while after its answer, and would hold a core of the next one. bfloat16 is measured where the
processor has it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from PIL import Image

from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.random_model import LABELS, random_decision, random_network, reference_pixels
from space.inference.core.classifier import Classifier, Engine, Facts
from space.inference.core.preprocessing import Preprocessing
from space.inference.engines.graph import PixelGraph, to_onnx
from space.inference.engines.onnx_runtime import OnnxRuntimeEngine
from space.inference.engines.openvino_cpu import OpenVINOEngine, has_bf16
from space.inference.engines.pytorch import PyTorchEngine
from space.inference.networks.stages import feature_stages
from trainer.synthetic.samples import draw_image

WARM_UP = 2
PAUSE_S = 0.1
BF16 = "OpenVINO, bfloat16"


@dataclass(frozen=True)
class Settings:
    """Time the answers of each engine."""

    networks: tuple[str, ...] = (
        "tf_efficientnet_lite0:160",
        "convnext_tiny:224",
        "convnext_base:224",
    )
    """timm's names, each with the side of its input in pixels."""
    batches: tuple[int, ...] = (1, 16)
    """Images in one call."""
    seconds: float = 20
    """For each network and batch."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def classifier(name: str, side: int) -> tuple[Classifier, Mapping[str, Engine]]:
    """Return a classifier with a decision, and its engines by name; the first one is PyTorch."""
    network, config = random_network(name, side)
    preprocessing, stages = Preprocessing.from_timm(config), feature_stages(network)
    graph = PixelGraph(network, preprocessing.mean, preprocessing.std, stages)
    threads, model = torch.get_num_threads(), to_onnx(graph, side, side)
    engines: dict[str, Engine] = {
        "PyTorch": PyTorchEngine(graph, torch.device("cpu")),
        "OpenVINO, float32": OpenVINOEngine(model, stages, threads, "f32"),
    }
    if has_bf16():
        engines[BF16] = OpenVINOEngine(model, stages, threads, "bf16")
    engines["ONNX Runtime"] = OnnxRuntimeEngine(model, stages, threads)
    seen = engines["OpenVINO, float32"].run(reference_pixels(side))
    decision = random_decision(stages, seen.statistics)
    facts = Facts(name, LABELS, preprocessing, bit_depth=8, tile=False)
    return Classifier(facts, decision, engines["PyTorch"]), engines


def answer_ms(
    asked: Classifier, engines: Mapping[str, Engine], images: list[Image.Image], seconds: float
) -> dict[str, float]:
    """Return the milliseconds for one image by engine: the median of all rounds."""
    taken: dict[str, list[float]] = {name: [] for name in engines}
    end, rounds = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or rounds <= WARM_UP:
        rounds += 1
        for name, engine in engines.items():
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            inputs = [asked.prepare(image) for image in images]
            asked.predict_from(asked.observe_prepared(inputs, engine))
            if rounds > WARM_UP:
                taken[name].append(1000 * (time.perf_counter() - start) / len(images))
    return {name: median(times) for name, times in taken.items()}


def main(settings: Settings) -> None:
    """Print the table."""
    images = [
        draw_image(LABELS[number % len(LABELS)], number).convert("RGB")
        for number in range(max(settings.batches))
    ]
    columns = [text_column("Network"), number_column("Images at once", "{}")]
    columns.append(number_column("PyTorch", "{:.1f} ms an image"))
    faster = ("OpenVINO, float32", *([BF16] if has_bf16() else []), "ONNX Runtime")
    columns += [number_column(name, "{:.1f} ms, {:.1f} ×") for name in faster]
    measurement = Measurement(
        columns,
        f"drawn images, preprocessing, novelty and decision included; {torch.get_num_threads()} "
        "threads; × means times as fast as PyTorch in float32",
    )
    for network in settings.networks:
        name, _, side = network.partition(":")
        asked, engines = classifier(name, int(side))
        for batch in settings.batches:
            taken = answer_ms(asked, engines, images[:batch], settings.seconds)
            plain = taken["PyTorch"]
            ratios = [(taken[engine], plain / taken[engine]) for engine in faster]
            measurement.add(f"`{name}`, {side} px", batch, plain, *ratios)
    measurement.write(settings.json)


if __name__ == "__main__":
    main(tyro.cli(Settings))
