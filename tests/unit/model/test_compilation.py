"""Which blocks are compiled, and for how long."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from trainer.model.compilation import (
    KERNELS_VARIABLE,
    compiled_blocks,
    keep_kernels,
    repeated_blocks,
)


@pytest.mark.parametrize(
    ("name", "count", "kind"),
    [
        ("convnext_base", 36, "ConvNeXtBlock"),
        ("vit_base_patch16_224", 12, "Block"),
        ("swin_tiny_patch4_window7_224", 12, "SwinTransformerBlock"),
        ("resnet50", 16, "Bottleneck"),
        # Nearly every block has shapes of its own.
        ("tf_efficientnet_lite0", 0, ""),
    ],
)
def test_blocks_that_networks_repeat(name: str, count: int, kind: str) -> None:
    with torch.device("meta"):
        blocks = repeated_blocks(timm.create_model(name))
    assert len(blocks) == count
    assert {type(block).__name__ for block in blocks} == ({kind} if count else set())


class Light(nn.Sequential):
    """Many blocks of a few weights."""


def test_the_blocks_that_hold_most_weights_are_chosen() -> None:
    heavy = [nn.Sequential(nn.Linear(9, 9)) for _ in range(2)]
    network = nn.ModuleList([*(Light(nn.Linear(2, 2)) for _ in range(6)), *heavy])
    assert repeated_blocks(network) == heavy


def test_kernels_stay_in_the_folder_that_the_user_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(KERNELS_VARIABLE, "mine")
    keep_kernels(tmp_path)
    assert os.environ[KERNELS_VARIABLE] == "mine"
    monkeypatch.delenv(KERNELS_VARIABLE)
    keep_kernels(tmp_path)
    assert os.environ[KERNELS_VARIABLE] == str(tmp_path)


def test_blocks_are_compiled_inside_the_context_only(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []

    def compile_it(function: Callable[..., Any], *, dynamic: bool) -> Callable[..., Any]:
        def compiled(*inputs: torch.Tensor) -> Any:
            passes.append(dynamic)
            return function(*inputs)

        return compiled

    monkeypatch.setattr(torch, "compile", compile_it)
    blocks = [nn.Sequential(nn.Linear(2, 2)) for _ in range(3)]
    network = nn.Sequential(*blocks)
    inputs = torch.ones(1, 2)
    expected = network(inputs)
    with pytest.raises(RuntimeError, match="no compiler"), compiled_blocks(blocks):
        assert torch.equal(network(inputs), expected)
        raise RuntimeError("no compiler")
    assert passes == [False, False, False]
    assert torch.equal(network(inputs), expected)
    assert len(passes) == 3
    assert not any("forward" in vars(block) for block in blocks)
