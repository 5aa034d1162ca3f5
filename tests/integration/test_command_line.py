"""What a user sees who mistypes or forgets: words, exit code 2, and no traceback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Run
from trainer.cli.command import run_command
from trainer.cli.run_settings import resumed
from trainer.config.groups import DataConfig, RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError, UserError


def saved_run(folder: Path) -> Path:
    """Write the settings of a run whose training has begun."""
    folder.mkdir()
    config = TrainConfig(data=DataConfig(data_dir=("images",)), recipe=RecipeConfig(epochs=7))
    replace(config, run=RunConfig(run_dir=folder)).write(folder)
    (folder / "last.safetensors").write_bytes(b"checkpoint")
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epoch", "3"], ["--epoch", "--epochs"]),
        (["--epochs", "many"], ["--epochs takes a whole number, not 'many'"]),
        (["--lr", "-1", "--batch-size", "0"], ["2 settings", "--lr", "--batch-size"]),
        (["--resume"], ["--resume needs --run-dir"]),
        (["--resume", "--run-dir", "none"], ["none has no run", "without --resume"]),
        (["--find-batch-size", "--no-pretrained"], ["--find-batch-size is for GPUs"]),
        (["--data-dir", "./nowhere"], ["no folder nowhere", "--data-dir"]),
        (
            ["--data-dir", "drawn_samples", "--model", "convnext_bas"],
            ["no model convnext_bas", "Did you mean convnext_base"],
        ),
        (
            ["--data-dir", "drawn_samples", "--weights", "w.safetensors"],
            ["--weights w.safetensors does not exist"],
        ),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_mistakes_are_explained(
    command: Run, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    code, out, err = command("train.py", *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert list(tmp_path.iterdir()) == [], "something was written before all was checked"


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
    recipe = resumed(again, saved, tmp_path).recipe
    assert (recipe.batch_size, recipe.accumulate) == (16, 4)
    with pytest.raises(ConfigError, match="--batch-size is 64, was 16"):
        resumed(TrainConfig(recipe=asked), saved, tmp_path)


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


def test_pretrained_weights_out_of_reach(
    command: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    no_waiting: None,
    tmp_path: Path,
) -> None:
    # Where the Hub is, its client reads when it is imported.
    monkeypatch.setattr(
        "trainer.runtime.reachability.hf_hub_url", lambda *_: "http://127.0.0.1:9/x"
    )
    code, out, err = command("train.py", "--model", "convnext_atto.d2_in1k")
    assert (code, out) == (2, "")
    assert [message for message in caplog.messages if "Hub" in message] == [
        "The Hub does not answer; trying again (2 of 3).",
        "The Hub does not answer; trying again (3 of 3).",
    ]
    what, advice = err.splitlines()
    assert what.startswith("Error: The pretrained weights of convnext_atto.d2_in1k can't be")
    assert "--weights FILE" in advice
    assert "--no-pretrained" in advice
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_printed_without_its_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: list[str]) -> None:
        raise UserError("the Hub says a\x1b[2Jb")

    assert run_command(fail) == 2
    assert capsys.readouterr().err == "Error: the Hub says a\\x1b[2Jb\n"
