"""What a user sees who mistypes or forgets: words, exit code 2, and no traceback."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trainer.command_line import continued
from trainer.config import DataConfig, RecipeConfig, RunConfig, TrainConfig
from trainer.errors import ConfigError

SCRIPTS = Path(__file__).parents[2] / "trainer"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Run a command of trainer/ in this process; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
        output = capfd.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, output.out, output.err

    return run


def saved_run(folder: Path) -> Path:
    """Write the settings of a run that was started and stopped at once."""
    folder.mkdir()
    config = TrainConfig(data=DataConfig(data_dir="images"), recipe=RecipeConfig(epochs=7))
    replace(config, run=RunConfig(run_dir=folder)).write(folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epoch", "3"], ["--epoch", "--epochs"]),
        (["--epochs", "many"], ["--epochs", "many"]),
        (["--lr", "-1", "--batch-size", "0"], ["2 settings", "--lr", "--batch-size"]),
        (["--resume"], ["--resume needs --run-dir"]),
        (["--resume", "--run-dir", "none"], ["none holds no run", "without --resume"]),
        (["--find-batch-size"], ["--find-batch-size is for GPUs"]),
        (["--data-dir", "./nowhere"], ["no folder nowhere", "--data-dir"]),
        (
            ["--data-dir", "drawn_samples", "--model", "convnext_bas"],
            ["no model convnext_bas", "Did you mean convnext_base"],
        ),
        (
            ["--data-dir", "drawn_samples", "--weights", "w.pth"],
            ["--weights w.pth", "no such safetensors file"],
        ),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_mistakes_are_explained(
    command: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    for name in ("DRAWN_TRAIN_PER_CLASS", "DRAWN_TEST_PER_CLASS"):
        monkeypatch.setattr(f"trainer.imagefolder.{name}", 10)
    code, out, err = command("train.py", *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_a_used_run_folder_is_not_overwritten(command: Run, tmp_path: Path) -> None:
    run_dir = saved_run(tmp_path / "run")
    before = (run_dir / "config.json").read_bytes()
    code, _, err = command("train.py", "--run-dir", "run")
    assert code == 2
    assert "--resume" in err
    assert (run_dir / "config.json").read_bytes() == before


def test_going_on_with_other_settings_is_refused(command: Run, tmp_path: Path) -> None:
    saved_run(tmp_path / "run")
    code, _, err = command("train.py", "--run-dir", "run", "--resume", "--epochs", "9")
    assert code == 2
    assert "--epochs is 9, was 7" in err


def test_what_was_found_holds_when_the_same_command_is_given_again(tmp_path: Path) -> None:
    asked = RecipeConfig(batch_size=64)
    saved = TrainConfig(recipe=replace(asked, batch_size=16, accumulate=4))
    again = TrainConfig(recipe=asked, run=RunConfig(find_batch_size=True))
    recipe = continued(again, saved, tmp_path).recipe
    assert (recipe.batch_size, recipe.accumulate) == (16, 4)
    with pytest.raises(ConfigError, match="--batch-size is 64, was 16"):
        continued(TrainConfig(recipe=asked), saved, tmp_path)


def test_push_goes_on_with_the_settings_of_the_run(command: Run, tmp_path: Path) -> None:
    """The run in the folder names images that are not there: it was read."""
    saved_run(tmp_path / "run")
    code, _, err = command("push.py", "--run-dir", "run")
    assert code == 2
    assert "no folder images" in err


def test_push_checks_the_name_before_it_trains(command: Run, tmp_path: Path) -> None:
    code, out, err = command("push.py", "--repo-id", "no-owner")
    assert (code, out) == (2, "")
    assert "USER/NAME" in err
    assert not (tmp_path / "runs").exists()


def test_pretrained_weights_out_of_reach(tmp_path: Path) -> None:
    """A process of its own: the client reads where the Hub is when it is imported."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / "train.py", "--model", "convnext_atto.d2_in1k"],
        cwd=tmp_path,
        env={
            "PATH": "",
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--weights FILE" in done.stderr
    assert "--no-pretrained" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
