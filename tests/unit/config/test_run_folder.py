"""Whether a run may start in a folder: what lies there decides, and finding out writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import compare_splits, push, train
from trainer.cli.run_settings import read_push_config, read_train_config, started_or_resumed
from trainer.cli.trained_folder import check_settings
from trainer.config import run_folder
from trainer.config.groups import DataConfig, ModelConfig, RunConfig
from trainer.config.recipe import RecipeConfig
from trainer.config.run_folder import State, check_start, remove_leftovers, state_of
from trainer.config.settings import CONFIG_FILE, TrainConfig
from trainer.errors import ConfigError

SAVED = TrainConfig(data=DataConfig(data_dir=("old",)), recipe=RecipeConfig(epochs=7))
# Where a checkpoint can be: of the run, of a fold, of a head.
CHECKPOINTS = ("last.safetensors", "fold-2/best.safetensors", "fold-1/heads/0.01/last.safetensors")


def _put(run_dir: Path, *names: str) -> Path:
    """Write the settings of a run, and files beside them."""
    run_dir.mkdir(exist_ok=True)
    SAVED.write(run_dir)
    for name in names:
        (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / name).write_bytes(b"x")
    return run_dir


@pytest.mark.parametrize(
    ("names", "state"),
    [
        ((), State.UNTRAINED),
        (("run.lock", "overlaps.json", "images.json"), State.UNTRAINED),
        (("last.safetensors.partial", "fold-1/pixels.partial/a.arrow"), State.UNTRAINED),
        (("notes.txt",), State.UNTRAINED),
        *[((name,), State.UNFINISHED) for name in CHECKPOINTS],
        (("last.safetensors", "published/model.safetensors"), State.FINISHED),
    ],
)
def test_how_far_a_run_has_come(tmp_path: Path, names: tuple[str, ...], state: State) -> None:
    run_dir = _put(tmp_path / "run", *names)
    assert state_of(run_dir) is state
    if state is State.UNTRAINED:
        check_start(run_dir)
    else:
        with pytest.raises(ConfigError, match=r"--resume|finished run"):
            check_start(run_dir)


def test_no_folder_and_an_empty_one_are_free(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    for run_dir in (tmp_path, tmp_path / "new/deeper"):
        assert state_of(run_dir) is State.EMPTY
        check_start(run_dir)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "names",
    [
        ("thesis.docx",),
        ("figures/photo.png",),
        ("fold-1/letter.txt",),
        ("overlaps.json",),
        ("model.safetensors", CONFIG_FILE),
        ("last.safetensors",),
        ("data.csv", CONFIG_FILE),
    ],
)
def test_files_of_somebody_else_are_refused_and_stay(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"architecture": "convnext_atto"}')
    with pytest.raises(ConfigError, match=f"has files that belong to no run: .*{names[0][:6]}"):
        check_start(tmp_path)
    assert all((tmp_path / name).exists() for name in names)


def test_damaged_settings_without_a_checkpoint_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text("{")
    (tmp_path / "run.lock").touch()
    check_start(tmp_path)


def test_leftovers_go_and_all_else_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").touch()
    run_dir = _put(
        tmp_path / "run", "run.lock", "overlaps.json", "metrics.jsonl", "pixels.partial/a", "notes"
    )
    (run_dir / "fold-1").symlink_to(elsewhere)
    remove_leftovers(run_dir)
    assert sorted(path.name for path in run_dir.iterdir()) == ["notes", "run.lock"]
    assert (elsewhere / "kept.txt").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.touch(), "is a file"),
        (os.mkfifo, "is a file, or a path through one"),
        (lambda path: path.symlink_to("nowhere"), "is a link to a missing folder"),
        (lambda path: path.symlink_to(path), "can't be used"),
    ],
)
def test_what_is_no_folder(tmp_path: Path, make: object, words: str) -> None:
    make(tmp_path / "run")  # type: ignore[operator]
    with pytest.raises(ConfigError, match=f"--run-dir .*run {words}"):
        check_start(tmp_path / "run")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "file/run"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--run-dir") as caught:
        check_start(tmp_path / name)
    assert len(str(caught.value)) < 300


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' own user may be root, whom no mode keeps out.
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(ConfigError, match="can't be written: no permission to write in"):
        check_start(tmp_path / "new/run")


@given(kinds=st.lists(st.sampled_from(["file", "folder", "hidden"]), max_size=3))
def test_only_certain_names(kinds: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "random").mkdir()
    for number, kind in enumerate(kinds):
        path = folder / f"{'.' if kind == 'hidden' else ''}{number}"
        path.mkdir() if kind == "folder" else path.touch()
    if set(kinds) <= {"hidden"}:
        run_folder.check_only(folder, ("random", "grouped"))
    else:
        with pytest.raises(ConfigError, match="has files that belong to no run"):
            run_folder.check_only(folder, ("random", "grouped"))


@pytest.mark.slow
def test_before_a_checkpoint_the_command_counts_after_it_the_run(tmp_path: Path) -> None:
    run_dir = _put(tmp_path / "run")
    words = ["--run-dir", str(run_dir), "--data-dir", "new"]
    assert read_push_config(words, push.COMMAND).train == TrainConfig(
        data=DataConfig(data_dir=("new",)), run=RunConfig(run_dir=run_dir)
    )
    # Resumed, what the command does not say is as it was.
    resumed = read_train_config([*words, "--resume"], train.COMMAND)
    assert (resumed.data.data_dir, resumed.recipe.epochs) == (("new",), 7)
    # Without settings of its own, the command means the run that is there.
    assert read_push_config(words[:2], push.COMMAND).train.recipe.epochs == 7

    _put(run_dir, "last.safetensors")
    for read, command, more in (
        (read_push_config, push.COMMAND, []),
        (read_train_config, train.COMMAND, ["--resume"]),
    ):
        with pytest.raises(ConfigError, match="--data-dir is new, was old"):
            read([*words, *more], command)
    facts = ["--run-dir", str(run_dir), "--license", "mit", "--publish-images", "--workers", "3"]
    given = read_push_config(facts, push.COMMAND).train
    assert (given.model.license, given.data.publish_images, given.run.workers) == ("mit", True, 3)
    assert given.run.resume


def test_options_of_a_resumed_run_are_checked_beside_its_own_settings(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    head = ModelConfig(tune="head")
    TrainConfig(model=head, recipe=RecipeConfig(views=3)).write(run_dir)
    (run_dir / "last.safetensors").touch()
    # By default all layers are trained, and --views would need --tune head.
    words = ["--run-dir", str(run_dir), "--views", "3"]
    for read, command, more in (
        (read_push_config, push.COMMAND, []),
        (read_train_config, train.COMMAND, ["--resume"]),
    ):
        with pytest.raises(ConfigError, match=r"--mixup and --cutmix need --tune all"):
            read([*words, *more, "--mixup", "0.2"], command)
    assert read_push_config(words, push.COMMAND).train.model == head
    assert read_train_config([*words, "--resume"], train.COMMAND).model == head
    with pytest.raises(ConfigError, match="--views needs --tune head"):
        read_train_config([*words, "--no-resume"], train.COMMAND)


def test_help_needs_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = _put(tmp_path / "run", "last.safetensors")
    (run_dir / CONFIG_FILE).write_text("{")
    for read, command in ((read_push_config, push.COMMAND), (read_train_config, train.COMMAND)):
        with pytest.raises(SystemExit):
            read(["--run-dir", str(run_dir), "--resume", "--help"], command)
        assert "--run-dir FOLDER" in capsys.readouterr().out


def test_a_class_named_none_is_no_missing_setting(tmp_path: Path) -> None:
    run_dir = _put(tmp_path / "run", "last.safetensors")
    with pytest.raises(ConfigError, match="--no-defect is none, was none"):
        read_push_config(["--run-dir", str(run_dir), "--no-defect", "none"], push.COMMAND)


def test_each_split_of_a_comparison_starts_again_or_is_resumed(tmp_path: Path) -> None:
    _put(tmp_path / "random")
    given = TrainConfig(data=DataConfig(data_dir=("new",)))
    again = started_or_resumed(compare_splits._on_split(given, "random"), tmp_path / "random")
    assert (again.data.data_dir, again.run.resume) == (("new",), False)
    _put(tmp_path / "random", "fold-1/last.safetensors")
    with pytest.raises(ConfigError, match="--data-dir is new, was old"):
        started_or_resumed(compare_splits._on_split(given, "random"), tmp_path / "random")


def test_a_finished_run_is_found_without_its_images(tmp_path: Path) -> None:
    run_dir = _put(tmp_path / "run", "last.safetensors", "published/model.safetensors")
    config = read_push_config(["--run-dir", str(run_dir)], push.COMMAND).train
    check_settings(config)


def test_a_folder_that_a_kill_left_under_its_former_name_is_put_back(tmp_path: Path) -> None:
    (tmp_path / run_folder.PREVIOUS_DIR).mkdir()
    assert run_folder.finished_folder(tmp_path) == tmp_path / run_folder.PUBLISHED_DIR
    assert [path.name for path in tmp_path.iterdir()] == [run_folder.PUBLISHED_DIR]
