"""Search for the largest batch that fits into GPU memory, before training starts."""

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

from trainer.config.groups import ModelConfig
from trainer.config.recipe import RecipeConfig
from trainer.errors import ConfigError
from trainer.fitting.optimizer import build_optimizer
from trainer.model import backbone

logger = logging.getLogger(__name__)

# The rest is for communication between processes and for fragmentation.
MEMORY_SHARE = 0.9


def check_gpu(device: torch.device) -> None:
    """Check that training runs on a GPU.

    Raises:
        ConfigError: it runs on a CPU.
    """
    if device.type == "cpu":
        raise ConfigError(
            "--find-batch-size is for GPUs. This training runs on a CPU, where larger batches are "
            "no faster: leave it out."
        )


def resolve_batch_size(
    config: ModelConfig,
    recipe: RecipeConfig,
    classes: int,
    most_tiles: int,
    accelerator: Accelerator,
) -> RecipeConfig:
    """Return a recipe with the same number of images per step, in batches that fit into memory.

    The trials use a copy of the network with random weights.

    Args:
        config: of the network.
        recipe: the batch size and the number of batches per step.
        classes: number of classes.
        most_tiles: the largest number of tiles of an image.
        accelerator: the device.

    Raises:
        ConfigError: not even the smallest batch fits.
    """
    processes = accelerator.num_processes
    images = recipe.batch_size * recipe.accumulate
    untrained = replace(config, pretrained=False, weights=None)
    model = backbone.build(untrained, classes).model
    with _memory_to_spare(accelerator.device):
        found = largest_that_fits(
            lambda size: try_step(
                model, size // processes * most_tiles, config.image_size, recipe, accelerator
            ),
            batch_sizes(images, processes),
        )
    # The GPUs of several processes may differ: use what fits into the smallest.
    found = min(gather_object([found]))
    logger.info(
        "The GPU's memory holds batches of %d images: %d to a step.", found, images // found
    )
    return replace(recipe, batch_size=found, accumulate=images // found)


def batch_sizes(images: int, processes: int) -> list[int]:
    """Return the possible batch sizes over all processes, the largest first."""
    sizes = [images // count for count in range(1, images + 1) if images % count == 0]
    return [size for size in sizes if size % processes == 0]


def largest_that_fits(attempt: Callable[[int], None], sizes: Sequence[int]) -> int:
    """Return the first size with which `attempt` does not run out of memory.

    Raises:
        ConfigError: every size runs out of memory.
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


def try_step(
    model: nn.Module, images: int, side_px: int, recipe: RecipeConfig, accelerator: Accelerator
) -> None:
    """Take one training step with a copy of the model on blank square images."""
    device = accelerator.device
    network = deepcopy(model).to(device).to(memory_format=torch.channels_last)
    average = deepcopy(network) if recipe.ema_decay else None
    optimizer = build_optimizer(network, recipe, device)
    inputs = torch.zeros(images, 3, side_px, side_px, device=device)
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
