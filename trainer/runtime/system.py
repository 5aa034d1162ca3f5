"""The machine: processor, GPU, memory allocation, versions."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import __version__

if TYPE_CHECKING:
    import torch

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
# Options of malloc.h. Together they make glibc keep freed memory instead of returning it.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def processor_name() -> str:
    """Return the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def core_count() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Make the C library keep freed memory, so that the next step uses it again.

    glibc returns large blocks to the system at once. A training step on a CPU frees and allocates
    gigabytes of activations, and would spend a sixth of its time or more waiting for new pages
    (`python -m benchmarks.steps`). Other C libraries are not changed.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)


def accelerator_name(device: torch.device) -> str | None:
    """Return the name of a GPU, None for a CPU."""
    if device.type == "cuda":
        # It takes seconds to import; most of this module needs none of it.
        import torch  # noqa: PLC0415

        return torch.cuda.get_device_name(device)
    return None if device.type == "cpu" else device.type


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect results."""
    own = {"python": platform.python_version(), "strip-defect-classifier": __version__}
    return own | {name: _installed_version(name) for name in PACKAGES}


def code_url() -> str | None:
    """Return the address of the code's repository, None if the package declares none.

    The package declares it as "Repository" under `[project.urls]` in `pyproject.toml`.
    """
    try:
        urls = metadata("strip-defect-classifier").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    declared = dict(url.split(", ", maxsplit=1) for url in urls)
    return declared.get("Repository")


def _installed_version(package: str) -> str:
    """Return the installed version of a package; one that was copied by hand has no metadata."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
