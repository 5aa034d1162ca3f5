"""Settings: refused when they can't work, saved and read again, turned back into a command."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from trainer import compare_models, compare_splits, push, train, tune
from trainer.cli.run_settings import read_push_config, read_train_config
from trainer.config.groups import (
    ChecksConfig,
    DataConfig,
    DecisionConfig,
    ModelConfig,
    RunConfig,
    SourceConfig,
)
from trainer.config.recipe import PRESETS, RecipeConfig
from trainer.config.rules import Groups
from trainer.config.settings import (
    CONFIG_FILE,
    HubConfig,
    TrainConfig,
)
from trainer.data_needs.options import CurveConfig
from trainer.errors import ConfigError
from trainer.inspect_data import InspectConfig


@pytest.mark.parametrize(
    ("group", "values", "flag"),
    [
        (DataConfig, {"test_fraction": 0.0}, "--test-fraction"),
        (DataConfig, {"validation_fraction": 1.0}, "--validation-fraction"),
        (ModelConfig, {"image_size": 31}, "--image-size"),
        (ModelConfig, {"drop_path": 1.0}, "--drop-path"),
        (ModelConfig, {"layer_scale": -0.1, "pretrained": False}, "--layer-scale"),
        (ModelConfig, {"layer_scale": 0.1}, "--layer-scale needs --no-pretrained"),
        (ModelConfig, {"weights": Path("w"), "pretrained": False}, "--no-pretrained"),
        (RecipeConfig, {"epochs": 0}, "--epochs"),
        (RecipeConfig, {"batch_size": 0}, "--batch-size"),
        (RecipeConfig, {"accumulate": 0}, "--accumulate"),
        (RecipeConfig, {"lr": -1e-4}, "--lr"),
        (RecipeConfig, {"lr": float("nan")}, "--lr"),
        (RecipeConfig, {"weight_decay": float("nan")}, "--weight-decay"),
        (RecipeConfig, {"schedule": "cosine", "warmup_epochs": 50}, "--warmup-epochs"),
        (RecipeConfig, {"layer_decay": 0.0}, "--layer-decay"),
        (RecipeConfig, {"layer_decay": 1.1}, "--layer-decay"),
        (RecipeConfig, {"mixup": -0.1}, "--mixup"),
        (RecipeConfig, {"corrupt": 1.5}, "--corrupt"),
        (RecipeConfig, {"plain_epochs": -1}, "--plain-epochs"),
        (ModelConfig, {"image_size": 2049}, "--image-size"),
        (ModelConfig, {"license": "Apache 2.0"}, "--license .*did you mean apache-2.0"),
        (ModelConfig, {"license": "none"}, "--license none is not a license id"),
        (RecipeConfig, {"views": 3}, "--views needs --tune head"),
        (DecisionConfig, {"max_missed": 0.1}, "--max-missed needs --multi-label"),
        (DataConfig, {"defects": Path("defects.csv")}, "--defects needs --multi-label"),
        (DecisionConfig, {"max_missed": 1.0}, "--max-missed"),
        (RecipeConfig, {"weight_decay": float("inf")}, "--weight-decay"),
        (RecipeConfig, {"clip_grad": float("inf")}, "--clip-grad"),
        (RecipeConfig, {"batch_size": 10**9}, "--batch-size"),
        (RunConfig, {"workers": 10**6}, "--workers"),
        (ChecksConfig, {"robustness_images": -1}, "--robustness-images"),
        (RecipeConfig, {"cutmix": float("inf")}, "--cutmix"),
        (RecipeConfig, {"label_smoothing": 1.0}, "--label-smoothing"),
        (RecipeConfig, {"early_stopping": -1}, "--early-stopping"),
        (RecipeConfig, {"ema_decay": 1.0}, "--ema-decay"),
        (RecipeConfig, {"clip_grad": -1.0}, "--clip-grad"),
        (RecipeConfig, {"rotation": 181.0}, "--rotation"),
        (RecipeConfig, {"shear": 90.0}, "--shear"),
        (RecipeConfig, {"translation": 1.0}, "--translation"),
        (RunConfig, {"seed": -1}, "--seed"),
        (RunConfig, {"workers": -1}, "--workers"),
        (RunConfig, {"resume": True}, "--run-dir"),
        (DataConfig, {"folds": 1}, "--folds"),
        (DataConfig, {"folds": -1}, "--folds"),
        (DataConfig, {"split_file": Path("a"), "folds": 2}, "--split-file and --folds"),
        (DataConfig, {"split_file": Path("a"), "resplit": True}, "--split-file excludes"),
        (DataConfig, {"split_file": Path("a"), "random_split": True}, "--split-file excludes"),
        (RecipeConfig, {"zoom": 4.1}, "--zoom"),
        (RecipeConfig, {"zoom": -0.1}, "--zoom"),
        (RecipeConfig, {"brightness": 1.0}, "--brightness"),
        (RecipeConfig, {"brightness": -0.1}, "--brightness"),
        (RecipeConfig, {"contrast": 4.1}, "--contrast"),
        (RecipeConfig, {"contrast": -0.1}, "--contrast"),
        (RecipeConfig, {"views": -1}, "--views must"),
        (RecipeConfig, {"views": 101}, "--views must"),
        (DecisionConfig, {"coverage": 0.0}, "--coverage"),
        (DecisionConfig, {"coverage": 1.0}, "--coverage"),
        (DecisionConfig, {"max_rejected": 0.0}, "--max-rejected"),
        (DecisionConfig, {"max_rejected": 1.0}, "--max-rejected"),
        (DecisionConfig, {"reference_images": -1}, "--reference-images"),
        (DecisionConfig, {"cost_missed": -0.1}, "--cost-missed"),
        (DecisionConfig, {"cost_false_alarm": float("inf")}, "--cost-false-alarm"),
        (DecisionConfig, {"cost_review": float("nan")}, "--cost-review"),
    ],
)
def test_options_that_cannot_work_are_refused(
    group: type[Any], values: dict[str, Any], flag: str
) -> None:
    names = {
        DataConfig: "data",
        ModelConfig: "model",
        RecipeConfig: "recipe",
        DecisionConfig: "decision",
        ChecksConfig: "checks",
        RunConfig: "run",
    }
    with pytest.raises(ConfigError, match=flag):
        TrainConfig(**{names[group]: group(**values)})


def test_options_at_their_limits_work() -> None:
    lowest = {"zoom": 0, "brightness": 0, "contrast": 0, "shear": 0, "rotation": 0, "corrupt": 0}
    highest = {"zoom": 4, "brightness": 0.99, "contrast": 4, "rotation": 180, "corrupt": 1}
    for limits in (lowest, highest):
        TrainConfig(recipe=RecipeConfig(**limits))
    TrainConfig(model=ModelConfig(tune="head"), recipe=RecipeConfig(views=100))
    TrainConfig(
        decision=DecisionConfig(
            coverage=0.01, max_rejected=0.99, reference_images=0, cost_missed=0, cost_review=0
        )
    )


@pytest.mark.parametrize("setting", [{"mixup": 0.2}, {"cutmix": 1.0}, {"layer_decay": 0.7}])
def test_settings_that_need_all_layers(setting: dict[str, Any]) -> None:
    [name] = setting
    with pytest.raises(ConfigError, match=f"{name.replace('_', '-')}.* need.* --tune all"):
        TrainConfig(model=ModelConfig(tune="head"), recipe=RecipeConfig(**setting))


@pytest.mark.parametrize("setting", [{"compile": True}, {"find_batch_size": True}])
def test_settings_that_a_head_does_not_need(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--compile and --find-batch-size need --tune all"):
        TrainConfig(model=ModelConfig(tune="head"), run=RunConfig(**setting))


def test_all_problems_of_all_groups_are_reported_at_once_with_value_and_bounds() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(
            data=DataConfig(test_fraction=1.5, stream_images=-2),
            model=ModelConfig(image_size=2049, tune="head"),
            recipe=RecipeConfig(lr=float("inf"), layer_decay=0.7, ema_decay=float("nan")),
            decision=DecisionConfig(cost_review=-0.5),
            checks=ChecksConfig(robustness_images=-3),
            run=RunConfig(seed=2**31, resume=True),
        )
    assert str(caught.value).splitlines() == [
        "10 settings can't work:",
        "  --stream-images must be at least 0, not -2",
        "  --test-fraction must be above 0 and below 1, not 1.5",
        "  --image-size must be at least 32 and at most 2,048, not 2049",
        "  --lr must be a finite number, at least 0, not inf",
        "  --ema-decay must be a finite number, at least 0 and below 1, not nan",
        "  --cost-review must be at least 0, not -0.5",
        "  --robustness-images must be at least 0, not -3",
        "  --seed must be at least 0 and below 2,147,483,648, not 2147483648",
        "  --layer-decay needs --tune all: with --tune head, one layer is trained",
        "  --resume needs --run-dir",
    ]


def test_one_problem_is_reported_as_one() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(recipe=RecipeConfig(epochs=3, warmup_epochs=3))
    assert str(caught.value) == (
        "A setting can't work:\n  --warmup-epochs must be fewer than --epochs: 3 of 3"
    )


def test_every_number_has_bounds() -> None:
    """A number without bounds would reach the training whatever it is."""
    unbounded = []
    for group in get_args(Groups):
        for name, hint in get_type_hints(group, include_extras=True).items():
            kind, *marks = get_args(hint) or (hint,)
            if kind in (int, float) and not any(isinstance(mark, FieldInfo) for mark in marks):
                unbounded.append(name)
    assert unbounded == []


def test_a_space_needs_a_model() -> None:
    with pytest.raises(ConfigError, match="--repo-id"):
        HubConfig(space_id="ada/demo")


configs = st.builds(
    TrainConfig,
    data=st.builds(
        DataConfig,
        data_dir=st.lists(st.sampled_from(["images", "my images", "it's", "None", "A=none"])).map(
            tuple
        ),
        skip_bad_images=st.booleans(),
    ),
    model=st.builds(
        ModelConfig,
        model=st.sampled_from(["convnext_atto", "resnet18.a1_in1k"]),
        pretrained=st.booleans(),
        tune=st.sampled_from(["all", "head"]),
    ),
    recipe=st.builds(
        replace,
        st.sampled_from(list(PRESETS.values())),
        epochs=st.integers(20, 99),
        lr=st.floats(1e-8, 10),
        flip=st.booleans(),
        class_weights=st.sampled_from(["none", "balanced"]),
    ),
    run=st.builds(RunConfig, seed=st.integers(0, 2**31 - 1)),
)


# Reading all flags takes longer than hypothesis allows, on a busy machine.
@settings(max_examples=40, deadline=None)
@given(config=configs)
@pytest.mark.slow
def test_the_printed_command_gives_the_same_settings(config: TrainConfig) -> None:
    words = shlex.split(config.command())
    assert words[:2] == ["python", "trainer/train.py"]
    assert read_train_config(words[2:], train.COMMAND) == config


@pytest.mark.parametrize("name", PRESETS)
def test_flags_beside_a_preset_change_it_and_leave_the_rest(name: str) -> None:
    # Of the reference's 50 epochs, 60 could not be for warm-up; the preset's own number is 99.
    words = ["--epochs", "99", "--preset", name, "--warmup-epochs", "60"]
    wanted = replace(PRESETS[name], epochs=99, warmup_epochs=60)
    assert read_train_config(words, train.COMMAND).recipe == wanted
    assert read_push_config(words, push.COMMAND).train.recipe == wanted


def test_an_unknown_preset_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="--preset takes reference, recommended or from-scratch"):
        read_train_config(["--preset", "best"], train.COMMAND)


def test_each_preset_names_itself() -> None:
    assert {recipe.preset for recipe in PRESETS.values()} == set(PRESETS)
    assert all(recipe.preset == name for name, recipe in PRESETS.items())


# Reading all flags takes longer than hypothesis allows, on a busy machine.
@settings(deadline=None)
@given(config=configs)
def test_saved_settings_are_read_as_they_were(
    config: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_dir = tmp_path_factory.mktemp("run")
    config = replace(config, run=replace(config.run, run_dir=run_dir))
    config.write(run_dir)
    assert TrainConfig.read(run_dir) == config
    assert [file.name for file in run_dir.iterdir()] == [CONFIG_FILE]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value: line 1 column 1"),
        ("{", "Expecting property name .*: line 1 column 2"),
        ("[]", "the file: "),
        ('{"recipe": {"epochs": "many"}}', r"recipe\.epochs: .*valid integer"),
        ('{"recipe": {"epochs": 0}}', "--epochs must be at least 1 and at most 100,000, not 0"),
        ('{"recipe": {"turns": 1}}', r"recipe\.turns: Unexpected"),
    ],
)
def test_damaged_settings_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(ConfigError, match=f"{tmp_path}.*has no settings .*: {problem}"):
        TrainConfig.read(tmp_path)


def test_changed_settings_are_refused(tmp_path: Path) -> None:
    config = TrainConfig()
    config.write(tmp_path)
    written = (tmp_path / CONFIG_FILE).read_text()
    changed = written.replace('"epochs": 50', '"epochs": 51')
    assert changed != written
    (tmp_path / CONFIG_FILE).write_text(changed)
    with pytest.raises(ConfigError, match=r"no settings .*: it was changed after it was written"):
        TrainConfig.read(tmp_path)
    # Runs of earlier versions have no checksum; other spaces change nothing.
    facts = json.loads(written)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(facts))
    assert TrainConfig.read(tmp_path) == config
    del facts["sha256"]
    (tmp_path / CONFIG_FILE).write_text(json.dumps(facts))
    assert TrainConfig.read(tmp_path) == config


def test_no_run_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no run.*without --resume"):
        TrainConfig.read(tmp_path)


@pytest.mark.parametrize("path", ["/home/jane/strips", "../strips", "~/strips", r"C:\jane\strips"])
def test_folders_of_the_machine_are_not_published(path: str) -> None:
    config = TrainConfig(data=DataConfig(data_dir=(path,)))
    shown = {flag: value for flag, value, _ in config.flags()}
    assert shown["--data-dir"] == "strips"
    assert config.command() == "python trainer/train.py --data-dir strips"


@pytest.mark.parametrize(
    ("group", "values"),
    [
        ("data", {"feedback": Path("corrections")}),
        ("model", {"tile": True}),
        ("recipe", {"class_weights": "balanced"}),
        ("decision", {"coverage": 0.9}),
        ("decision", {"no_defect": "Clean"}),
    ],
)
def test_what_several_defects_exclude_is_refused_at_the_start(
    group: str, values: dict[str, Any]
) -> None:
    config = TrainConfig()
    changed = {group: replace(getattr(config, group), **values)}
    data = changed.get("data", config.data)
    [flag] = values
    with pytest.raises(ConfigError, match=f"--multi-label excludes --{flag.replace('_', '-')}"):
        replace(config, **changed | {"data": replace(data, multi_label=True)})


@pytest.mark.parametrize("command", [compare_models, compare_splits, tune])
def test_commands_that_compare_accuracies_refuse_several_defects(command: Any) -> None:
    models = ["--models", "resnet18", "resnet34"] if command is compare_models else []
    with pytest.raises(ConfigError, match=f"--multi-label does not go with {command.COMMAND.name}"):
        command.main([*models, "--multi-label", *(["--folds", "0"] if command is tune else [])])


def test_every_option_of_images_reaches_inspection_and_learning_curve() -> None:
    named: dict[str, Any] = {
        "data_dir": ("plant",),
        "class_map": Path("map.csv"),
        "class_from_name": True,
        "label_column": "defect",
        "image_column": "picture",
        "stream_images": 3,
    }
    assert named.keys() == {item.name for item in fields(SourceConfig)}
    assert InspectConfig(**named).sources() == named
    curve = CurveConfig(**named, skip_bad_images=True)
    assert curve.data == DataConfig(**named, skip_bad_images=True)
