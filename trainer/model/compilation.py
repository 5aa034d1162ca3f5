"""torch.compile: kernels compiled for one network and batch size, or for its repeated blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.errors import ConfigError


def compiled(model: torch.nn.Module) -> Any:
    """Return the model's forward pass, compiled at its first call; the model is not changed.

    Each batch size gets its own kernels: shared ones would depend on the order of the sizes, and a
    resumed run, which meets them in another order, would round differently.
    """
    return torch.compile(model, dynamic=False)


# torch compiles a function for at most eight sets of shapes by default.
MOST_SHAPES = 8
# Where torch's compiler keeps its kernels.
KERNELS_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """Return the blocks that a network repeats, such as the 36 of ConvNeXt-Base; none if it varies.

    Blocks of one class and the same shapes share their kernels, so that compiling a few compiles
    most of the network. Of several classes, the one that holds most weights counts.
    """
    kinds: dict[type[nn.Module], list[nn.Module]] = {}
    for module in network.modules():
        if next(module.children(), None) is not None:
            kinds.setdefault(type(module), []).append(module)
    repeated = [
        blocks
        for blocks in kinds.values()
        if (shapes := _distinct_shapes(blocks)) <= MOST_SHAPES and 2 * shapes <= len(blocks)
    ]
    return max(repeated, key=_weights, default=[])


@contextmanager
def compiled_blocks(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Run these blocks compiled inside the context; kernels are compiled at the first pass."""
    for block in blocks:
        vars(block)["forward"] = torch.compile(block.forward, dynamic=False)
    try:
        yield
    finally:
        for block in blocks:
            del vars(block)["forward"]


def keep_kernels(folder: Path) -> None:
    """Keep compiled kernels in a folder, unless the user named one."""
    os.environ.setdefault(KERNELS_VARIABLE, str(folder))


def _distinct_shapes(blocks: Sequence[nn.Module]) -> int:
    return len({tuple(weights.shape for weights in block.parameters()) for block in blocks})


def _weights(blocks: Sequence[nn.Module]) -> int:
    return sum(weights.numel() for block in blocks for weights in block.parameters())


def check_compiler(device: torch.device) -> None:
    """Compile a small module to check that this machine can compile at all.

    Raises:
        ConfigError: it can't.
    """
    try:
        compiled(torch.nn.Softplus())(torch.zeros(2, device=device))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"--compile does not work on this machine. {reason}\n"
            "It needs a C++ compiler and the headers of Python (on Debian: apt-get install g++ "
            "python3-dev). Leave --compile out to train without."
        ) from error
