"""PyTorch as the engine: the reference that the others are compared with."""

from __future__ import annotations

import torch

from ..core.arrays import Pixels
from ..core.classifier import Observation
from .graph import PixelGraph


class PyTorchEngine:
    """Runs a graph with PyTorch, in float32.

    Args:
        graph: the network.
        device: where it is.
    """

    # The threads of one batch use all cores.
    batches_at_once = 1

    def __init__(self, graph: PixelGraph, device: torch.device) -> None:
        self.graph, self.device = graph.to(device).eval(), device
        place = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
        self.name = f"PyTorch {torch.__version__}{place}"

    @torch.inference_mode()
    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        logits, *statistics = self.graph(torch.from_numpy(pixels).to(self.device))
        return Observation(logits.float().cpu().numpy(), [s.cpu().numpy() for s in statistics])
