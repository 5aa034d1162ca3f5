"""Compiled passes: the same steps, the same names of weights; and what is said without compiler."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tests.support.warm_process import WarmProcess
from trainer.config.recipe import RecipeConfig
from trainer.fitting.inputs import FitInputs
from trainer.fitting.step import TrainingStep
from trainer.inputs.loading import Batch

TRAIN = Path(__file__).parents[2] / "trainer" / "train.py"


def _training_step(accelerator: Accelerator, *, compile_network: bool) -> TrainingStep:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 3))
    unused: Any = None
    inputs = FitInputs(model, unused, unused, augment=nn.Identity(), prepare=nn.Identity())
    images: Any = SimpleNamespace(
        labels=["a", "b", "c"], splits={"train": {"label": [0, 1, 2]}}, multi_label=False
    )
    recipe = RecipeConfig(lr=1e-2, ema_decay=0.5)
    return TrainingStep(inputs, images, recipe, 2, accelerator, compile_network=compile_network)


def test_compiled_steps_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    # Vectorized kernels take most of the compiler's time; processes that compile import torch.
    monkeypatch.setattr("torch._inductor.config.cpp.simdlen", 1)
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    accelerator = Accelerator(cpu=True)
    plain, compiled = (_training_step(accelerator, compile_network=c) for c in (False, True))
    generator = torch.Generator().manual_seed(1)
    for number, size in enumerate([4, 2]):
        inputs = torch.randn(size, 3, 8, 8, generator=generator)
        batch = [Batch(inputs, [1] * size, torch.arange(size) % 3)]
        expected = plain.step(batch, number)
        assert compiled.step(batch, number).tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert list(tmp_path.rglob("*.so")), "nothing was compiled"
    for part, state in plain.states().items():
        found = compiled.states()[part]
        assert found.keys() == state.keys(), "no name shows that there was a wrapper"
        for name, tensor in state.items():
            assert torch.allclose(found[name], tensor, atol=1e-4), f"{part}: {name}"


def test_missing_compiler_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    process = WarmProcess(
        [str(TRAIN), "--compile", "--run-dir", "run", "--no-pretrained"],
        tmp_path,
        environment={"PATH": "", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")},
    )
    output, errors = process.communicate()
    assert (process.returncode, output) == (2, "")
    assert "--compile does not work on this machine. " in errors
    assert "No working C++ compiler found" in errors
    assert "apt-get install g++" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()
