"""Communication between the processes of a training, over the CPU so that no GPU waits."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.distributed as dist


def highest(number: int) -> int:
    """Return the maximum of `number` over all processes."""
    return int(max(tensor.item() for tensor in gathered(torch.tensor(number))))


def gathered(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return the tensors of all processes, in the order of the processes.

    Args:
        tensor: on the CPU, with the same shape and type in each process.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return [tensor]
    tensors = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(tensors, tensor, group=_on_cpu())
    return tensors


@cache
def _on_cpu() -> Any:
    """Return a process group that exchanges CPU tensors, whatever backend training uses."""
    return dist.new_group(backend="gloo")
