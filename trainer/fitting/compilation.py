"""torch.compile: the passes through the network as kernels made for this network and batch size."""

from __future__ import annotations

from typing import Any

import torch

from trainer.errors import ConfigError


def compiled(model: torch.nn.Module) -> Any:
    """Return the model's forward pass, compiled at its first call; the model stays as it is.

    One program a batch size, never one for several: else a resumed run, which meets the sizes in
    another order, would round in another way.
    """
    return torch.compile(model, dynamic=False)


def check_compiler(device: torch.device) -> None:
    """Compile something small, to see whether this machine has all that compiling needs.

    Raises:
        ConfigError: it has not.
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
