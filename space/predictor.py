"""Load a published classifier and say what an image shows: one inference code for test and demo."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from huggingface_hub import snapshot_download
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space.decision import RULES_FILE, TEXTURES_FILE, Decision, Prediction
    from space.images import ImageError, read_image
    from space.texture import describe_texture
else:
    from decision import RULES_FILE, TEXTURES_FILE, Decision, Prediction
    from images import ImageError, read_image
    from texture import describe_texture

__all__ = [
    "ImageError",
    "ModelError",
    "Observation",
    "Prediction",
    "Predictor",
    "find_model_folder",
    "read_image",
]

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PUBLISHED_FILES = [
    WEIGHTS_FILE,
    CONFIG_FILE,
    RULES_FILE,
    TEXTURES_FILE,
    "report.json",
    "figures/*",
    "examples/*",
]


class ModelError(ValueError):
    """The model can't be loaded; the message says which one, why, and what to do."""


@dataclass(frozen=True)
class Observation:
    """What one forward pass says of some images; all float32 on the CPU.

    Attributes:
        logits: the network's outputs, [image, class].
        textures: what its early stages saw, one [image, statistic] a stage.
    """

    logits: torch.Tensor
    textures: list[torch.Tensor]


def find_model_folder(model_id: str) -> Path:
    """Return the published folder that `hf-hub:user/name[@revision]` or `local-dir:path` names.

    Raises:
        ModelError: neither of the two forms, or the Hub did not deliver it.
    """
    kind, _, place = model_id.strip().partition(":")
    if kind == "local-dir" and place:
        return Path(place).expanduser()
    if kind == "hf-hub" and place:
        repo_id, _, revision = place.partition("@")
        try:
            path = snapshot_download(
                repo_id, revision=revision or None, allow_patterns=PUBLISHED_FILES
            )
        # The client raises errors of three libraries here; each leads to the same advice.
        except Exception as error:
            raise ModelError(
                f"The model {repo_id} could not be downloaded from the Hub: {error}\n"
                "Check the name, the network and, for a private model, HF_TOKEN."
            ) from error
        return Path(path)
    raise ModelError(
        f"{model_id!r} names no model; write hf-hub:user/name or local-dir:path/to/folder."
    )


class Predictor:
    """A published classifier, ready to judge images.

    Args:
        folder: a published folder: `model.safetensors`, timm's `config.json` and, unless it was
            published without, `decision.json` and `decision.safetensors`.
        device: where the network runs.

    Raises:
        ModelError: the folder can't be loaded, or names no classes.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        self.folder = folder
        self.device = torch.device(device)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            # Without this check timm would go on to look for pickled weights, which can run code.
            if not (folder / name).is_file():
                raise ModelError(f"{folder} is not a published model: it has no {name}.")
        try:
            # Without pretrained=True, timm returns random weights and does not say so.
            model = timm.create_model(f"local-dir:{folder}", pretrained=True)
        # timm and safetensors raise errors of any kind for a config or weights they can't use.
        except Exception as error:
            raise ModelError(f"The model in {folder} could not be loaded: {error}") from error
        self.model: torch.nn.Module = model.eval().to(self.device)
        self.labels = _checked_labels(model, folder)
        data_config = resolve_model_data_config(self.model)
        if data_config["input_size"][0] != 3:
            raise ModelError(f"The model in {folder} does not take RGB images.")
        self.transform = create_transform(**data_config, is_training=False)
        self.decision = _read_decision(folder, self.labels)

    @classmethod
    def load(cls, model_id: str, device: torch.device | str = "cpu") -> Predictor:
        """Load what `hf-hub:user/name` or `local-dir:path` names; see `find_model_folder`."""
        predictor = cls(find_model_folder(model_id), device)
        if predictor.decision is None:
            logger.warning(
                "%s was published without %s: its confidence is not calibrated, and it rejects "
                "no image.",
                model_id,
                RULES_FILE,
            )
        return predictor

    @torch.inference_mode()
    def observe(
        self, images: Sequence[Image.Image], stages: Sequence[int] | None = None
    ) -> Observation:
        """Send RGB images through the network, once.

        Args:
            images: from `read_image`.
            stages: whose textures to describe; by default those that the decision needs.
        """
        if stages is None:
            known = self.decision and self.decision.textures
            stages = list(known.stages) if known else []
        batch = torch.stack([self.transform(image) for image in images]).to(self.device)
        if not stages:
            return Observation(self.model(batch).float().cpu(), [])
        model: Any = self.model
        features, maps = model.forward_intermediates(batch, indices=list(stages))
        logits = model.forward_head(features)
        return Observation(logits.float().cpu(), [describe_texture(seen) for seen in maps])

    def judge(self, observation: Observation) -> list[Prediction]:
        """Return what to say of each observed image; without a decision, the plain softmax."""
        if self.decision is not None:
            return self.decision.judge(observation.logits, observation.textures)
        rows = observation.logits.double().softmax(dim=1).tolist()
        return [Prediction(dict(zip(self.labels, row, strict=True))) for row in rows]

    def logits(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Return the network's outputs for RGB images: float32, [image, class], on the CPU."""
        return self.observe(images).logits

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Return what to say of each RGB image (from `read_image`)."""
        return self.judge(self.observe(images))


def _read_decision(folder: Path, labels: list[str]) -> Decision | None:
    """Read the folder's decision; None if it was published without.

    Raises:
        ModelError: it can't be used.
    """
    try:
        return Decision.read(folder, labels)
    # pydantic, safetensors and the file system raise errors of many kinds for what they can't use.
    except Exception as error:
        raise ModelError(
            f"The decision in {folder} could not be loaded: {error}\n"
            f"Publish the model again, or remove {RULES_FILE} to use it without."
        ) from error


def _checked_labels(model: Any, folder: Path) -> list[str]:
    """Return the names of the network's outputs, in order.

    Raises:
        ModelError: there are none, not one for each output, or two are the same.
    """
    labels = model.pretrained_cfg.get("label_names")
    advice = "Publish it again with a list of label names."
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ModelError(f"The model in {folder} does not name its classes. {advice}")
    if len(labels) != model.num_classes:
        raise ModelError(
            f"The model in {folder} has {model.num_classes} outputs but {len(labels)} label "
            f"names. {advice}"
        )
    if len(set(labels)) != len(labels):
        raise ModelError(f"The model in {folder} has two classes of the same name. {advice}")
    return labels
