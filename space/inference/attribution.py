"""Heatmaps: which regions of an image support a class.

Gradient times activation (captum's `LayerGradientXActivation`; on the last layer it is HiResCAM,
Draelos and Carin 2020, arXiv:2011.08891) gives the contribution of each position of a feature map
to a class. The last scale of a network is blurred, since each of its features covers most of an
image. The two scales before it are sharp, and the coarser one is more specific to the class. Their
maps are multiplied after the mean is subtracted, so that a position is hot only where both scales
are above average. `benchmarks/heatmaps.py` compares this with other methods.
"""

from __future__ import annotations

import copy
import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import LayerGradientXActivation
from PIL import Image
from torch.nn.functional import interpolate

from .core.classifier import Classifier
from .core.tiling import pool_weights, stitch
from .predictor import Predictor

logger = logging.getLogger(__name__)

METHOD = "gradient × activation of the two scales before the last, above the mean, multiplied"
# Gradients take several times the memory of a forward pass.
TILES_EXPLAINED_AT_ONCE = 8
# Enough for a screen: a heatmap has no more detail.
OVERLAY_PX = 1024
# Matplotlib's inferno at equal steps, from 0 to the maximum.
COLORS = ("000004", "320a5e", "781c6d", "bc3754", "ed6925", "fbb61a", "fcffa4")


class Explainer:
    """Computes heatmaps of a classifier.

    Args:
        predictor: the classifier. Its weights are shared, not copied.

    Raises:
        ValueError: timm does not list the stages of this network.
    """

    def __init__(self, predictor: Predictor) -> None:
        model: Any = predictor.model
        self.predictor = predictor
        # captum adds hooks to layers; a copy leaves forward passes in other threads unaffected.
        shared = itertools.chain(model.parameters(), model.buffers())
        self.model: Any = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
        scales = stage_names(model)
        if not scales:
            raise ValueError("timm lists no stages for this network.")
        # Networks without a pyramid, like most transformers, have a single scale.
        self.names = scales[-3:-1] or scales
        self._lock = threading.Lock()

    def explain(
        self, image: Image.Image, label: int, pause: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float64]:
        """Return how much each position of an RGB image supports a class, 0 to 1: [row, column].

        The map has the size of the network's input; for an image of several tiles, that is the
        size of the shorter side. It is 0 everywhere if no position supports the class.

        Args:
            image: from `read_image`.
            label: index of the class.
            pause: is called before each run of the network, and returns when it may begin.
        """
        batch = self.predictor.normalized(image)
        with self._lock:
            maps = self._tile_maps(batch, label, pause)
        heat = torch.ones((), dtype=torch.float64)
        for places in maps:
            sized = interpolate(places[:, None].relu(), batch.shape[2:], mode="bilinear")[:, 0]
            whole = stitch(sized.numpy(), *image.size) if len(sized) > 1 else sized[0].numpy()
            heat = heat * above_mean(torch.from_numpy(whole))
        return normalized(heat).numpy()

    def _tile_maps(
        self, batch: torch.Tensor, label: int, pause: Callable[[], None]
    ) -> list[torch.Tensor]:
        """Return the contribution of each position to the image's logit, by scale.

        Args:
            batch: the tiles of the image.
            label: index of the class.
            pause: see `explain`.

        Returns:
            float64, [tile, row, column], by scale.
        """
        weights = torch.ones(len(batch), 1)
        if len(batch) > 1:
            logits = []
            for some in torch.split(batch, TILES_EXPLAINED_AT_ONCE):
                pause()
                with torch.no_grad():
                    logits.append(self.model(some.to(self.predictor.device)))
            outputs = torch.cat(logits).double().cpu().numpy()
            weights = torch.from_numpy(pool_weights(outputs)[:, label])
        layers = [self.model.get_submodule(name) for name in self.names]
        method = LayerGradientXActivation(self.model, layers)
        prefix = int(getattr(self.model, "num_prefix_tokens", 0))
        maps = []
        with torch.enable_grad():
            for some in torch.split(batch, TILES_EXPLAINED_AT_ONCE):
                pause()
                attributions = method.attribute(some.to(self.predictor.device), label)
                maps.append(
                    [
                        by_position(found.detach().double().cpu(), self._channels(name), prefix)
                        for name, found in zip(self.names, attributions, strict=True)
                    ]
                )
        return [torch.cat(scale) * weights.view(-1, 1, 1) for scale in zip(*maps, strict=True)]

    def seen(self, image: Image.Image) -> Image.Image:
        """Return the region of an RGB image that the heatmap covers: all, unless it is cropped."""
        preprocessing = self.predictor.facts.preprocessing
        if preprocessing.covers_image:
            return image
        return Image.fromarray(preprocessing.pixels(image))

    def overlay(self, image: Image.Image, heat: npt.NDArray[np.float64]) -> Image.Image:
        """Return a picture of a heatmap to lay over its whole RGB image, of the same proportions.

        What the network does not see is transparent. The longer side is at most `OVERLAY_PX`.
        """
        preprocessing = self.predictor.facts.preprocessing
        scale = min(1, OVERLAY_PX / max(image.size))
        width, height = (max(1, round(side * scale)) for side in image.size)
        whole = 0, 0, *image.size
        region = whole if preprocessing.covers_image else preprocessing.region(image.size)
        left, top, right, bottom = (round(edge * scale) for edge in region)
        size = max(1, right - left), max(1, bottom - top)
        overlay = Image.new("RGBA", (width, height))
        overlay.paste(colored(heat).resize(size, Image.Resampling.BILINEAR), (left, top))
        return overlay

    def _channels(self, name: str) -> int:
        channels: int = next(i["num_chs"] for i in self.model.feature_info if i["module"] == name)
        return channels


def make_explainer(predictor: Classifier) -> Explainer | None:
    """Return the explainer of a classifier; None if its network does not support heatmaps.

    An exported file has no gradients, and so no heatmaps.
    """
    if not isinstance(predictor, Predictor):
        return None
    try:
        explainer = Explainer(predictor)
        explainer.explain(Image.new("RGB", (64, 64), "grey"), 0)
    # Any network may fail in its own way; the page works without heatmaps.
    except Exception as error:
        logger.warning("Heatmaps are not available: %s", error)
        return None
    return explainer


def stage_names(model: Any) -> list[str]:
    """Return the names of the last stage of each scale, the finest first.

    Empty if timm does not list them.
    """
    last = {
        info["reduction"]: info["module"]
        for info in getattr(model, "feature_info", [])
        if "module" in info
    }
    return [name for _, name in sorted(last.items())]


def by_position(attribution: torch.Tensor, channels: int, prefix: int) -> torch.Tensor:
    """Sum over the channels: [image, row, column].

    Args:
        attribution: [image, channel, row, column], as in most networks; or [image, row,
            column, channel]; or [image, token, channel], a square after the prefix tokens.
        channels: number of channels, which identifies the layout.
        prefix: number of tokens without a position.
    """
    if attribution.ndim == 3:
        tokens = attribution[:, prefix:].sum(dim=2)
        side = round(tokens.shape[1] ** 0.5)
        return tokens.view(-1, side, side)
    return attribution.sum(dim=1 if attribution.shape[1] == channels else 3)


def above_mean(places: torch.Tensor) -> torch.Tensor:
    """Return the excess of each position over the mean, scaled to at most 1; 0 below the mean."""
    return normalized((places - places.mean()).relu())


def normalized(places: torch.Tensor) -> torch.Tensor:
    """Divide by the maximum, unless that is 0."""
    return places / places.max().clamp_min(torch.finfo(places.dtype).tiny)


def colored(heatmap: npt.NDArray[np.float64]) -> Image.Image:
    """Return a picture of a heatmap to lay over the image: hot is bright, cold is transparent."""
    stops = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in COLORS])
    # The square root makes weak positions visible.
    shown = np.sqrt(heatmap)
    steps = np.linspace(0, 1, len(stops))
    channels = [np.interp(shown, steps, stops[:, channel]) for channel in range(3)]
    rgba = np.stack([*channels, 255 * np.minimum(1, 1.5 * shown)], axis=2)
    return Image.fromarray(rgba.round().astype(np.uint8))
