"""How long OpenMP's threads spin is set before torch is imported, unless the user has set it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands in for the first heavy library: says what it finds, and ends the program.
STAND_IN = """
import os, sys
names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
print(*(os.environ.get(name, "unset") for name in names), [*sys.modules].count("torch"))
sys.exit(0)
"""
COMMANDS: dict[str, tuple[str, list[str]]] = {"space/app.py": ("gradio", [])}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({}, "10000 unset"),
        ({"GOMP_SPINCOUNT": "7"}, "7 unset"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "unset ACTIVE"),
    ],
)
def test_spinning_is_limited_unless_the_user_chose(
    command: str, own: dict[str, str], found: str, tmp_path: Path
) -> None:
    library, flags = COMMANDS[command]
    (tmp_path / f"{library}.py").write_text(STAND_IN)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_"))}
    done = subprocess.run(
        [sys.executable, ROOT / command, *flags],
        env=clean | own | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    count = 1 if library == "torch" else 0
    assert done.stdout == f"{found} {count}\n", done.stderr
    # The first words come before the library that takes seconds.
    assert done.stderr.strip()
