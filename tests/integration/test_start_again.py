"""A start that was refused, a run that is finished: the corrected command works."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from model_card.schema.report import Report
from tests.conftest import Run
from tests.loopback_hub import LoopbackHub
from trainer.config.run_folder import State, read_start, state_of
from trainer.config.settings import TrainConfig
from trainer.synthetic.samples import write_samples

SETTINGS = (
    *("--data-dir", "strips", "--model", "test_convnext", "--no-pretrained", "--epochs", "1"),
    *(
        "--image-size",
        "32",
        "--batch-size",
        "8",
        "--robustness-images",
        "0",
        "--reference-images",
        "0",
    ),
    *("--validation-fraction", "0.25", "--mixed-precision", "no"),
)
IMAGE_FIGURES = {"classes.png", "sample_predictions.png", "augmentations.png", "heatmaps.png"}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_from_a_refused_start_to_a_corrected_license(
    command: Run,
    hub: LoopbackHub,
    token: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_samples(tmp_path / "strips", train_per_class=6, test_per_class=3)
    (tmp_path / "strips/train/Crazing/empty.png").touch()
    run_dir, published = tmp_path / "run", tmp_path / "run/published"

    code, _, err = command("push.py", "--run-dir", "run", *SETTINGS)
    assert code == 2
    assert "--skip-bad-images" in err
    assert not run_dir.exists()

    # An earlier start that was killed in its first epoch, with other settings.
    run_dir.mkdir()
    TrainConfig().write(run_dir)
    (run_dir / "overlaps.json").write_text("of other images")
    (run_dir / "run.lock").touch()
    (run_dir / "best.safetensors.partial").touch()
    (run_dir / "heads").mkdir()
    code, out, err = command("push.py", "--run-dir", "run", *SETTINGS, "--skip-bad-images")
    assert code == 0, err
    assert out == f"{Path('run/published')}\n"
    assert TrainConfig.read(run_dir).data.skip_bad_images
    assert not {"best.safetensors.partial", "heads"} & _names(run_dir)
    assert Report.read(published).model.license is None
    assert "Publish it" in err
    assert _names(run_dir / "figures") == IMAGE_FIGURES

    code, _, err = command("train.py", "--run-dir", "run", *SETTINGS)
    assert code == 2
    assert "run has a finished run" in err

    started = Report.read(published).machine.started
    assert read_start(run_dir).isoformat(timespec="seconds") == started
    for words in (
        ("--repo-id", "ada/steel", "--license", "apache-2.0", "--publish-images"),
        ("--repo-id", "ada/strips", "--license", "mit"),
    ):
        code, _, err = command("push.py", "--run-dir", "run", *words)
        assert code == 0, err
        assert "Serve it" in err
        assert "Publish it" not in err
    assert ModelCard.load("ada/steel").data.license == "apache-2.0"
    assert ModelCard.load("ada/strips").data.license == "mit"
    config, report = TrainConfig.read(run_dir), Report.read(published)
    assert (config.model.license, config.data.publish_images) == ("mit", True)
    assert report.machine.started == started
    assert (report.model.license, report.data.images_shared) == ("mit", True)
    settings = {setting.flag: setting.value for setting in report.training.settings}
    assert (settings["--license"], settings["--publish-images"]) == ("mit", "yes")
    assert report.training.command.endswith(" --license mit --publish-images")
    assert len(_names(published / "examples")) == 6
    assert _names(published / "figures") >= IMAGE_FIGURES
    assert {Path(figure.file).name for figure in report.figures} > IMAGE_FIGURES
    assert _names(run_dir / "figures") == set()

    # As `make demo` does, which serves the model next.
    monkeypatch.setenv("NEXT_PHASE", "serve")
    _withdraw_images(command, run_dir)
    assert caplog.messages.count("1/1 serve") == 1
    _refuse_to_change_more(command, run_dir)


def _withdraw_images(command: Run, run_dir: Path) -> None:
    published = run_dir / "published"
    code, _, err = command("push.py", "--run-dir", "run", "--no-publish-images")
    assert code == 0, err
    report = Report.read(published)
    assert not report.data.images_shared
    assert "--publish-images" not in report.training.command
    assert not (published / "examples").exists()
    assert not IMAGE_FIGURES & _names(published / "figures")
    assert not IMAGE_FIGURES & {Path(figure.file).name for figure in report.figures}
    assert _names(run_dir / "figures") == IMAGE_FIGURES


def _refuse_to_change_more(command: Run, run_dir: Path) -> None:
    published = run_dir / "published"
    code, _, err = command("push.py", "--run-dir", "run", "--epochs", "2", "--license", "isc")
    assert code == 2
    assert "--epochs is 2, was 1" in err
    assert TrainConfig.read(run_dir).model.license == "mit"

    # A correction must not cover up damage by new checksums.
    weights = bytearray((published / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (published / "model.safetensors").write_bytes(weights)
    code, _, err = command("push.py", "--run-dir", "run", "--license", "isc")
    assert code == 2
    assert "is damaged: these files are not what training wrote: model.safetensors" in err
    assert TrainConfig.read(run_dir).model.license == "mit"


@pytest.mark.parametrize("name", ["train.py", "compare_splits.py"])
def test_a_refused_start_leaves_nothing(command: Run, tmp_path: Path, name: str) -> None:
    write_samples(tmp_path / "strips", train_per_class=2, test_per_class=2)
    (tmp_path / "strips/test/Crazing/empty.png").touch()
    code, _, err = command(name, "--run-dir", "run", *SETTINGS)
    assert code == 2
    assert "test/Crazing/empty.png" in err
    assert _names(tmp_path) == {"strips"}
    assert state_of(tmp_path / "run") is State.EMPTY


def test_splits_are_compared_in_a_folder_of_their_own(command: Run, tmp_path: Path) -> None:
    write_samples(tmp_path / "strips", train_per_class=2, test_per_class=2)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").touch()
    code, _, err = command("compare_splits.py", "--run-dir", "run", *SETTINGS)
    assert (code, "notes.txt" in err) == (2, True), err
    assert _names(tmp_path / "run") == {"notes.txt"}
