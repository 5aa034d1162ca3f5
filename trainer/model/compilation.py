"""torch.compile: kernels compiled for one network and batch size."""

from __future__ import annotations

from typing import Any

import torch

from trainer.errors import ConfigError


def compiled(model: torch.nn.Module) -> Any:
    """Return the model's forward pass, compiled at its first call; the model is not changed.

    Each batch size gets its own kernels: shared ones would depend on the order of the sizes, and a
    resumed run, which meets them in another order, would round differently.
    """
    return torch.compile(model, dynamic=False)


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
