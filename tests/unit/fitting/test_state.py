"""A checkpoint within an epoch holds the random numbers of the processor and of the GPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainer.config.recipe import RecipeConfig
from trainer.fitting.state import PartialEpoch, TrainingState

GPU_STATE = torch.arange(16, dtype=torch.uint8)


def _state(folder: Path, device: str) -> TrainingState:
    step: Any = SimpleNamespace(states=dict, restore=lambda _: None)
    accelerator: Any = SimpleNamespace(
        device=torch.device(device),
        is_main_process=True,
        process_index=0,
        wait_for_everyone=lambda: None,
    )
    return TrainingState(folder, "digest", RecipeConfig(), step, accelerator)


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """A GPU whose generator has a state; return the states that it is set to."""
    states: list[torch.Tensor] = []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: GPU_STATE)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, _: states.append(state))
    return states


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_random_numbers_continue_after_a_stop(
    device: str, restored: list[torch.Tensor], tmp_path: Path
) -> None:
    stopped = _state(tmp_path, device)
    stopped.partial = PartialEpoch(steps=2, totals=(1.0, 2.0, 3.0), seconds=4.0)
    torch.manual_seed(5)
    stopped.save_partial()
    expected = torch.rand(3)
    resumed = _state(tmp_path, device)
    resumed.restore()
    assert resumed.partial.steps == 2
    torch.rand(100)
    resumed.restore_random()
    assert torch.equal(torch.rand(3), expected)
    assert [state.tolist() for state in restored] == [GPU_STATE.tolist()] * (device == "cuda")
    # Only once: later steps go on from there.
    later = torch.rand(3)
    resumed.restore_random()
    assert not torch.equal(torch.rand(3), later)
    assert len(restored) == (device == "cuda")
