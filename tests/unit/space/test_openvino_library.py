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
    statement = "from space.inference.engines.openvino_library import the_core; the_core()"
    assert run(statement, tmp_path) == "[] False"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_openvino_is_imported_in_one_place() -> None:
    folders = ("trainer", "model_card", "space", "benchmarks", "docs", "tests")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    importing = {
        str(file.relative_to(ROOT))
        for file in files
        # To parse a file takes long.
        if "openvino" in file.read_text(encoding="utf-8")
        and any(name.partition(".")[0] == "openvino" for name in imports(file))
    }
    assert importing == {"space/inference/engines/openvino_library.py"}


DROPPED = """
import os, signal, threading
import numpy as np
from space.inference.engines.openvino_cpu import OpenVINOEngine
from space.inference.engines.openvino_library import openvino
from openvino import opset13 as nodes

signal.signal(signal.SIGTERM, lambda *_: print("handled"))
pixels = nodes.parameter([1, 8, 8, 3], np.uint8, name="pixels")
logits = nodes.reduce_mean(nodes.convert(pixels, "f32"), np.array([1, 2]))
logits.output(0).set_names({"logits"})
engines = [OpenVINOEngine(openvino.Model([logits], [pixels]), stages=[])]
dropping = threading.Thread(target=engines.clear)
dropping.start()
dropping.join()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.slow
def test_a_signal_is_handled_after_another_thread_dropped_an_engine() -> None:
    done = subprocess.run(
        # Of Python's signal handlers only those of a process with faulthandler use its own stack.
        [sys.executable, "-X", "faulthandler", "-c", DROPPED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_no_second_core_is_made() -> None:
    folders = ("trainer", "space", "benchmarks", "tests")
    making = {
        str(file.relative_to(ROOT))
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
        if "openvino." + "Core(" in file.read_text()
    }
    assert making == {"space/inference/engines/openvino_library.py"}
