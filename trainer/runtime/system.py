"""What the run ran on: processor, GPU, versions."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from trainer import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "datasets",
    "evaluate",
    "huggingface_hub",
    "safetensors",
)
# Of malloc.h: no block has a mapping of its own; with -1, the end of the heap is never given back.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def processor_name() -> str:
    """Return the processor's name, from where the system keeps it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def core_count() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Tell the C library to keep what is freed, for the next step to use again.

    glibc gives large blocks back to the system at once, and a step on a processor, which frees and
    takes gigabytes of activations, then waits for fresh pages: a sixth of its time or more
    (`python -m benchmarks.steps`). Other C libraries are left alone.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)


def accelerator_name(device: torch.device) -> str | None:
    """Return the name of the GPU that `device` is, None for a processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return None if device.type == "cpu" else device.type


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result."""
    own = {"python": platform.python_version(), "strip-defect-classifier": __version__}
    return own | {name: _installed_version(name) for name in PACKAGES}


def _installed_version(package: str) -> str:
    """Return what the installer noted; a package that was copied there by hand has no notes."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
