"""The timm model: initial weights, a new head for the classes, and which layers are trained."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from safetensors import SafetensorError
from timm.data import resolve_model_data_config

from space.inference.core.errors import ModelError
from space.inference.networks.registry import code_license, is_network
from trainer.config.groups import ModelConfig
from trainer.errors import ConfigError, HubError
from trainer.runtime.reachability import check_reachable

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Backbone:
    """A model ready for training, and the origin of its initial weights.

    Attributes:
        model: the network.
        architecture: timm's name, without the tag of pretrained weights.
        data_config: timm's description of preprocessing: input_size, mean, std, crop_mode, …
        weights_origin: where the initial weights come from.
        base_model: Hub id of the initial weights, if they are from the Hub.
        license: Hub license id of the initial weights, if known.
    """

    model: torch.nn.Module
    architecture: str
    data_config: dict[str, Any]
    weights_origin: Literal["hub", "file", "random"]
    base_model: str | None
    license: str | None


def check_network(config: ModelConfig, images: int) -> None:
    """Check, before any image is read, that the network exists and can be trained.

    Args:
        config: of the network.
        images: in a batch of one process.

    Raises:
        ConfigError: timm has no such model or weights, the file does not fit the model, or the
            size or number of images does not.
        HubError: the pretrained weights are neither cached nor reachable.
    """
    _check_name(config.model)
    if config.weights is not None:
        build(config, classes=2)
    elif config.pretrained:
        check_reachable(config.model)
    _check_images_fit(config, images)


def build(config: ModelConfig, classes: int) -> Backbone:
    """Create the model with a fresh head for `classes` classes.

    Raises:
        ConfigError: timm has no such model or weights, or the file does not fit the model.
        HubError: the pretrained weights could not be downloaded.
    """
    _check_name(config.model)
    origin: Literal["hub", "file", "random"] = "hub" if config.pretrained else "random"
    options = _options(config, classes)
    if config.weights is not None:
        origin = "file"
        options["pretrained_cfg_overlay"] = {"file": str(_checked_file(config.weights))}
    random_state = torch.get_rng_state()
    model: Any = _create(config, origin, options)
    if origin == "file":
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(random_state)
            _check_all_loaded(model, _create(config, "random", options), config)
    data_config = resolve_model_data_config(model)
    # A defect can lie at the edge: scale the whole image instead of cropping it.
    size = (3, config.image_size, config.image_size)
    data_config |= {"input_size": size, "crop_pct": 1.0, "crop_mode": "squash"}
    base: dict[str, Any] = model.pretrained_cfg if origin == "hub" else {}
    return Backbone(
        model=model,
        architecture=model.pretrained_cfg["architecture"],
        data_config=data_config,
        weights_origin=origin,
        base_model=base.get("hf_hub_id"),
        license=config.license or base.get("license") or code_license(config.model),
    )


def _options(config: ModelConfig, classes: int) -> dict[str, Any]:
    """Return the arguments for `timm.create_model` beside the name."""
    options: dict[str, Any] = {"num_classes": classes}
    if config.drop_path:
        options["drop_path_rate"] = config.drop_path
    if config.layer_scale:
        options["ls_init_value"] = config.layer_scale
    known = timm.get_pretrained_cfg(config.model, allow_unregistered=True)
    if known is not None and known.fixed_input_size:
        options["img_size"] = config.image_size
    return options


def _check_images_fit(config: ModelConfig, images: int) -> None:
    """Pass blank images through the network, as in training.

    This takes no time on the meta device. Not every network works there, so only a failure on a
    real device counts.

    Raises:
        ConfigError: batch normalization lacks a second image, or the size does not fit.
    """
    side = config.image_size
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                model: Any = _create(config, "random", _options(config, classes=2))
                # More than two images behave like two.
                batch = torch.zeros(min(images, 2), 3, side, side)
                model.train(config.tune == "all")(batch)
            return
        except ConfigError:
            if device == "cpu":
                raise
        # Networks fail in different ways: assertions, convolutions larger than their input, …
        except Exception as error:
            failure = error
    if images == 1 and "more than 1 value per channel" in str(failure):
        raise ConfigError(
            f"--batch-size 1 is too small: {config.model} normalizes over the batch, and at "
            f"--image-size {side} its last map is a single pixel. Pass --batch-size 2 or more for "
            "each process, or a larger --image-size."
        ) from failure
    raise ConfigError(
        f"--image-size {side} does not suit --model {config.model}: {failure}\n"
        "Choose another size; most networks take multiples of 32."
    ) from failure


def _check_name(name: str) -> None:
    if name.startswith(("hf-hub:", "local-dir:")):
        return
    architecture, _, tag = name.partition(".")
    try:
        known_network = is_network(architecture)
    except ModelError as error:
        raise ConfigError(f"--model {name}: {error}") from error
    if not known_network:
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise ConfigError(f"--model {name}: timm has no model {architecture}.{hint}")
    known = timm.list_pretrained(f"{architecture}.*")
    if tag and name not in known:
        raise ConfigError(
            f"--model {name}: timm has no weights {tag} for it; known: {', '.join(known)}."
        )


def _checked_file(weights: Path) -> Path:
    if weights.suffix != ".safetensors" or not weights.is_file():
        raise ConfigError(
            f"--weights {weights}: there is no such safetensors file. Other kinds of weights are "
            "pickled and can run code when they are read; convert them first."
        )
    return weights


def _create(
    config: ModelConfig, origin: Literal["hub", "file", "random"], options: dict[str, Any]
) -> torch.nn.Module:
    """Call timm; explain its errors."""
    try:
        model: torch.nn.Module = timm.create_model(
            config.model, pretrained=origin != "random", **options
        )
        return model
    except TypeError as error:
        raise ConfigError(
            f"--model {config.model} does not take these settings: {error}. "
            "Leave out --drop-path and --layer-scale, or choose another model."
        ) from error
    # timm, safetensors and the Hub client each raise their own exceptions.
    except Exception as error:
        if origin == "file":
            raise ConfigError(
                f"--weights {config.weights} does not fit --model {config.model}: "
                f"{_weights_problem(error)} Name the model that the file was saved from, or "
                "another file."
            ) from error
        if "No pretrained weights exist" in str(error):
            raise ConfigError(
                f"--model {config.model} has no published weights that can be loaded. Give a local "
                "safetensors file with --weights FILE, or start from random weights with "
                "--no-pretrained."
            ) from error
        if origin == "random":
            raise ConfigError(f"--model {config.model} could not be built: {error}") from error
        raise HubError(
            f"The pretrained weights of {config.model} could not be downloaded from the Hub: "
            f"{error}\nCheck the network and try again, give a local safetensors file with "
            "--weights FILE, or start from random weights with --no-pretrained."
        ) from error


def _weights_problem(error: Exception) -> str:
    """Return the problem of a weights file as a sentence."""
    if isinstance(error, KeyError):
        return f"it has no tensor {error.args[0]}, so it belongs to another model."
    if isinstance(error, SafetensorError):
        return f"it is not a safetensors file, or it is damaged ({error})."
    # torch lists all missing and unexpected tensors and wrong shapes, one per line.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{' '.join(lines[:2])[:_LONGEST_REASON]} …" if len(lines) > 1 else f"{error}."


def _check_all_loaded(model: Any, unloaded: torch.nn.Module, config: ModelConfig) -> None:
    """Compare with the same model before loading: timm silently skips tensors missing in a file.

    Comparing names is not enough, since timm renames the tensors of older files; it keeps what
    `load_state_dict` reports to itself.
    """
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    missing = [
        name
        for (name, loaded), initial in zip(
            model.named_parameters(), unloaded.parameters(), strict=True
        )
        # Biases and scales start at 0 or 1, where training can leave them.
        if loaded.ndim > 1 and id(loaded) not in head and torch.equal(loaded, initial)
    ]
    if missing:
        raise ConfigError(
            f"--weights {config.weights} does not fit --model {config.model}: it lacks "
            f"{missing[0]}"
            + (f" and {len(missing) - 1} more tensors." if len(missing) > 1 else ".")
        )


def freeze_layers(model: Any, tune: Literal["all", "head"]) -> None:
    """Freeze the layers that are not trained; with "head", all but the last linear layer."""
    if tune == "head":
        model.requires_grad_(False)
        model.get_classifier().requires_grad_(True)


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Return the number of parameters, and of those that are trained."""
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in counts), sum(n for n, trained in counts if trained)
