"""OpenVINO is imported without the package that reports its use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.project.test_layout import ROOT, imports

# Prints what would leave the machine, and the packages that would send it.
PROGRAM = """
import sys
sent = []
watched = ("socket.", "subprocess")
sys.addaudithook(lambda name, _: sent.append(name) if name.startswith(watched) else None)
{statement}
print(sorted(sent), sys.modules.get("openvino_telemetry") is not None)
"""


def run(statement: str, home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(statement=statement)],
        cwd=ROOT,
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_nothing_is_reported_to_the_maker_of_openvino(tmp_path: Path) -> None:
    statement = "from space.inference.engines.openvino_library import openvino; openvino.Core()"
    assert run(statement, tmp_path) == "[] False"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_openvino_is_imported_in_one_place() -> None:
    folders = ("trainer", "model_card", "space", "benchmarks", "docs", "tests")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    importing = {
        str(file.relative_to(ROOT))
        for file in files
        if any(name.partition(".")[0] == "openvino" for name in imports(file))
    }
    assert importing == {"space/inference/engines/openvino_library.py"}
