"""The network that a published folder describes, with its weights."""

from __future__ import annotations

from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

from ..core.errors import ModelError, listed, shortened
from ..core.model_id import CONFIG_FILE
from ..model_config import WEIGHTS_FILE, ModelConfig
from ..model_folder import ModelFolder
from .registry import is_network

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def load_network(folder: ModelFolder, config: ModelConfig) -> torch.nn.Module:
    """Build the network and load the weights of the folder, which must match exactly.

    Raises:
        ModelError: network and weights do not match, or the weights are damaged.
    """
    tensors = _read_weights(folder)
    # On the meta device: a config may describe a network far larger than its weights.
    network = _build(folder, config, "meta")
    expected = network.state_dict()
    _compare(expected, tensors, folder)
    # Copies: what is read is a map of the file, and would change with it.
    copies = {name: each.to(expected[name].dtype, copy=True) for name, each in tensors.items()}
    network.load_state_dict(copies, strict=True, assign=True)
    if any(buffer.is_meta for buffer in network.buffers()):
        # Tables that no file holds are computed while a network is built in memory.
        network = _build(folder, config, "cpu")
        network.load_state_dict(copies, strict=True)
    return network.eval()


class _NothingToClamp(TorchFunctionMode):
    """Leaves out what most initializations of timm spend their time on, on the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.Tensor.clamp_ and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def _read_weights(folder: ModelFolder) -> dict[str, torch.Tensor]:
    path = folder.file(WEIGHTS_FILE)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder.path / WEIGHTS_FILE} is damaged: {shortened(error)}") from error
    finite = {key: bool(torch.isfinite(values).all()) for key, values in tensors.items()}
    folder.check_finite(WEIGHTS_FILE, finite)
    return tensors


def _build(folder: ModelFolder, config: ModelConfig, device: str) -> torch.nn.Module:
    if not is_network(config.architecture):
        raise ModelError(
            f"{folder.path / CONFIG_FILE} can't be used: architecture: timm "
            f"{timm.__version__} knows no network {shortened(config.architecture, 60)!r}."
        )
    try:
        with torch.device(device), _NothingToClamp():
            network: torch.nn.Module = timm.create_model(
                config.architecture,
                pretrained=False,
                # No source of weights: timm must not search for any.
                pretrained_cfg=config.pretrained_cfg.model_dump(exclude_none=True),
                num_classes=len(config.label_names),
                **config.model_args.of_the_network(),
            )
    # Each network reports bad options in its own way.
    except Exception as error:
        raise ModelError(
            f"The network of {folder.path / CONFIG_FILE} can't be built: {shortened(error)}"
        ) from error
    return network


def _compare(
    expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor], folder: ModelFolder
) -> None:
    """Check that a file holds exactly the tensors of a network.

    Raises:
        ModelError: names, shapes or number types differ.
    """
    differences = {
        "lacks": expected.keys() - found.keys(),
        "has unknown": found.keys() - expected.keys(),
        "has other shapes of": {
            name
            for name in expected.keys() & found.keys()
            if expected[name].shape != found[name].shape
        },
        "has no floating-point numbers in": {
            name
            for name in expected.keys() & found.keys()
            if expected[name].is_floating_point() and found[name].dtype not in FLOATS
        },
    }
    said = [f"it {verb} {listed(names)}" for verb, names in differences.items() if names]
    if said:
        raise ModelError(
            f"{folder.path / WEIGHTS_FILE} does not fit the network of {CONFIG_FILE}: "
            f"{'; '.join(said)}. Publish the model again."
        )
