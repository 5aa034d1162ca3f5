"""Check recorded training steps on a GPU: equal, faster, resumed bit for bit; print JSON.

`bash benchmarks/gpu_check.sh` runs it on a fresh machine. Without CUDA, its CUDA parts are skipped
by name, and the rest runs with plain calls in the place of graphs.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import timm
import torch
import tyro
from accelerate import Accelerator
from timm.data import resolve_model_data_config

from benchmarks.contenders import OURS, Job, ours, timms
from benchmarks.measurement import command
from benchmarks.program import LAST_LINES, ROOT, ProgramError, offline
from benchmarks.training_speed import measure
from trainer.config.groups import RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.fitting.graphs import GraphedSteps, capture_graph
from trainer.fitting.inputs import FitInputs
from trainer.fitting.step import TrainingStep
from trainer.inputs.augment import Augment
from trainer.inputs.draws import draw
from trainer.inputs.loading import Batch
from trainer.model.cost import forward_operations
from trainer.model.precision import choose_precision
from trainer.runtime import checkpoint, system
from trainer.runtime.interruption import stop_signals_raised
from trainer.synthetic.samples import CLASSES, write_samples

NO_CUDA = {"skipped": "needs CUDA"}
# Kinds of steps: as they are, recorded, and recorded with compiled blocks.
KINDS = ("plain", "recorded", "compiled")
# A phase, such as "3/5 train", or an epoch that ended.
MILESTONE = re.compile(r"\d+/\d+ (\w+)|(epoch \d+)/")
PASSES, PRODUCTS, SIDE = 3, 20, 8192
# Both are measured from the command to the published folder, on 1,440 + 360 drawn images.
TRAIN_PER_CLASS, TEST_PER_CLASS = 240, 60
JOBS = {
    "lite0, recommended": (
        *("--model", "tf_efficientnet_lite0", "--image-size", "160"),
        *("--preset", "recommended"),
    ),
    "reference": ("--model", "convnext_base", "--preset", "reference", "--epochs", "50"),
}


@dataclass(frozen=True)
class Settings:
    """Recorded and plain training steps side by side, as JSON."""

    model: str = "convnext_base"
    """timm's name."""
    image_size: int = 224
    """Side in pixels."""
    batch_sizes: tuple[int, ...] = (16, 64, 256)
    """Images in a step."""
    steps: int = 30
    """Timed steps of each kind."""
    jobs: bool = True
    """Time whole commands, too."""
    timm_checkout: Path | None = None
    """A checkout of pytorch-image-models, whose train.py is measured too, at its own clock."""
    json: Path | None = None
    """A file for the result."""


def main(settings: Settings) -> dict[str, Any]:
    """Run all checks, print and return the result.

    What is known is printed also if a check fails, or a signal ends the run.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    result: dict[str, Any] = {
        "command": command(sys.argv),
        "date": datetime.datetime.now().astimezone().date().isoformat(),
        "machine": system.accelerator_name(device) or system.processor_name(),
        "image_size": settings.image_size,
        "versions": system.versions(),
        "model": settings.model,
        "floor_tflops": NO_CUDA,
        "batches": {},
    }
    try:
        with stop_signals_raised():
            if cuda:
                result["floor_tflops"] = _product_rate() / 1e12
            result["jobs"] = {} if cuda else NO_CUDA
            # What must be known first: the time of the whole check may end meanwhile.
            first, *others = settings.batch_sizes
            _compare_batches(settings, [first], result)
            _check(settings, result, "resume", _resume)
            _check(settings, result, "profile", _profile if cuda else lambda _: NO_CUDA)
            if cuda and settings.jobs:
                _time_jobs(result["jobs"])
            _compare_batches(settings, others, result)
            _check(settings, result, "timm", _timm)
    finally:
        _write(settings, result)
        print(json.dumps(result, indent=1))
    return result


def _check(
    settings: Settings, result: dict[str, Any], name: str, check: Callable[[Settings], Any]
) -> None:
    print(f"{name} …", file=sys.stderr)
    result[name] = check(settings)
    _write(settings, result)


def _write(settings: Settings, result: dict[str, Any]) -> None:
    if settings.json:
        settings.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _compare_batches(settings: Settings, sizes: Sequence[int], result: dict[str, Any]) -> None:
    for size in sizes:
        print(f"batch of {size} …", file=sys.stderr)
        row = _compare(settings, size)
        if torch.cuda.is_available():
            for kind in KINDS:
                rate = row[f"{kind}_images_per_s"] * _operations(settings)
                row[f"{kind}_share_of_floor"] = rate / (1e12 * result["floor_tflops"])
        result["batches"][size] = row
        _write(settings, result)


def _operations(settings: Settings) -> float:
    """Return the operations that training on one image takes."""
    network = timm.create_model(settings.model)
    return PASSES * forward_operations(network, (settings.image_size, settings.image_size))


def _step(settings: Settings, size: int) -> TrainingStep:
    torch.manual_seed(0)
    network = timm.create_model(settings.model, num_classes=len(CLASSES))
    data = resolve_model_data_config(network)
    data["input_size"] = (3, settings.image_size, settings.image_size)
    recipe = RecipeConfig(batch_size=size, ema_decay=0.99, clip_grad=1.0)
    unused: Any = None
    inputs = FitInputs(network, unused, unused, Augment(recipe, data), unused)
    labels = list(range(len(CLASSES)))
    images: Any = SimpleNamespace(
        labels=list(CLASSES), splits={"train": {"label": labels}}, multi_label=False
    )
    accelerator = Accelerator(mixed_precision=choose_precision(RunConfig()))
    return TrainingStep(inputs, images, recipe, 1000, accelerator)


def _batch(step: TrainingStep, side_px: int, number: int) -> Batch:
    size, device = step.recipe.batch_size, step.accelerator.device
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(256, (size, 3, side_px, side_px), dtype=torch.uint8, generator=generator)
    draws = draw(range(number * size, (number + 1) * size))
    targets = torch.arange(size) % len(CLASSES)
    return Batch((pixels.to(device), draws.to(device)), [1] * size, targets.to(device))


def _recorded(step: TrainingStep, *, compile_blocks: bool = False) -> GraphedSteps:
    cuda = step.accelerator.device.type == "cuda"
    capture = capture_graph if cuda else lambda work: work
    return GraphedSteps(step, capture, compile_blocks=compile_blocks)


def _compare(settings: Settings, size: int) -> dict[str, Any]:
    """Time plain, recorded, and recorded steps with compiled blocks, from the same start."""
    row: dict[str, Any] = {}
    for kind in KINDS:
        step = _step(settings, size)
        taken = step if kind == "plain" else _recorded(step, compile_blocks=kind == "compiled")
        start = time.perf_counter()
        rate = _rate(taken.step, _batch(step, settings.image_size, 0), settings.steps)
        row[f"{kind}_images_per_s"] = rate
        row[f"{kind}_start_s"] = time.perf_counter() - start - settings.steps * size / rate
        if isinstance(taken, GraphedSteps):
            row[f"{kind}_first_steps_equal"] = taken.usable
    return row


def _rate(take: Callable[..., torch.Tensor], batch: Batch, steps: int) -> float:
    # Reading the totals waits for the device.
    take([batch], 0).tolist()
    start = time.perf_counter()
    for number in range(1, steps):
        totals = take([batch], number)
    take([batch], steps).tolist()
    del totals
    return steps * len(batch.targets) / (time.perf_counter() - start)


def _resume(settings: Settings) -> dict[str, Any]:
    """Compare four steps with two, a checkpoint, and two more, bit for bit."""
    states = []
    for halts in ((), (2,)):
        step = _step(settings, settings.batch_sizes[0])
        graphs = _recorded(step, compile_blocks=True)
        for number in range(4):
            if number in halts:
                saved = {n: t.cpu().clone() for n, t in checkpoint.pack(**step.states()).items()}
                step = _step(settings, settings.batch_sizes[0])
                step.restore(saved)
                graphs = _recorded(step, compile_blocks=True)
            graphs.step([_batch(step, settings.image_size, number)], number)
        states.append(checkpoint.pack(**step.states()))
    one, other = states
    differing = [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]
    return {"bit_equal": not differing, "differing": len(differing), "tensors": len(one)}


def _product_rate() -> float:
    """Return the operations per second of a large bf16 matrix product."""
    factor = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16)
    for _ in range(3):
        factor @ factor
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(PRODUCTS):
        factor @ factor
    torch.cuda.synchronize()
    return 2 * SIDE**3 * PRODUCTS / (time.perf_counter() - start)


def _profile(settings: Settings) -> dict[str, Any]:
    """Profile ten recorded steps: the longest kernels, and the share of time without one."""
    step = _step(settings, settings.batch_sizes[0])
    graphs = _recorded(step, compile_blocks=True)
    batch = _batch(step, settings.image_size, 0)
    graphs.step([batch], 0).tolist()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        for number in range(1, 10):
            graphs.step([batch], number)
        graphs.step([batch], 10).tolist()
        wall_us = 1e6 * (time.perf_counter() - start)
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_device_time_total)
    busy_us = sum(row.self_device_time_total for row in rows)
    return {
        "idle_share": max(0.0, 1 - busy_us / wall_us),
        "kernels": [
            {"name": row.key[:120], "ms": row.self_device_time_total / 1e3} for row in rows[:15]
        ],
    }


def _timm(settings: Settings) -> dict[str, Any]:
    """Measure timm's train.py at its defaults and with all of its fast flags, on drawn images.

    Ours follows, at its defaults and by the same clock.
    """
    if settings.timm_checkout is None:
        return {"skipped": "needs --timm-checkout"}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rates: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "images"
        write_samples(images, train_per_class=80, test_per_class=2)
        (images / "test").rename(images / "validation")
        job = Job(settings.model, images, settings.image_size, settings.batch_sizes[0], 3)
        contenders = timms(job, Path(temporary), settings.timm_checkout, device)
        own = ours(job, Path(temporary))[0]
        for contender in (contenders[0], contenders[-1], own):
            name = OURS if contender is own else contender.flags or "defaults"
            try:
                rates[name] = measure(contender, job, Path(temporary)).images_per_second
            except ProgramError as error:
                rates[name] = {"failed": str(error)[-500:]}
    return rates


def _time_jobs(jobs: dict[str, Any]) -> None:
    """Add the seconds of each whole job, from the command to the published folder.

    They are added one by one: the time of the whole check may end meanwhile.
    """
    with tempfile.TemporaryDirectory() as temporary:
        images = Path(temporary) / "images"
        write_samples(images, train_per_class=TRAIN_PER_CLASS, test_per_class=TEST_PER_CLASS)
        for name, flags in JOBS.items():
            print(f"{name} …", file=sys.stderr)
            run_dir = Path(temporary) / str(len(jobs))
            train = ROOT / "trainer" / "train.py"
            _time_job(
                [
                    *(sys.executable, train, "--data-dir", images, "--run-dir", run_dir),
                    *("--no-pretrained", *flags),
                ],
                Path(temporary),
                jobs.setdefault(name, {}),
            )


def _time_job(command: Sequence[str | Path], folder: Path, seconds: dict[str, Any]) -> None:
    """Add the seconds after which each phase of a command and each epoch began, and its end."""
    lines: deque[str] = deque(maxlen=LAST_LINES)
    start = time.monotonic()
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=folder,
        text=True,
        env=offline(folder),
    ) as process:
        assert process.stderr is not None  # noqa: S101 -- a pipe was asked for
        for line in process.stderr:
            lines.append(line)
            if found := MILESTONE.match(line):
                seconds[found[1] or f"end of {found[2]}"] = time.monotonic() - start
    seconds["end"] = time.monotonic() - start
    if process.returncode:
        seconds["failed"] = "".join(lines)


if __name__ == "__main__":
    main(tyro.cli(Settings))
