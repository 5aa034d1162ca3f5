"""The networks that can be created: timm's, and FasterViT with its package."""

from __future__ import annotations

import timm

from ..core.errors import ModelError

FASTER_VIT = "faster_vit_"
FASTER_VIT_PACKAGE = "fastervit"
# Of its source code; NVIDIA's weights are under CC BY-NC-SA 4.0. Both forbid commercial use.
FASTER_VIT_LICENSE = "nvidia-source-code-license-nc"


def is_network(architecture: str) -> bool:
    """Return whether `timm.create_model` knows a network; FasterViT is registered when it is named.

    Raises:
        ModelError: it is a FasterViT, and its package is not installed.
    """
    if architecture.startswith(FASTER_VIT):
        try:
            # The import registers the networks; the package is optional.
            from . import faster_vit  # noqa: F401, PLC0415
        except ModuleNotFoundError as error:
            if error.name != FASTER_VIT_PACKAGE:
                raise
            raise ModelError(
                f"{architecture} needs the package {FASTER_VIT_PACKAGE}, which is licensed for "
                f"non-commercial use only: pip install {FASTER_VIT_PACKAGE}"
            ) from error
    known: bool = timm.is_model(architecture)
    return known


def code_license(architecture: str) -> str | None:
    """Return the license of a network's source code, if it limits the use of the weights."""
    return FASTER_VIT_LICENSE if architecture.startswith(FASTER_VIT) else None
