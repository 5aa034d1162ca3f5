"""Whether there is a GPU, without the seconds that PyTorch takes to say that there is none."""

from __future__ import annotations

import ctypes
from pathlib import Path

# What PyTorch loads before it finds a GPU of NVIDIA, on Linux and on Windows.
DRIVERS = ("libcuda.so.1", "nvcuda.dll")
# The device of AMD's driver; PyTorch for ROCm calls such a GPU CUDA, too.
AMD_DEVICE = Path("/dev/kfd")


def has_gpu() -> bool:
    """Return whether PyTorch has a GPU on this machine."""
    if not (AMD_DEVICE.exists() or any(map(_loads, DRIVERS))):
        return False
    import torch

    return torch.cuda.is_available()


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
