"""Checkpoints: tensors and facts in one safetensors file, replaced atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from xxhash import xxh3_128

from trainer.errors import DataError
from trainer.runtime.files import replaced_whole

# Keys of the file's metadata.
FACTS, CHECKSUM = "facts", "xxh3_128"
Tensors = dict[str, torch.Tensor]


def save(file: Path, tensors: Tensors, facts: dict[str, Any], *, shared: bool = False) -> None:
    """Write a checkpoint; a kill at any moment leaves the previous one or this one.

    It contains a checksum, since a flipped bit in a weight would otherwise go unnoticed. The
    checksum costs about a sixth of the writing time.

    Args:
        file: to replace.
        tensors: on any device and in any layout.
        facts: serializable as JSON.
        shared: whether other processes may write it at the same moment.
    """
    # safetensors requires contiguous tensors, and channels_last weights are not.
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    metadata = {FACTS: text, CHECKSUM: _checksum(packed, text)}
    with replaced_whole(file, shared=shared) as partial:
        save_file(packed, partial, metadata=metadata)


def load(file: Path, advice: str = "Remove it to start again.") -> tuple[Tensors, dict[str, Any]]:
    """Load a checkpoint of `save`.

    Args:
        file: to load.
        advice: for the user if the file can't be used.

    Raises:
        DataError: the file is missing, damaged, or not a checkpoint of this version.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        missing = not os.path.lexists(file)
        reason = "is missing" if missing else f"can't be read ({error})"
        raise DataError(f"The checkpoint {file} {reason}. {advice}") from error
    if not {FACTS, CHECKSUM} <= metadata.keys():
        raise DataError(
            f"The checkpoint {file} can't be read: another version of this program wrote it. "
            f"{advice}"
        )
    if _checksum(tensors, metadata[FACTS]) != metadata[CHECKSUM]:
        raise DataError(
            f"The checkpoint {file} is damaged: its checksum is wrong. Put a copy of it back if "
            f"you have one. {advice}"
        )
    return tensors, json.loads(metadata[FACTS])


def _checksum(tensors: Tensors, facts: str) -> str:
    """Return the XXH3 hash of names, types, shapes and bytes of tensors, and of the facts."""
    digest = xxh3_128(facts.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        # An empty tensor can't be viewed as bytes.
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack(**states: Tensors) -> Tensors:
    """Join state dicts under prefixes: `pack(model=…)` gives `model/name` → tensor."""
    return {f"{key}/{name}": t for key, state in states.items() for name, t in state.items()}


def unpack(tensors: Tensors, key: str) -> Tensors:
    """Return one of the state dicts that `pack` joined."""
    prefix = key + "/"
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def optimizer_state(optimizer: torch.optim.Optimizer) -> Tensors:
    """Return the moments of an optimizer as `<parameter index>/<name>` → tensor.

    Learning rates are not included: they follow from the settings and the step.
    """
    state = optimizer.state_dict()["state"]
    return {f"{i}/{name}": t for i, moments in state.items() for name, t in moments.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Restore the state of `optimizer_state`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, Tensors] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # A fused kernel iterates over memory: moments need the memory layout of the weights.
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def scaler_state(scaler: torch.amp.GradScaler) -> Tensors:
    """Return the loss scale of an fp16 run, and the number of steps without overflow."""
    state = scaler.state_dict()
    return {"scale": torch.tensor(state["scale"]), "steps": torch.tensor(state["_growth_tracker"])}


def restore_scaler(scaler: torch.amp.GradScaler, tensors: Tensors) -> None:
    """Restore the state of `scaler_state`."""
    found = {"scale": tensors["scale"].item(), "_growth_tracker": int(tensors["steps"])}
    scaler.load_state_dict(scaler.state_dict() | found)
