"""The engines compared: whole answers for images, with preprocessing, novelty and decision.

The networks have random weights; the time does not depend on them. Each round asks every engine
for two answers, so that a busy moment of the machine meets them all, after a pause: threads of an
engine spin for a while after its answer, and would hold a core of the next one. The first answer
after the pause is not counted: it finds sleeping cores and cold caches. bfloat16 is measured where
the processor has it.

The floor is the time that the network's operations take at the rate of a large matrix product in
float32, measured in the same rounds: no engine answers sooner in float32, unless it saves
operations.
"""

from __future__ import annotations

import os

from trainer.cli.command import limit_spinning

if __name__ == "__main__":
    # As the commands do; OpenMP and OpenBLAS read it while torch and numpy are imported.
    limit_spinning(os.environ)

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from PIL import Image

from benchmarks.arithmetic_floor import matrix_rate
from benchmarks.measurement import Measurement, number_column, text_column
from benchmarks.random_model import LABELS, random_decision, random_network, reference_pixels
from benchmarks.table import Column
from space.inference.core.classifier import Classifier, Engine, Facts
from space.inference.core.preprocessing import Preprocessing
from space.inference.engines.graph import PixelGraph, to_onnx
from space.inference.engines.onnx_runtime import OnnxRuntimeEngine
from space.inference.engines.openvino_cpu import OpenVINOEngine, has_bf16
from space.inference.engines.pytorch import PyTorchEngine
from space.inference.networks.stages import feature_stages
from trainer.model.cost import forward_operations
from trainer.synthetic.samples import draw_image

WARM_UP = 2
PAUSE_S = 0.1
# Of an engine in its turn, with the first one, which is not counted.
ANSWERS = 2
PYTORCH, BF16, FLOOR = "PyTorch", "OpenVINO, bfloat16", "floor"
MATRIX_SIDE = 2048


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


@dataclass(frozen=True)
class Contest:
    """A classifier with a decision, and the engines that answer for it.

    Attributes:
        asked: the classifier.
        engines: by name; the first one is PyTorch.
        operations: of one image's forward pass; a multiply-add counts as two.
    """

    asked: Classifier
    engines: Mapping[str, Engine]
    operations: int


def contest(name: str, side: int) -> Contest:
    """Return timm's network with random weights, in all engines."""
    network, config = random_network(name, side)
    preprocessing, stages = Preprocessing.from_timm(config), feature_stages(network)
    graph = PixelGraph(network, preprocessing.mean, preprocessing.std, stages)
    threads, model = torch.get_num_threads(), to_onnx(graph, side, side)
    engines: dict[str, Engine] = {
        PYTORCH: PyTorchEngine(graph, torch.device("cpu")),
        "OpenVINO, float32": OpenVINOEngine(model, stages, threads, "f32"),
    }
    if has_bf16():
        engines[BF16] = OpenVINOEngine(model, stages, threads, "bf16")
    engines["ONNX Runtime"] = OnnxRuntimeEngine(model, stages, threads)
    seen = engines["OpenVINO, float32"].run(reference_pixels(side))
    decision = random_decision(stages, seen.statistics)
    facts = Facts(name, LABELS, preprocessing, bit_depth=8, tile=False)
    operations = forward_operations(network, (side, side))
    return Contest(Classifier(facts, decision, engines[PYTORCH]), engines, operations)


def answer_ms(of: Contest, images: list[Image.Image], seconds: float) -> dict[str, float]:
    """Return the milliseconds for one image by engine, and of the floor: the medians."""
    asked = of.asked
    taken: dict[str, list[float]] = {name: [] for name in (FLOOR, *of.engines)}
    end, rounds = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or rounds <= WARM_UP:
        rounds += 1
        rate = matrix_rate(MATRIX_SIDE, torch.float32)
        if rounds > WARM_UP:
            taken[FLOOR].append(1000 * of.operations / rate)
        for name, engine in of.engines.items():
            time.sleep(PAUSE_S)
            for answer in range(ANSWERS):
                start = time.perf_counter()
                inputs = [asked.prepare(image) for image in images]
                asked.predict_from(asked.observe_prepared(inputs, engine))
                if rounds > WARM_UP and answer:
                    taken[name].append(1000 * (time.perf_counter() - start) / len(images))
    return {name: median(times) for name, times in taken.items()}


def main(settings: Settings) -> None:
    """Print the table."""
    images = [
        draw_image(LABELS[number % len(LABELS)], number).convert("RGB")
        for number in range(max(settings.batches))
    ]
    measurement = Measurement(
        columns(),
        f"drawn images, preprocessing, novelty and decision included; {torch.get_num_threads()} "
        "threads; × means times as fast as PyTorch in float32; % is the floor's share of the time; "
        f"the floor: the network's operations at the rate of a product of float32 matrices of "
        f"{MATRIX_SIDE} × {MATRIX_SIDE} by PyTorch, and how often as fast as PyTorch that is",
    )
    for network in settings.networks:
        name, _, side = network.partition(":")
        of = contest(name, int(side))
        for batch in settings.batches:
            taken = answer_ms(of, images[:batch], settings.seconds)
            floor = taken.pop(FLOOR)
            cells = [_cell(engine, taken, floor) for engine in taken]
            title = f"`{name}`, {side} px"
            measurement.add(title, batch, (floor, taken[PYTORCH] / floor), *cells)
    measurement.write(settings.json)


def columns() -> list[Column]:
    """Return the columns of the table; the engines are in the order of `contest`."""
    found = [text_column("Network"), number_column("Images at once", "{}")]
    found.append(number_column("Floor", "{:.1f} ms, {:.1f} ×"))
    found.append(number_column(PYTORCH, "{:.1f} ms, {:.0f} %"))
    found.append(number_column("OpenVINO, float32", "{:.1f} ms, {:.1f} ×, {:.0f} %"))
    if has_bf16():
        found.append(number_column(BF16, "{:.1f} ms, {:.1f} ×"))
    return [*found, number_column("ONNX Runtime", "{:.1f} ms, {:.1f} ×, {:.0f} %")]


def _cell(engine: str, taken: Mapping[str, float], floor_ms: float) -> tuple[float, ...]:
    """Return the milliseconds of an engine, how often as fast as PyTorch, and the floor's share."""
    ms = taken[engine]
    ratio = () if engine == PYTORCH else (taken[PYTORCH] / ms,)
    # The floor is one of float32.
    share = () if engine == BF16 else (100 * floor_ms / ms,)
    return (ms, *ratio, *share)


if __name__ == "__main__":
    main(tyro.cli(Settings))
