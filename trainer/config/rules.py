"""Which settings can work: the bounds of each one, and rules for several of them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from model_card.licenses import LICENSES, suggested_license
from trainer.config.groups import (
    ChecksConfig,
    DataConfig,
    DecisionConfig,
    ExportConfig,
    ModelConfig,
    RunConfig,
)
from trainer.config.recipe import RecipeConfig
from trainer.errors import ConfigError
from trainer.text.names import printable

Groups = tuple[
    DataConfig, ModelConfig, RecipeConfig, DecisionConfig, ChecksConfig, ExportConfig, RunConfig
]

# Whether a rule is broken, and the sentence that says so.
Rules = Iterator[tuple[bool, str]]

_ADAPTER = TypeAdapter(Groups)
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_OUT_OF_BOUNDS = {"greater_than_equal", "greater_than", "less_than_equal", "less_than"}


def problems(groups: Groups) -> Iterator[str]:
    """Yield a sentence on each setting that can't work, by itself or with the others."""
    try:
        _ADAPTER.validate_python(groups)
    except ValidationError as error:
        for details in error.errors():
            yield bound_problem(details) or f"{_flag(details)}: {details['msg']}"
    data, model, recipe, decision, *_, run = groups
    rules = [*_data_rules(data), *_model_rules(model, run), *_recipe_rules(recipe, model)]
    if data.multi_label:
        rules += _multi_label_rules(data, model, recipe, decision)
    else:
        unused = decision.max_missed != DecisionConfig().max_missed
        rules.append((unused, "--max-missed needs --multi-label; otherwise set --coverage"))
    yield from (message for broken, message in rules if broken)
    if run.resume and run.run_dir is None:
        yield "--resume needs --run-dir"


def data_problems(data: DataConfig) -> Iterator[str]:
    """Yield a sentence on each setting of the images alone that can't work."""
    try:
        TypeAdapter(DataConfig).validate_python(data)
    except ValidationError as error:
        for details in error.errors():
            yield bound_problem(details) or f"{_flag(details)}: {details['msg']}"
    yield from (message for broken, message in _data_rules(data) if broken)


def check_names_one_class(data: DataConfig, command: str) -> None:
    """Check that a command that compares accuracies is not asked for several defects.

    Raises:
        ConfigError: it is.
    """
    if data.multi_label:
        raise ConfigError(
            f"--multi-label does not go with {command}, which compares predictions of one class. "
            "Leave it out, or use train.py."
        )


def first_problem(error: ValidationError) -> str:
    """Return a sentence on the first setting of a file that can't work."""
    details = error.errors()[0]
    where = ".".join(map(str, details["loc"])) or "the file"
    return bound_problem(details) or f"{where}: {details['msg']}"


def bound_problem(details: ErrorDetails) -> str | None:
    """Return a sentence on a value out of its bounds; None for any other error of pydantic.

    Pydantic names the first bound that a value breaks; the sentence names both.
    """
    finite = details["type"] == "finite_number"
    if not finite and details["type"] not in _OUT_OF_BOUNDS:
        return None
    bounds = [f"{_BOUNDS[name]} {value:,}" for name, value in _bounds(str(details["loc"][-1]))]
    wanted = f"{'a finite number, ' if finite else ''}{' and '.join(bounds)}"
    return f"{_flag(details)} must be {wanted}, not {details['input']}"


def _flag(details: ErrorDetails) -> str:
    return f"--{str(details['loc'][-1]).replace('_', '-')}"


def _bounds(setting: str) -> Iterator[tuple[str, Any]]:
    """Yield the bounds that a field of a group is annotated with, such as ("ge", 0)."""
    for group in get_args(Groups):
        for item in get_args(get_type_hints(group, include_extras=True).get(setting)):
            if isinstance(item, FieldInfo):
                for bound in item.metadata:
                    yield from ((n, getattr(bound, n)) for n in _BOUNDS if hasattr(bound, n))


def _data_rules(data: DataConfig) -> Rules:
    yield (
        data.split_file is not None and (data.resplit or data.random_split),
        "--split-file excludes --resplit and --random-split",
    )
    yield (
        data.split_file is not None and bool(data.folds),
        "--split-file and --folds exclude each other: folds make their own splits",
    )
    yield (
        data.feedback is not None and bool(data.folds),
        "--feedback and --folds exclude each other: each fold would need its own corrected images",
    )
    yield data.defects is not None and not data.multi_label, "--defects needs --multi-label"
    yield data.folds == 1, "--folds must be at least 2, or 0 for none; not 1"


def _model_rules(model: ModelConfig, run: RunConfig) -> Rules:
    yield (
        model.layer_scale > 0 and model.pretrained,
        "--layer-scale needs --no-pretrained: pretrained weights have their own",
    )
    yield (
        model.weights is not None and not model.pretrained,
        "--weights and --no-pretrained exclude each other",
    )
    yield (
        model.tile and run.compile,
        "--tile excludes --compile: the number of tiles changes from batch to batch",
    )
    yield (
        model.tune == "head" and (run.compile or run.find_batch_size),
        "--compile and --find-batch-size need --tune all: a head alone is small",
    )
    if model.license is not None and model.license not in LICENSES:
        meant = suggested_license(model.license)
        hint = f": did you mean {meant}?" if meant else ", such as apache-2.0, mit or other"
        yield True, f"--license {printable(model.license)} is not a license id of the Hub{hint}"


def _multi_label_rules(
    data: DataConfig,
    model: ModelConfig,
    recipe: RecipeConfig,
    decision: DecisionConfig,
) -> Rules:
    yield (
        model.tile,
        "--multi-label excludes --tile: outputs of tiles are combined for a single class",
    )
    yield (
        data.feedback is not None,
        "--multi-label excludes --feedback: a correction names one class of an image",
    )
    yield (
        recipe.class_weights != "none",
        "--multi-label excludes --class-weights: thresholds are chosen for each class instead",
    )
    yield (
        decision.coverage != DecisionConfig().coverage,
        "--multi-label excludes --coverage: there are no prediction sets; set --max-missed",
    )
    yield (
        decision.no_defect is not None,
        "--multi-label excludes --no-defect: every class is a defect that can be named",
    )


def _recipe_rules(recipe: RecipeConfig, model: ModelConfig) -> Rules:
    yield (
        recipe.warmup_epochs >= max(recipe.epochs, 1),
        f"--warmup-epochs must be fewer than --epochs: {recipe.warmup_epochs} of {recipe.epochs}",
    )
    mixes, head = recipe.mixup + recipe.cutmix > 0, model.tune == "head"
    yield (
        model.tile and mixes,
        "--tile excludes --mixup and --cutmix: images of several tiles can't be mixed",
    )
    yield (
        head and mixes,
        "--mixup and --cutmix need --tune all: with --tune head, images are used only once",
    )
    yield (
        head and recipe.layer_decay != 1,
        "--layer-decay needs --tune all: with --tune head, one layer is trained",
    )
    yield (
        recipe.views > 0 and not head,
        "--views needs --tune head: with --tune all, each epoch draws its own views",
    )
