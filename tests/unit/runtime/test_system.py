"""What is kept of freed memory, by the system's own count of a process's pages."""

from __future__ import annotations

import platform
import subprocess
import sys
from email.message import Message
from importlib.metadata import PackageNotFoundError

import pytest

from trainer import __version__
from trainer.runtime import system

BLOCK_MB = 256
PROGRAM = f"""
import resource
import sys
from pathlib import Path
import numpy as np
from trainer.runtime.system import keep_freed_memory

def resident_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20

if sys.argv[1] == "keep":
    keep_freed_memory()
before = resident_mb()
block = np.ones({BLOCK_MB} * 2**20, dtype=np.uint8)
del block
print(resident_mb() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library decides by itself")
@pytest.mark.parametrize(("word", "kept"), [("keep", True), ("leave", False)])
@pytest.mark.slow
def test_freed_memory_stays_with_the_process_only_where_asked_for(word: str, kept: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, word], capture_output=True, text=True, check=True
    )
    assert (float(done.stdout) > 0.9 * BLOCK_MB) == kept
    assert kept or float(done.stdout) < 0.1 * BLOCK_MB


def test_versions_are_known_without_installed_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the checkout was copied somewhere, or packages came without their notes."""

    def nothing_noted(package: str) -> str:
        raise PackageNotFoundError(package)

    found = system.versions()
    assert found["strip-defect-classifier"] == __version__
    assert found["torch"].count(".") >= 2
    monkeypatch.setattr(system, "version", nothing_noted)
    assert system.versions() == {
        "python": platform.python_version(),
        "strip-defect-classifier": __version__,
    } | dict.fromkeys(system.PACKAGES, "unknown")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Homepage, https://example.org", "Repository, https://example.org/code"], "code"),
        (["Homepage, https://example.org"], None),
        ([], None),
    ],
)
def test_the_code_is_where_the_package_says(
    lines: list[str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = Message()
    for line in lines:
        declared["Project-URL"] = line
    monkeypatch.setattr(system, "metadata", lambda _: declared)
    assert system.code_url() == (f"https://example.org/{expected}" if expected else None)


def test_a_package_that_is_not_installed_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Message:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(system, "metadata", missing)
    assert system.code_url() is None
