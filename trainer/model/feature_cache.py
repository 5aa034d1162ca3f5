"""The features that a frozen backbone computes of each image, cached on disk.

With `--tune head` the backbone never changes, so its features need to be computed only once: of
each image without augmentation and, if configured, of a few augmented views. The head is then
fitted to the cached features in seconds, and fitting it again with other settings needs no second
pass through the backbone.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args, get_type_hints

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from model_card.schema.checksums import facts_checksum
from trainer.config.groups import RunConfig
from trainer.config.option_types import AUGMENTS_VIEWS
from trainer.config.recipe import RecipeConfig
from trainer.data.image_record import image_digest
from trainer.errors import ConfigError
from trainer.inputs.augment import Augment
from trainer.inputs.draws import draw, mixed_seed, tile_seeds
from trainer.inputs.loading import Target, scaled_tiles, stack_tiles
from trainer.inputs.shapes import tile_counts
from trainer.model.backbone import Backbone
from trainer.runtime import checkpoint
from trainer.runtime.cache import cache_folder, cache_is_optional

logger = logging.getLogger(__name__)

# The most work that an interrupted pass loses.
IMAGES_PER_FILE = 256
LARGEST_DIFFERENCE = 1e-3
# The settings that an augmented view depends on.
AUGMENTATION_SETTINGS = [
    name
    for name, hint in get_type_hints(RecipeConfig, include_extras=True).items()
    if AUGMENTS_VIEWS in get_args(hint)
]


class FeatureStore:
    """The features of one frozen backbone, in files that are written once and never changed.

    Args:
        built: the model; its head must be one linear layer after the features.
        recipe: of the augmentation; its batch size is that of the passes.
        run: the seed, the cache folder and the processes that load images.
        accelerator: the device and precision of the backbone.
        tile: whether long images are cut into squares.

    Raises:
        ConfigError: the model's head is more than one linear layer.
    """

    def __init__(
        self,
        built: Backbone,
        recipe: RecipeConfig,
        run: RunConfig,
        accelerator: Accelerator,
        *,
        tile: bool,
    ) -> None:
        self.built, self.recipe, self.run = built, recipe, run
        self.accelerator, self.tile = accelerator, tile
        self.model: Any = built.model.eval().to(accelerator.device)
        self.augment = Augment(recipe, built.data_config).to(accelerator.device)
        self._check_head()
        self.root = cache_folder("features", run.cache_dir)
        self.weights = self._weights_digest()

    def features(self, split: datasets.Dataset, views: int, title: str) -> list[torch.Tensor]:
        """Return the features of each image of a split: float32, [tile, 1 + view, feature].

        View 0 is the image without augmentation, the others are augmented. Features that are not
        cached yet are computed. With `--tile` a long image has several tiles.
        """
        counts = tile_counts(split["size_px"][:], tile=self.tile)
        names = [tile_names(image_digest(row), n) for row, n in zip(split, counts, strict=True)]
        cached = [self._read(view) for view in range(1 + views)]
        missing = [[i for i, tiles in enumerate(names) if tiles[0] not in by] for by in cached]
        total = sum(len(rows) for rows in missing)
        with tqdm(total=total, desc=title, unit="image", leave=False, disable=None) as bar:
            for view, rows in enumerate(missing):
                for first in range(0, len(rows), IMAGES_PER_FILE):
                    chunk = rows[first : first + IMAGES_PER_FILE]
                    chunk_names = [names[index] for index in chunk]
                    features = self._compute(split.select(chunk), chunk_names, view, bar)
                    tiles = list(chain.from_iterable(chunk_names))
                    self._write(view, tiles, features)
                    cached[view] |= dict(zip(tiles, features, strict=True))
        return [
            torch.stack([torch.stack([by[name] for by in cached]) for name in tiles])
            for tiles in names
        ]

    def _read(self, view: int) -> dict[str, torch.Tensor]:
        cached: dict[str, torch.Tensor] = {}
        for file in sorted(self.folder(view).glob("*.safetensors")):
            tensors, facts = checkpoint.load(file, "Remove it: its features are computed again.")
            cached |= dict(zip(facts["images"], tensors["features"], strict=True))
        return cached

    def _write(self, view: int, names: Sequence[str], features: torch.Tensor) -> None:
        folder = self.folder(view)
        file = hashlib.sha256("".join(names).encode()).hexdigest()[:16] + ".safetensors"
        with cache_is_optional(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            tensors, facts = {"features": features}, {"images": list(names)}
            checkpoint.save(folder / file, tensors, facts, shared=True)

    @torch.inference_mode()
    def _compute(
        self, split: datasets.Dataset, names: Sequence[list[str]], view: int, bar: Any
    ) -> torch.Tensor:
        """Pass images through the backbone, plain (view 0) or augmented: [tile, feature]."""
        batches = DataLoader(
            _Pixels(split, self.built.data_config, tile=self.tile),
            batch_size=max(16, self.recipe.batch_size),
            num_workers=self.run.workers,
            collate_fn=stack_tiles,
        )
        features: list[torch.Tensor] = []
        for batch in batches:
            inputs = batch.inputs.to(self.accelerator.device)
            if view:
                own = [names[row] for row in batch.targets.tolist()]
                inputs = self.augment((inputs, self._draws(own, view)))
            else:
                inputs = self.augment.normalize(inputs)
            with self.accelerator.autocast():
                features.append(_features(self.model, inputs).float().cpu())
            bar.update(len(batch.counts))
        return torch.cat(features)

    def _draws(self, names: Sequence[list[str]], view: int) -> torch.Tensor:
        """Draw the changes of one view, by image and not by position: any split finds it."""
        images = np.array([int(tiles[0][:15], 16) for tiles in names], np.uint64)
        seeds = tile_seeds([len(tiles) for tiles in names], self.run.seed, view, images)
        return draw(seeds).to(self.accelerator.device)

    @torch.inference_mode()
    def _check_head(self) -> None:
        """Check that head(features) equals the output of the model."""
        noise = torch.rand(2, *self.built.data_config["input_size"]).to(self.accelerator.device)
        expected = self.model(noise)
        start = time.monotonic()
        outputs = self.model.get_classifier()(_features(self.model, noise))
        self.image_s = (time.monotonic() - start) / len(noise)
        if expected.shape != outputs.shape or (expected - outputs).abs().max() > LARGEST_DIFFERENCE:
            raise ConfigError(
                f"--tune head does not work for {self.built.architecture}: its head is more than "
                "one linear layer. Use --tune all."
            )

    def folder(self, view: int) -> Path:
        """Return the folder of one view, named by a hash of all that its features depend on."""
        facts: dict[str, Any] = {
            "architecture": self.built.architecture,
            "weights": self.weights,
            "data": {name: str(value) for name, value in self.built.data_config.items()},
            "precision": self.accelerator.mixed_precision,
            # Files of earlier versions have no checksum and are not used.
            "checksum": checkpoint.CHECKSUM,
        }
        if view:
            facts |= {"view": view, "seed": self.run.seed}
            facts |= {name: getattr(self.recipe, name) for name in AUGMENTATION_SETTINGS}
        return self.root / facts_checksum(facts)[:32]

    def _weights_digest(self) -> str:
        """Return a hash of the weights of the backbone, without the head."""
        digest = hashlib.sha256()
        head = self.model.get_classifier()
        [prefix] = [name for name, module in self.model.named_modules() if module is head]
        for name, tensor in self.model.state_dict().items():
            if not name.startswith(prefix + "."):
                digest.update(name.encode())
                digest.update(_bytes(tensor))
        return digest.hexdigest()


class FeatureViews(Dataset[tuple[torch.Tensor, Target]]):
    """Features as training data: in each epoch, one view of each image."""

    def __init__(
        self, features: Sequence[torch.Tensor], labels: Sequence[Target], seed: int
    ) -> None:
        self.features, self.labels, self.seed = features, labels, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, Target]:
        epoch, index = key
        views = self.features[index]
        view = mixed_seed(self.seed, epoch, index) % views.shape[1]
        return views[:, view], self.labels[index]


class PlainFeatures(Dataset[tuple[torch.Tensor, Target]]):
    """Features as validation data, without augmentation."""

    def __init__(self, features: Sequence[torch.Tensor], labels: Sequence[Target]) -> None:
        self.features, self.labels = features, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Target]:
        return self.features[index][:, 0], self.labels[index]


class _Pixels(Dataset[tuple[torch.Tensor, int]]):
    """Decoded and scaled images (8-bit, [tile, 3, height, width]) and their indices."""

    def __init__(self, split: datasets.Dataset, data_config: dict[str, Any], *, tile: bool) -> None:
        self.split, self.data_config, self.tile = split, data_config, tile

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return scaled_tiles(self.split[index], self.data_config, tile=self.tile), index


def tile_names(digest: str, tiles: int) -> list[str]:
    """Return the names under which the features of an image's tiles are cached."""
    return [digest] if tiles == 1 else [f"{digest}:{tile}/{tiles}" for tile in range(tiles)]


def _features(model: Any, inputs: torch.Tensor) -> torch.Tensor:
    """Return the input of timm's classifier: [image, feature]."""
    features: torch.Tensor = model.forward_head(model.forward_features(inputs), pre_logits=True)
    return features


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
