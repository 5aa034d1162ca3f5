"""How long OpenMP's threads spin is set before torch is imported, unless the user has set it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trainer import predict
from trainer.cli.command import limit_spinning
from trainer.prediction.run.delivery import Outcome

ROOT = Path(__file__).parents[3]
# Stands in for the first heavy library: says what it finds, and ends the program.
STAND_IN = """
import os, sys
names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
print(*(os.environ.get(name, "unset") for name in names), [*sys.modules].count("torch"))
sys.exit(0)
"""
HEAVY: dict[str, tuple[str, list[str]]] = {
    "space/app.py": ("gradio", []),
    "trainer/train.py": ("torch", ["--data-dir", "images"]),
    "trainer/push.py": ("torch", ["--data-dir", "images"]),
    "trainer/compare_splits.py": ("torch", ["--data-dir", "images"]),
    "trainer/inspect_data.py": ("datasets", ["--data-dir", "images"]),
}


CHOICES = [
    ({}, "10000 unset"),
    ({"GOMP_SPINCOUNT": "7"}, "7 unset"),
    ({"OMP_WAIT_POLICY": "ACTIVE"}, "unset ACTIVE"),
]


def _found(command: str, own: dict[str, str], folder: Path) -> tuple[str, str]:
    """Run a command up to its first heavy library; return what that found, and the first words."""
    library, flags = HEAVY[command]
    (folder / f"{library}.py").write_text(STAND_IN)
    for label in ("A", "B"):
        (folder / "images" / label).mkdir(parents=True)
        (folder / "images" / label / "0.png").write_bytes(b"not opened")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_"))}
    done = subprocess.run(
        [sys.executable, ROOT / command, *flags],
        env=clean | own | {"PYTHONPATH": str(folder), "MODEL_ID": "hf-hub:ada/steel"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.stdout, done.stderr.partition("\n")[0]


@pytest.mark.slow
@pytest.mark.parametrize("command", HEAVY)
def test_a_command_speaks_and_limits_spinning_before_torch_loads(
    command: str, tmp_path: Path
) -> None:
    found, words = _found(command, {}, tmp_path)
    loaded = 1 if HEAVY[command][0] == "torch" else 0
    assert found == f"10000 unset {loaded}\n"
    first = {
        "space/app.py": "Loading the page and the model …",
        "trainer/train.py": "1/5 check",
        "trainer/push.py": "1/5 check",
        "trainer/compare_splits.py": "1/10 check (random split)",
        "trainer/inspect_data.py": "1/3 check",
    }
    assert words == first[command]


@pytest.mark.parametrize(("own", "found"), CHOICES)
def test_the_space_leaves_the_choice_to_the_user(
    own: dict[str, str], found: str, tmp_path: Path
) -> None:
    assert _found("space/app.py", own, tmp_path)[0] == f"{found} 0\n"


@pytest.mark.parametrize(("own", "found"), CHOICES)
def test_commands_leave_the_choice_to_the_user(own: dict[str, str], found: str) -> None:
    environment = dict(own)
    limit_spinning(environment)
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    assert " ".join(environment.get(name, "unset") for name in names) == found


@pytest.mark.parametrize(("own", "found"), [({}, "16"), ({"OPENBLAS_THREAD_TIMEOUT": "26"}, "26")])
def test_threads_of_numpy_stop_spinning_early_unless_the_user_chose(
    own: dict[str, str], found: str
) -> None:
    environment = dict(own)
    limit_spinning(environment)
    assert environment["OPENBLAS_THREAD_TIMEOUT"] == found
    # OpenBLAS reads it when numpy is imported, which main does.
    program = "import sys; import trainer.predict; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(("own", "found"), [(None, "1"), ("2", "2")])
def test_a_decision_has_one_thread_of_numpy_unless_the_user_chose(
    own: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", own or "")
    if own is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    for name in ("1.png", "config.json"):
        (tmp_path / name).touch()
    seen: list[str] = []

    def noted(*_: object, **__: object) -> Outcome:
        seen.append(os.environ["OPENBLAS_NUM_THREADS"])
        return Outcome()

    monkeypatch.setattr("trainer.prediction.run.runner.run", noted)
    predict.main([str(tmp_path), "--model", f"local-dir:{tmp_path}"])
    assert seen == [found]
