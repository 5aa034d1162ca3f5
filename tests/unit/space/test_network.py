"""The network of a published folder, from its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file

from space.inference.model_config import WEIGHTS_FILE
from space.inference.model_folder import ModelFolder
from space.inference.networks import network
from space.inference.networks.network import load_network

WEIGHTS = {"weight": torch.tensor([[0.5, -2.0, 1.5]]), "bias": torch.tensor([0.25])}


class WithTable(torch.nn.Linear):
    """Computes a table that is in no file, as transformers with relative positions do."""

    def __init__(self) -> None:
        super().__init__(3, 1)
        self.register_buffer("table", torch.arange(4.0), persistent=False)


@pytest.mark.parametrize(
    ("kind", "built"),
    [(lambda: torch.nn.Linear(3, 1), ["meta"]), (WithTable, ["meta", "cpu"])],
    ids=["all in the file", "table in no file"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_network_is_built_in_memory_only_where_the_file_lacks_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, built: list[str], dtype: torch.dtype
) -> None:
    devices = []

    def build(_: object, __: object, device: str) -> torch.nn.Module:
        devices.append(device)
        with torch.device(device):
            return cast(torch.nn.Module, kind())

    monkeypatch.setattr(network, "_build", build)
    save_file({name: each.to(dtype) for name, each in WEIGHTS.items()}, tmp_path / WEIGHTS_FILE)
    loaded = load_network(ModelFolder(tmp_path), cast(Any, None))
    assert devices == built
    assert not loaded.training
    # The file may be replaced or cut off while the network is used.
    (tmp_path / WEIGHTS_FILE).write_bytes(b"")
    for name, parameter in loaded.named_parameters():
        assert (parameter.dtype, parameter.device.type) == (torch.float32, "cpu")
        torch.testing.assert_close(parameter.detach(), WEIGHTS[name])
    if kind is WithTable:
        assert loaded.get_buffer("table").tolist() == [0, 1, 2, 3]
