"""Draw long surfaces and crops of them, with known overlaps."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft, ndimage

from trainer.data.overlap_search.orientations import turned
from trainer.synthetic.brushes import Array, Rng, ramp

Pixels = npt.NDArray[np.uint8]


def _grain(rng: Rng, size: tuple[int, int], sigma_y: float, sigma_x: float) -> Array:
    """Return Gaussian noise of mean 0 and variance 1 with grains of the given size."""
    white = rng.standard_normal(size, dtype=np.float32)
    soft: Array = ndimage.gaussian_filter(white, (sigma_y, sigma_x), truncate=3, mode="wrap")
    soft /= soft.std()
    return soft


def _colored(rng: Rng, size: tuple[int, int], slope: float) -> Array:
    """Return noise whose amplitude falls with spatial frequency to the power of `slope`."""
    frequency = np.hypot(fft.fftfreq(size[0])[:, None], fft.rfftfreq(size[1])[None, :])
    frequency[0, 0] = 1
    spectrum = fft.rfft2(rng.standard_normal(size, dtype=np.float32)) / frequency**slope
    noise: Array = fft.irfft2(spectrum, size)
    noise /= noise.std()
    return noise


def _faint(rng: Rng, size: tuple[int, int], contrast: float) -> Array:
    fine = _grain(rng, size, 1.2, 1.0) + _grain(rng, size, 6, 2) + _grain(rng, size, 9, 7)
    return 120 + contrast / 3**0.5 * fine


def _clouds(rng: Rng, size: tuple[int, int], contrast: float) -> Array:
    return 128 + 2 * contrast * _colored(rng, size, rng.uniform(0.6, 1.2))


def _busy(rng: Rng, size: tuple[int, int], contrast: float) -> Array:
    net = ramp(0.15 - np.abs(_grain(rng, size, 5, 9)), 0.3)
    grain = 4 * _grain(rng, size, 0.8, 0.7) + 3 * _grain(rng, size, 2, 1.4)
    return 150 + contrast * (grain + 2 * _grain(rng, size, 14, 14) - 20 * net)


def _scratched(rng: Rng, size: tuple[int, int], contrast: float) -> Array:
    """Return a surface with straight bright lines along its whole length."""
    surface = _faint(rng, size, contrast)
    columns = np.arange(size[1])
    for _ in range(max(1, size[1] // 60)):
        line = (columns - rng.uniform(0, size[1])) / rng.uniform(0.6, 3)
        surface += rng.uniform(10, 80) * np.exp(-0.5 * line**2)
    return surface


def _spotted(rng: Rng, size: tuple[int, int], contrast: float) -> Array:
    spots = ramp(_grain(rng, size, 2, 2) - 2.6, 0.8)
    return _faint(rng, size, contrast) - 60 * spots


# Arguments: generator, size in px, and contrast, about the standard deviation of the faintest
# component in gray levels.
SURFACES: dict[str, Callable[[Rng, tuple[int, int], float], Array]] = {
    "plain": _faint,
    "clouds": _clouds,
    "busy": _busy,
    "scratched": _scratched,
    "spotted": _spotted,
}


@dataclass(frozen=True)
class Shot:
    """Position, orientation and storage of a crop of a surface.

    Attributes:
        y: row of its upper left corner on the surface.
        x: column of that corner.
        height: in px, on the surface.
        width: in px, on the surface.
        turn: orientation in which the crop is stored, see
            `trainer.data.overlap_search.orientations`.
        brightness: factor.
        blur_px: sigma.
        quality: of the JPEG file; None to store all pixels as they are.
    """

    y: int
    x: int
    height: int = 200
    width: int = 200
    turn: int = 0
    brightness: float = 1.0
    blur_px: float = 0.0
    quality: int | None = 90

    def of(self, surface: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the crop, turned, with its original pixels."""
        crop = surface[self.y : self.y + self.height, self.x : self.x + self.width]
        return turned(crop, self.turn)

    def taken(self, surface: Array) -> Pixels:
        """Return the pixels of the stored file."""
        levels = self.of(surface) * self.brightness
        if self.blur_px:
            levels = ndimage.gaussian_filter(levels, self.blur_px)
        pixels = levels.round().clip(0, 255).astype(np.uint8)
        if self.quality is None:
            return pixels
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)
        with Image.open(file) as image:
            return np.asarray(image)
