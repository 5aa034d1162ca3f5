"""One graph from pixels to outputs: what is exported, and what other engines convert.

The graph takes the 8-bit RGB pixels of images at the network's input size. It normalizes them,
runs the network, and returns the logits and the channel statistics of the novelty stages.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch

from .names import INPUT, output_names

# Added to each standard deviation: the logarithm of a constant channel would be infinite.
SMALLEST_SPREAD = 1e-4
# The newest version of the operators that both onnxruntime 1.17 and OpenVINO 2024 read.
OPSET = 18


def channel_statistics(feature_map: torch.Tensor) -> torch.Tensor:
    """Return mean and logarithm of the standard deviation of each channel over the image.

    Args:
        feature_map: of one stage, [image, channel, row, column].

    Returns:
        float32 on the CPU, [image, 2 × channel].
    """
    spread, mean = torch.std_mean(feature_map.float().flatten(2), dim=2, correction=0)
    return torch.cat([mean, torch.log(spread + SMALLEST_SPREAD)], dim=1).cpu()


def normalized(pixels: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Return the input of a network: float32, [image, 3, row, column].

    Args:
        pixels: 8-bit RGB, [image, row, column, color].
        mean: of each color of pixels between 0 and 1, [1, 3, 1, 1].
        std: likewise.
    """
    return (pixels.permute(0, 3, 1, 2).contiguous().float() / 255 - mean) / std


class PixelGraph(torch.nn.Module):
    """A network with its normalization in front and the channel statistics as further outputs.

    Args:
        network: a timm model, which is set to evaluation mode.
        mean: of the normalization, for each color of pixels between 0 and 1.
        std: of the normalization, likewise.
        stages: of the network, whose channel statistics are returned.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        network: torch.nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        stages: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.stages = list(stages)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        # A new module trains, and torch's exporter would leave the network in that mode.
        self.eval()

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the logits, [image, class], and [image, statistic] for each stage.

        Args:
            pixels: 8-bit RGB, [image, row, column, color].
        """
        batch = normalized(pixels, self.mean, self.std)
        network: Any = self.network
        if not self.stages:
            return (network(batch),)
        features, maps = network.forward_intermediates(batch, indices=self.stages)
        logits = network.forward_head(features)
        return (logits, *(channel_statistics(each) for each in maps))


def to_onnx(graph: PixelGraph, rows: int, columns: int) -> bytes:
    """Return the graph in ONNX; the number of images is variable, their size is not.

    torch's exporter that traces is used. The newer one needs a further package, and is known to
    get shapes of some networks wrong.

    Args:
        graph: in evaluation mode, on the CPU.
        rows: height of the input in px.
        columns: width of the input in px.
    """
    names = output_names(graph.stages)
    written = io.BytesIO()
    # Two images: what the network does to a single one could be traced as a constant.
    pixels = torch.zeros(2, rows, columns, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        # They name the newer exporter, and the checks of shapes that tracing leaves out.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (pixels,),
            # A stream, which its types do not name.
            cast(Any, written),
            dynamo=False,
            input_names=[INPUT],
            output_names=names,
            dynamic_axes={name: {0: "image"} for name in (INPUT, *names)},
            opset_version=OPSET,
        )
    return written.getvalue()
