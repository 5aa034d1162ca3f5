"""Checkpoints: what was saved comes back, and a failed write costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from trainer.errors import DataError
from trainer.runtime import checkpoint


def _stepped(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a channels_last model and its optimiser after one step, moments and all."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2))
    inputs = torch.rand(2, 3, 8, 8, generator=generator)
    model(inputs)
    model.to(memory_format=torch.channels_last)
    # Fused: the kernel that minds how tensors lie in memory.
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    model(inputs).square().sum().backward()
    optimizer.step()
    return model, optimizer


def test_round_trip(tmp_path: Path) -> None:
    model, optimizer = _stepped(0)
    assert not model.get_parameter("0.weight").is_contiguous(), "channels_last is what is tested"
    file = tmp_path / "last.safetensors"
    moments = checkpoint.optimizer_state(optimizer)
    checkpoint.save(
        file, checkpoint.pack(model=model.state_dict(), optimizer=moments), {"epoch": 3, "é": [1.5]}
    )

    other, other_optimizer = _stepped(1)
    tensors, facts = checkpoint.load(file)
    assert facts == {"epoch": 3, "é": [1.5]}
    other.load_state_dict(checkpoint.unpack(tensors, "model"))
    checkpoint.restore_optimizer(other_optimizer, checkpoint.unpack(tensors, "optimizer"))
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    restored = checkpoint.optimizer_state(other_optimizer)
    assert restored.keys() == moments.keys()
    assert {key.partition("/")[2] for key in moments} == {"step", "exp_avg", "exp_avg_sq"}
    for name, tensor in moments.items():
        assert torch.equal(restored[name], tensor), name
    assert other_optimizer.param_groups[0]["lr"] == 0.01

    # The next step must be the same too.
    inputs = torch.ones(2, 3, 8, 8)
    for net, stepper in ((model, optimizer), (other, other_optimizer)):
        stepper.zero_grad()
        net(inputs).square().sum().backward()
        stepper.step()
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_is_safetensors_and_not_pickled(tmp_path: Path) -> None:
    file = tmp_path / "last.safetensors"
    checkpoint.save(file, {"a": torch.arange(3)}, {})
    raw = file.read_bytes()
    header_length = int.from_bytes(raw[:8], "little")
    assert raw[8:10] == b'{"'
    assert 8 + header_length < len(raw)
    assert torch.equal(load_file(file)["a"], torch.arange(3))


def test_a_full_disk_leaves_the_former_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "last.safetensors"
    checkpoint.save(file, {"a": torch.zeros(2)}, {"epoch": 1})

    def fail(tensors: Any, partial: Path, metadata: Any) -> None:
        partial.write_bytes(b"half a fi")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", fail)
        with pytest.raises(OSError, match="No space left"):
            checkpoint.save(file, {"a": torch.ones(2)}, {"epoch": 2})
    tensors, facts = checkpoint.load(file)
    assert facts == {"epoch": 1}
    assert torch.equal(tensors["a"], torch.zeros(2))

    # What the failed write left does not stand in the way of the next.
    checkpoint.save(file, {"a": torch.ones(2)}, {"epoch": 2})
    assert checkpoint.load(file)[1] == {"epoch": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("kept", [0, 4, 40, -1])
def test_damaged_file(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "last.safetensors"
    checkpoint.save(file, {"a": torch.rand(100)}, {"epoch": 1})
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"last\.safetensors can't be read .*Remove it"):
        checkpoint.load(file)


def test_safetensors_file_of_another_program(tmp_path: Path) -> None:
    file = tmp_path / "last.safetensors"
    save_file({"a": torch.rand(2)}, file)
    with pytest.raises(DataError, match="can't be read"):
        checkpoint.load(file)


def _name(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"b": tensors["a"]}


def _shape(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"a": tensors["a"].reshape(3, 2)}


def _type(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"a": tensors["a"].view(torch.int32)}


@pytest.mark.parametrize("change", [_name, _shape, _type])
def test_the_checksum_covers_more_than_bytes(tmp_path: Path, change: Any) -> None:
    file = tmp_path / "last.safetensors"
    checkpoint.save(file, {"a": torch.rand(2, 3)}, {"epoch": 1})
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    save_file(change(load_file(file)), file, metadata=metadata)
    with pytest.raises(DataError, match="its checksum is wrong"):
        checkpoint.load(file)


def test_the_checksum_covers_the_facts(tmp_path: Path) -> None:
    file = tmp_path / "last.safetensors"
    checkpoint.save(file, {"a": torch.rand(2)}, {"epoch": 1})
    content = file.read_bytes()
    assert content.count(b'epoch\\": 1') == 1
    file.write_bytes(content.replace(b'epoch\\": 1', b'epoch\\": 2'))
    with pytest.raises(DataError, match="its checksum is wrong"):
        checkpoint.load(file)
