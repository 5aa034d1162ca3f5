"""What a frozen backbone makes of each image, computed once and kept on disk.

With `--tune head` the backbone never changes, so that sending every image through it in every epoch
computes the same again and again. Here each image goes through it once as it is and once in each of
a few augmented views; the head is then fitted to these features in seconds, and fitting it anew
with other settings costs no second pass.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from platformdirs import user_cache_path
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from trainer import checkpoint
from trainer.augment import Augment, draw, plain_transform
from trainer.backbone import Backbone
from trainer.config import TrainConfig
from trainer.errors import ConfigError
from trainer.imagefolder import open_image
from trainer.loading import mixed_seed

logger = logging.getLogger(__name__)

# A pass that is stopped loses no more than this.
IMAGES_PER_FILE = 256
LARGEST_DIFFERENCE = 1e-3
# The settings that decide how a view looks.
CHANGES = ("rotation", "shear", "translation", "zoom", "flip", "brightness", "contrast")


class FeatureStore:
    """The features of one frozen backbone, by image; files are written once and never changed.

    Args:
        built: the model, whose head must be one linear layer after the features.
        config: how images are transformed and augmented.
        accelerator: where the backbone runs, and in which precision.

    Raises:
        ConfigError: the model's head can't be told from its backbone.
    """

    def __init__(self, built: Backbone, config: TrainConfig, accelerator: Accelerator) -> None:
        self.built, self.config, self.accelerator = built, config, accelerator
        self.model: Any = built.model.eval().to(accelerator.device)
        self.augment = Augment(config.recipe, built.data_config).to(accelerator.device)
        self._check_head()
        root = config.run.cache_dir or user_cache_path("strip-defect-classifier")
        self.folder = root / "features" / self._key()

    def of(self, part: datasets.Dataset, title: str) -> torch.Tensor:
        """Return the features of all images of a part: float32, [image, view, feature].

        View 0 is the image as it is; what is not on disk yet is computed.
        """
        names = [_image_hash(row) for row in part]
        known = self._read()
        missing = [index for index, name in enumerate(names) if name not in known]
        with tqdm(total=len(missing), desc=title, unit="image", leave=False, disable=None) as bar:
            for first in range(0, len(missing), IMAGES_PER_FILE):
                rows = missing[first : first + IMAGES_PER_FILE]
                hashes = [names[index] for index in rows]
                features = self._compute(part.select(rows), hashes, bar)
                self.folder.mkdir(parents=True, exist_ok=True)
                file = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16] + ".safetensors"
                checkpoint.save(self.folder / file, {"features": features}, {"images": hashes})
                known |= dict(zip(hashes, features, strict=True))
        return torch.stack([known[name] for name in names])

    def _read(self) -> dict[str, torch.Tensor]:
        known: dict[str, torch.Tensor] = {}
        for file in sorted(self.folder.glob("*.safetensors")):
            tensors, facts = checkpoint.load(file)
            known |= dict(zip(facts["images"], tensors["features"], strict=True))
        return known

    @torch.inference_mode()
    def _compute(self, part: datasets.Dataset, hashes: Sequence[str], bar: Any) -> torch.Tensor:
        batches = DataLoader(
            _Pixels(part, self.built.data_config),
            batch_size=max(16, self.config.recipe.batch_size),
            num_workers=self.config.run.workers,
        )
        features, done = [], 0
        for batch in batches:
            pixels = batch.to(self.accelerator.device)
            views = [self.augment.normalise(pixels)]
            for view in range(1, 1 + self.config.recipe.views):
                draws = self._draws(hashes[done : done + len(batch)], view)
                views.append(self.augment((pixels, draws)))
            with self.accelerator.autocast():
                seen = [_features(self.model, inputs).float().cpu() for inputs in views]
            features.append(torch.stack(seen, dim=1))
            done += len(batch)
            bar.update(len(batch))
        return torch.cat(features)

    def _draws(self, hashes: Sequence[str], view: int) -> torch.Tensor:
        """Draw the changes of one view: by image, not by place, for another split to find it."""
        seeds = [mixed_seed(self.config.run.seed, view, int(name[:15], 16)) for name in hashes]
        return torch.stack([draw(seed) for seed in seeds]).to(self.accelerator.device)

    @torch.inference_mode()
    def _check_head(self) -> None:
        """Make sure that head(features) is what the model computes."""
        noise = torch.rand(2, *self.built.data_config["input_size"]).to(self.accelerator.device)
        whole, parted = self.model(noise), self.model.get_classifier()(_features(self.model, noise))
        if whole.shape != parted.shape or (whole - parted).abs().max() > LARGEST_DIFFERENCE:
            raise ConfigError(
                f"--tune head does not work for {self.built.architecture}: its head is more than "
                "one linear layer. Use --tune all."
            )

    def _key(self) -> str:
        """Return a name for all that the features depend on, except the image."""
        recipe = self.config.recipe
        digest = hashlib.sha256()
        facts = {
            "architecture": self.built.architecture,
            "data": {name: str(value) for name, value in self.built.data_config.items()},
            "precision": self.accelerator.mixed_precision,
            "views": recipe.views,
            "seed": self.config.run.seed if recipe.views else 0,
            "changes": {name: getattr(recipe, name) for name in CHANGES} if recipe.views else {},
        }
        digest.update(json.dumps(facts, sort_keys=True).encode())
        head = self.model.get_classifier()
        [prefix] = [name for name, module in self.model.named_modules() if module is head]
        for name, tensor in self.model.state_dict().items():
            # The head is what will be fitted; the features come before it.
            if not name.startswith(prefix + "."):
                digest.update(name.encode())
                digest.update(_bytes(tensor))
        return digest.hexdigest()[:32]


class FeatureViews(Dataset[tuple[torch.Tensor, int]]):
    """Features in the place of training images: in each epoch, one of the views of each."""

    def __init__(self, features: torch.Tensor, labels: Sequence[int], seed: int) -> None:
        self.features, self.labels, self.seed = features, labels, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, int]:
        epoch, index = key
        view = mixed_seed(self.seed, epoch, index) % self.features.shape[1]
        return self.features[index, view], self.labels[index]


class PlainFeatures(Dataset[tuple[torch.Tensor, int]]):
    """Features in the place of validation images."""

    def __init__(self, features: torch.Tensor, labels: Sequence[int]) -> None:
        self.features, self.labels = features, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.features[index, 0], self.labels[index]


class _Pixels(Dataset[torch.Tensor]):
    """Images, decoded and scaled: 8-bit, [3, height, width]."""

    def __init__(self, part: datasets.Dataset, data_config: dict[str, Any]) -> None:
        self.part, self.transform = part, plain_transform(data_config)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels: torch.Tensor = self.transform(open_image(self.part[index]))
        return pixels


def _features(model: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Return what timm's classifier sees: [image, feature]."""
    features: torch.Tensor = model.forward_head(model.forward_features(inputs), pre_logits=True)
    return features


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _image_hash(row: dict[str, Any]) -> str:
    image = row["image"]
    content = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
    return hashlib.sha256(content).hexdigest()
