"""Heavy libraries are imported where they are used, so that mistakes are reported early."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HEAVY = {"torch", "torchvision", "timm", "accelerate", "sklearn", "matplotlib", "scipy.stats"}
SCRIPT = f"""
import sys
from trainer.cli.command import run_command
from trainer.train import main

def loaded(*more):
    return sorted(({HEAVY!r} | set(more)) & sys.modules.keys())

given = (["--help"], ["--epochs", "x"], ["--data-dir", "missing"], ["--ood-dir", "missing"])
for words in given:
    sys.argv[1:] = words
    print(run_command(main), loaded("datasets", "pandas", "numpy"), file=sys.stderr)
import trainer.run
print(loaded(), file=sys.stderr)
"""


@pytest.mark.slow
def test_settings_and_images_are_checked_before_torch_loads(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stderr.splitlines() if line.endswith("]")]
    *calls, run = lines
    assert calls == ["0 []", "2 []", "2 []", "2 []"], done.stderr
    assert run == "[]"


def test_the_heavy_libraries_are_installed() -> None:
    """Under other names they could not be found among what was imported."""
    assert [name for name in HEAVY if find_spec(name) is None] == []
