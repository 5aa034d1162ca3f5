"""The largest batch that a GPU's memory holds, found before training starts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

import torch
from accelerate import Accelerator
from accelerate.utils import find_executable_batch_size, gather_object
from torch import nn

from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError
from trainer.fitting.optimizer import build_optimizer
from trainer.model import backbone

logger = logging.getLogger(__name__)

# What several processes exchange, and gaps between blocks of memory, need the rest.
MEMORY_SHARE = 0.9


def check_gpu(device: torch.device) -> None:
    """Make sure that there is a memory to fit into.

    Raises:
        ConfigError: training runs on a processor.
    """
    if device.type == "cpu":
        raise ConfigError(
            "--find-batch-size is for GPUs. This training runs on a processor, where larger "
            "batches are no faster: leave it out."
        )


def resolve_batch_size(
    config: TrainConfig, classes: int, most_tiles: int, accelerator: Accelerator
) -> TrainConfig:
    """Return settings with as many images a step, in batches that fit into the GPU's memory.

    A network of the same kind, with random weights, tries them out and is thrown away.

    Args:
        config: the settings.
        classes: outputs of the network.
        most_tiles: pictures that the network sees of one image, at most.
        accelerator: where it runs.

    Raises:
        ConfigError: not even the smallest batch fits.
    """
    recipe, processes = config.recipe, accelerator.num_processes
    images = recipe.batch_size * recipe.accumulate
    anew = replace(config.model, pretrained=False, weights=None)
    model = backbone.build(anew, classes).model
    with _memory_to_spare(accelerator.device):
        found = largest_that_fits(
            lambda size: try_step(model, size // processes * most_tiles, config, accelerator),
            batch_sizes(images, processes),
        )
    # The GPUs of several processes may differ; all take what the smallest holds.
    found = min(gather_object([found]))
    logger.info(
        "The GPU's memory holds batches of %d images: %d to a step.", found, images // found
    )
    return replace(
        config,
        recipe=replace(recipe, batch_size=found, accumulate=images // found),
        run=replace(config.run, find_batch_size=False),
    )


def batch_sizes(images: int, processes: int) -> list[int]:
    """Return the batches, of all processes together, that make a step; the largest first."""
    sizes = [images // parts for parts in range(1, images + 1) if images % parts == 0]
    return [size for size in sizes if size % processes == 0]


def largest_that_fits(attempt: Callable[[int], None], sizes: Sequence[int]) -> int:
    """Return the first size that `attempt` does without running out of memory.

    Raises:
        ConfigError: it ran out with each of them.
    """
    smaller = iter(sizes[1:])

    def attempted(size: int) -> int:
        attempt(size)
        return size

    search = find_executable_batch_size(
        attempted, starting_batch_size=sizes[0], reduce_batch_size_fn=lambda: next(smaller, 0)
    )
    try:
        found: int = search()
    except RuntimeError as error:
        if "No executable batch size" not in str(error):
            raise
        raise ConfigError(
            f"The GPU's memory does not hold even {sizes[-1]} images. Choose a smaller "
            "--image-size or a smaller model."
        ) from error
    return found


def try_step(model: nn.Module, images: int, config: TrainConfig, accelerator: Accelerator) -> None:
    """Take one step of training with a copy of the model, on images without content."""
    recipe, device, side = config.recipe, accelerator.device, config.model.image_size
    network = deepcopy(model).to(device).to(memory_format=torch.channels_last)
    average = deepcopy(network) if recipe.ema_decay else None
    optimizer = build_optimizer(network, recipe, device)
    inputs = torch.zeros(images, 3, side, side, device=device)
    with accelerator.autocast():
        outputs = network(inputs.contiguous(memory_format=torch.channels_last))
    outputs.float().square().mean().backward()
    optimizer.step()
    del average


@contextmanager
def _memory_to_spare(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_per_process_memory_fraction(MEMORY_SHARE)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
