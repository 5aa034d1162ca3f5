"""Checkpoints: tensors and facts in one safetensors file, replaced whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trainer.errors import DataError

Tensors = dict[str, torch.Tensor]


def save(file: Path, tensors: Tensors, facts: dict[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the former one or this one.

    `facts` is anything that JSON holds.
    """
    partial = file.with_suffix(".partial")
    # safetensors takes contiguous tensors only, and channels_last weights are not.
    packed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(packed, partial, metadata={"facts": json.dumps(facts)})
    partial.replace(file)


def load(file: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what `save` wrote.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            facts = json.loads(opened.metadata()["facts"])
            return {name: opened.get_tensor(name) for name in opened.keys()}, facts  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"The checkpoint {file} can't be read ({error}). Remove it to start from scratch."
        ) from error


def pack(**states: Tensors) -> Tensors:
    """Join state dicts under prefixes: `pack(model=…)` gives `model/name` → tensor."""
    return {f"{part}/{name}": t for part, state in states.items() for name, t in state.items()}


def unpack(tensors: Tensors, part: str) -> Tensors:
    """Return one of the state dicts that `pack` joined."""
    prefix = part + "/"
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def optimizer_state(optimizer: torch.optim.Optimizer) -> Tensors:
    """Return an optimiser's moments as `<parameter index>/<name>` → tensor.

    Learning rates are no part of it: they follow from the settings and the step.
    """
    state = optimizer.state_dict()["state"]
    return {f"{i}/{name}": t for i, moments in state.items() for name, t in moments.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Put back what `optimizer_state` returned."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, Tensors] = {}
    for key, tensor in tensors.items():
        index, _, name = key.partition("/")
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # A fused kernel walks through memory: moments must lie there as the weights do.
            tensor = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def scaler_state(scaler: torch.amp.GradScaler) -> Tensors:
    """Return by how much an fp16 run scales its losses, and for how many steps that went well."""
    state = scaler.state_dict()
    return {"scale": torch.tensor(state["scale"]), "steps": torch.tensor(state["_growth_tracker"])}


def restore_scaler(scaler: torch.amp.GradScaler, tensors: Tensors) -> None:
    """Put back what `scaler_state` returned."""
    found = {"scale": tensors["scale"].item(), "_growth_tracker": int(tensors["steps"])}
    scaler.load_state_dict(scaler.state_dict() | found)
