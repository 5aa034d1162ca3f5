"""Load a published classifier and say what an image shows: one inference code for test and demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import timm
import torch
from huggingface_hub import snapshot_download
from PIL import Image, UnidentifiedImageError
from timm.data import create_transform, resolve_model_data_config

# Pillow registers its decoders when first used, which is not safe where several threads decode.
Image.init()

MAX_PIXELS = 50_000_000
# Scaling the short side of a thin line up to the network's input would need all the memory.
MAX_ASPECT_RATIO = 100
# Only formats whose decoders are plain: no EPS, PDF or WMF, which start other programs. (Pillow
# opens the MPO files of phones through its JPEG decoder.)
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
ORIENTATION_TAG = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PUBLISHED_FILES = [WEIGHTS_FILE, CONFIG_FILE, "report.json", "figures/*", "examples/*"]


class ImageError(ValueError):
    """The image can't be judged; the message says why, in words for the person who sent it."""


class ModelError(ValueError):
    """The model can't be loaded; the message says which one, why, and what to do."""


@dataclass(frozen=True)
class Prediction:
    """Probability of each class for one image, in the model's order; they add up to 1."""

    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda label: self.probabilities[label])

    @property
    def confidence(self) -> float:
        """Probability of the most probable class."""
        return self.probabilities[self.label]


def read_image(source: str | Path | IO[bytes]) -> Image.Image:
    """Decode a file of any common kind into the 8-bit RGB picture that a person sees.

    EXIF rotation is applied; 16-bit grey is scaled to 8 bit; transparent pixels become white.

    Raises:
        ImageError: no image, damaged, too large, animated, or of a depth that can't be scaled.
    """
    try:
        with Image.open(source, formats=FORMATS) as image:
            _check_size(*image.size)
            # Phones store a second, hidden picture in MPO files; the first is the photograph.
            if getattr(image, "is_animated", False) and image.format != "MPO":
                raise ImageError(
                    "The file holds several frames or pages. Save the one to be judged as PNG."
                )
            image.load()
            return _to_rgb(_upright(image))
    except ImageError:
        raise
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ImageError(f"The file can't be opened: {error.strerror}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("The image has far too many pixels. Crop it or scale it down.") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            "The file is not an image of a known kind (JPEG, PNG, BMP, TIFF, WebP, GIF)."
        ) from error
    # Decoders meet damaged data in many ways: OSError, SyntaxError, ValueError, struct.error, …
    except Exception as error:
        raise ImageError(f"The image is damaged or incomplete: {error}") from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"The image has {width} × {height} pixels; the limit is "
            f"{MAX_PIXELS // 1_000_000} megapixels. Crop it or scale it down."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise ImageError(
            f"The image has {width} × {height} pixels, which is a line rather than a surface. "
            f"Crop it until it is at most {MAX_ASPECT_RATIO} times as long as wide."
        )


def _upright(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF data say.

    Not by `ImageOps.exif_transpose`, which writes these data anew and fails where they are odd.
    """
    method = UPRIGHT.get(image.getexif().get(ORIENTATION_TAG, 1))
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode of Pillow to RGB without clipping or inventing brightness."""
    if image.mode == "F":
        raise ImageError("The image has floating-point pixels. Save it with 8 or 16 bits.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ImageError("The image has 32-bit pixels. Save it with 8 or 16 bits.")
        grey = (pixels // 256).astype(np.uint8)
        if "transparency" in image.info:  # one 16-bit level that stands for “nothing here”
            grey[pixels == image.info["transparency"]] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


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
        folder: a published folder (`model.safetensors` and timm's `config.json`).
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

    @classmethod
    def load(cls, model_id: str, device: torch.device | str = "cpu") -> Predictor:
        """Load what `hf-hub:user/name` or `local-dir:path` names; see `find_model_folder`."""
        return cls(find_model_folder(model_id), device)

    @torch.inference_mode()
    def logits(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Return the network's outputs for RGB images: float32, [image, class], on the CPU."""
        batch = torch.stack([self.transform(image) for image in images])
        outputs: torch.Tensor = self.model(batch.to(self.device))
        return outputs.float().cpu()

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Return the class probabilities of each RGB image (from `read_image`)."""
        rows = self.logits(images).double().softmax(dim=1).tolist()
        return [Prediction(dict(zip(self.labels, row, strict=True))) for row in rows]


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
