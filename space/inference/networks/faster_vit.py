"""FasterViT, which timm does not have, with the methods of timm's networks.

Hatamizadeh et al. 2023, arXiv:2306.06189. The layers are those of the package `fastervit`. Its own
functions download pickled weights, so these replace them in timm's registry: weights come from a
safetensors file, or are random.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import torch
from timm.layers import to_2tuple
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

with warnings.catch_warnings():
    # It names modules of timm as they were called before, and registers the functions replaced
    # below.
    warnings.simplefilter("ignore")
    from fastervit.models.faster_vit import FasterViT

HEADS = [2, 4, 8, 16]
WINDOWS = [7, 7, 7, 7]
HIERARCHICAL = [False, False, True, False]


class TimmFasterViT(FasterViT):  # type: ignore[misc]
    """FasterViT as timm's networks are: a replaceable head, stages and feature maps."""

    def __init__(
        self,
        *,
        dim: int,
        img_size: int | tuple[int, int] = 224,
        drop_path_rate: float = 0.2,
        **options: Any,
    ) -> None:
        # Its constructor reads numbers from tensors, which those of the meta device don't have.
        with torch.device("cpu"), warnings.catch_warnings():
            # torch.meshgrid without indexing.
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(
                dim=dim,
                resolution=to_2tuple(img_size)[0],
                num_heads=HEADS,
                window_size=WINDOWS,
                hat=HIERARCHICAL,
                ct_size=2,
                mlp_ratio=4,
                drop_path_rate=drop_path_rate,
                **options,
            )
        for level in self.levels:
            if level.do_gt:
                # A second name of a layer; a safetensors file holds each tensor once.
                del level.global_tokenizer.pos_embed
        self.num_features = self.head_hidden_size = dim * 8
        # Each stage but the last ends with a downsampling to twice the channels.
        self.feature_info = [
            {"num_chs": dim * width, "reduction": 4 * width, "module": f"levels.{stage}"}
            for stage, width in enumerate((2, 4, 8))
        ]
        self.feature_info.append({**self.feature_info[-1], "module": "levels.3"})

    def get_classifier(self) -> torch.nn.Module:
        """Return the head."""
        head: torch.nn.Module = self.head
        return head

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Pool the last map and, unless the features before the head are wanted, apply the head."""
        features = torch.flatten(self.avgpool(x), 1)
        return features if pre_logits else self.head(features)

    def forward_intermediates(
        self, x: torch.Tensor, indices: Collection[int] | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the last map after its norm, and maps of stages: [image, channel, row, column].

        Args:
            x: images, normalized.
            indices: of the stages; None for all.
        """
        wanted = range(len(self.levels)) if indices is None else indices
        x = self.patch_embed(x)
        maps = []
        for stage, level in enumerate(self.levels):
            x = level(x)
            if stage in wanted:
                maps.append(x)
        return self.norm(x), maps


default_cfgs = generate_default_cfgs(
    {
        name: {
            "url": "",
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "fixed_input_size": True,
            "interpolation": "bicubic",
            "first_conv": "patch_embed.conv_down.0",
            "classifier": "head",
        }
        for name in ("faster_vit_0_224", "faster_vit_1_224", "faster_vit_2_224")
    }
)


def _create(name: str, pretrained: bool, options: dict[str, Any]) -> torch.nn.Module:
    network: torch.nn.Module = build_model_with_cfg(TimmFasterViT, name, pretrained, **options)
    return network


with warnings.catch_warnings():
    # timm warns that the functions of `fastervit` are replaced.
    warnings.simplefilter("ignore")

    @register_model  # type: ignore[untyped-decorator]
    def faster_vit_0_224(pretrained: bool = False, **options: Any) -> torch.nn.Module:
        """FasterViT-0."""
        sizes = {"dim": 64, "in_dim": 64, "depths": [2, 3, 6, 5]}
        return _create("faster_vit_0_224", pretrained, sizes | options)

    @register_model  # type: ignore[untyped-decorator]
    def faster_vit_1_224(pretrained: bool = False, **options: Any) -> torch.nn.Module:
        """FasterViT-1."""
        sizes = {"dim": 80, "in_dim": 32, "depths": [1, 3, 8, 5]}
        return _create("faster_vit_1_224", pretrained, sizes | options)

    @register_model  # type: ignore[untyped-decorator]
    def faster_vit_2_224(pretrained: bool = False, **options: Any) -> torch.nn.Module:
        """FasterViT-2."""
        sizes = {"dim": 96, "in_dim": 64, "depths": [3, 3, 8, 5]}
        return _create("faster_vit_2_224", pretrained, sizes | options)
