"""The arithmetic of a network, and the engine that its tests are worth."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from space.inference.engines.names import EngineName

# Half a minute of PyTorch at the rate of a lite0 on one thread (16 billion operations a second);
# converting that network costs 8.5 s. A count instead of a measured time: a resumed run computes
# with the same engine.
WORTH_CONVERTING = 500e9
# ConvNeXt-Base for ninety epochs of 1,300 images of 224 px. On an H100 a step of 16 takes 15 ms
# instead of 21, and compiling 22 s. A count, too: a resumed run computes with the same kernels.
WORTH_COMPILING = 3.5e15


def choose_testing_engine(
    network: torch.nn.Module, size_px: tuple[int, int], passes: int
) -> EngineName:
    """Return what runs a network in its tests on the processor.

    Args:
        network: in evaluation mode, on the processor.
        size_px: rows and columns of its input.
        passes: number of images that the tests send through it.
    """
    operations = passes * forward_operations(network, size_px)
    return "auto" if operations >= WORTH_CONVERTING else "pytorch"


def worth_compiling(network: torch.nn.Module, side_px: int, images: int) -> bool:
    """Return whether a training on a GPU gains more time by compiled blocks than they cost.

    Args:
        network: in any mode; its state is not changed.
        side_px: of its square input.
        images: number of images in all epochs together.
    """
    training = network.training
    # Batch normalization in training mode would note the image.
    network.eval()
    try:
        return images * forward_operations(network, (side_px, side_px)) >= WORTH_COMPILING
    finally:
        network.train(training)


def forward_operations(network: torch.nn.Module, size_px: tuple[int, int]) -> int:
    """Return the operations of one image's forward pass; a multiply-add counts as two."""
    counter = FlopCounterMode(display=False)
    # The counter's hooks fail without gradients where a module takes a parameter as its input, as
    # the attention pooling of SigLIP does.
    with torch.enable_grad(), counter:
        network(torch.zeros(1, 3, *size_px, device=next(network.parameters()).device))
    return counter.get_total_flops()
