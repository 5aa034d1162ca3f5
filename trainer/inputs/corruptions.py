"""Image corruptions of an inspection line: noise, blur, bad light and more, five severities each.

The same idea as ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261), with the faults of
line cameras. Kinds, units and severities stand in the table below and in every report; they are
never adapted to a result. Pixels are counted after scaling to the network's input, so one table
serves images of any size. Each image is corrupted from its own seed, independently of batch and
device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample, interpolate, pad
from torchvision.transforms import v2

# An image: [channel, row, column], from 0 (black) to 1 (white).
Levels = torch.Tensor
Draw = torch.Generator


def add_noise(levels: Levels, snr_db: float, draw: Draw) -> Levels:
    """Add Gaussian noise, the same to all channels: most line cameras are grayscale.

    The signal-to-noise ratio is that of mean squares.
    """
    deviation = levels.square().mean().sqrt() * 10 ** (-snr_db / 20)
    noise = torch.randn(levels.shape[1:], generator=draw).to(levels.device)
    return levels + deviation * noise


def blur_by_motion(levels: Levels, length_px: float, draw: Draw) -> Levels:
    """Blur along a line of random direction: the strip moves during the exposure."""
    angle = math.pi * _uniform(draw)
    return _filtered(levels, line_kernel(round(length_px), angle))


def line_kernel(length_px: int, angle: float) -> torch.Tensor:
    """Return a one-pixel-wide line that sums to 1; each point is split over four pixels."""
    radius = (length_px + 1) // 2
    # Single numbers of an array are read and written faster than those of a tensor.
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    for step in range(length_px):
        along = step - (length_px - 1) / 2
        x, y = radius + along * math.cos(angle), radius + along * math.sin(angle)
        # Rounding in cos and sin must not put weight beyond the edge.
        left, top = math.floor(x + 1e-9), math.floor(y + 1e-9)
        right_share, lower_share = max(0.0, x - left), max(0.0, y - top)
        for column, share in ((left, 1 - right_share), (left + 1, right_share)):
            for row, part in ((top, 1 - lower_share), (top + 1, lower_share)):
                if share * part > 1e-9:
                    kernel[row, column] += share * part
    line = torch.from_numpy(kernel)
    return line / line.sum()


def defocus(levels: Levels, radius_px: float, draw: Draw) -> Levels:
    """Spread each point over a disc, as a lens out of focus does."""
    reach = math.ceil(radius_px)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    distance = torch.hypot(steps[:, None], steps[None, :])
    disc = (radius_px + 0.5 - distance).clamp(0, 1)
    return _filtered(levels, disc / disc.sum())


def light_unevenly(levels: Levels, gradient: float, draw: Draw) -> Levels:
    """Multiply by a linear slope of random direction, from 1 - gradient/2 to 1 + gradient/2."""
    angle = 2 * math.pi * _uniform(draw)
    height, width = levels.shape[1:]
    rows = torch.linspace(-1, 1, height, device=levels.device)[:, None]
    columns = torch.linspace(-1, 1, width, device=levels.device)[None, :]
    slope = math.cos(angle) * columns + math.sin(angle) * rows
    return levels * (1 + gradient / 2 * slope / slope.max())


def underexpose(levels: Levels, stops: float, draw: Draw) -> Levels:
    """Halve the light per stop."""
    return levels * 2**-stops


def overexpose(levels: Levels, stops: float, draw: Draw) -> Levels:
    """Double the light per stop; levels above white are clipped."""
    return levels * 2**stops


def compress(levels: Levels, quality: float, draw: Draw) -> Levels:
    """Store as JPEG, by Pillow: torchvision's encoder gives the same pixels but is deprecated."""
    stored = BytesIO()
    to_picture(to_bytes(levels)).save(stored, "JPEG", quality=round(quality))
    with Image.open(stored) as image:
        pixels: torch.Tensor = v2.functional.pil_to_tensor(image)
    return pixels.to(levels.device) / 255


def lower_resolution(levels: Levels, factor: float, draw: Draw) -> Levels:
    """Scale down by a factor, then up again."""
    height, width = levels.shape[1:]
    size = [max(1, round(side / factor)) for side in (height, width)]
    small = interpolate(levels[None], size, mode="bilinear", antialias=True)
    return interpolate(small, [height, width], mode="bilinear")[0]


def rotate(levels: Levels, degrees: float, draw: Draw) -> Levels:
    """Rotate in a random direction; beyond the edges the image is mirrored."""
    angle = math.radians(degrees) * (1 if _uniform(draw) < 0.5 else -1)
    height, width = levels.shape[1:]
    cos, sin = math.cos(angle), math.sin(angle)
    turn = [[cos, -sin * height / width, 0], [sin * width / height, cos, 0]]
    grid = affine_grid(
        torch.tensor([turn], device=levels.device), [1, *levels.shape], align_corners=False
    )
    return grid_sample(levels[None], grid, padding_mode="reflection", align_corners=False)[0]


def kill_pixels(levels: Levels, percent: float, draw: Draw) -> Levels:
    """Set random pixels to black or white, half of them each."""
    chance = torch.rand(levels.shape[1:], generator=draw).to(levels.device)
    share = percent / 100
    return levels.masked_fill(chance < share / 2, 0).masked_fill(chance >= 1 - share / 2, 1)


def combine(levels: Levels, place: float, draw: Draw) -> Levels:
    """Apply uneven light, then motion blur, then noise: the order in which an image suffers them.

    Args:
        levels: the image.
        place: index into each kind's severities, counted from 1.
        draw: random number generator.
    """
    for name in ("Uneven light", "Motion blur", "Noise"):
        corruption = BY_NAME[name]
        levels = corruption.change(levels, corruption.severity(place), draw).clamp(0, 1)
    return levels


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption and its severities.

    Attributes:
        name: for people.
        unit: of the severities.
        severities: five, the weakest first.
        check: what to check where images look like this.
        change: the function of levels, severity and random number generator.
    """

    name: str
    unit: str
    severities: tuple[float, float, float, float, float]
    check: str
    change: Callable[[Levels, float, Draw], Levels]

    def severity(self, place: float) -> float:
        """Return the severity at a place from 1, the weakest, to 5; between places, interpolate."""
        below = min(int(place), len(self.severities) - 1)
        share = place - below
        return (1 - share) * self.severities[below - 1] + share * self.severities[below]

    def apply(self, levels: Levels, severity: float, seed: int) -> Levels:
        """Return the corrupted image; the same seed gives the same image."""
        draw = torch.Generator().manual_seed(seed)
        return self.change(levels, severity, draw).clamp(0, 1)


CORRUPTIONS = (
    Corruption(
        *("Noise", "dB signal to noise", (40, 35, 30, 25, 20)),
        *("light, gain and exposure time", add_noise),
    ),
    Corruption(
        *("Motion blur", "px", (3, 5, 7, 10, 15)),
        *("exposure time and strip speed", blur_by_motion),
    ),
    Corruption(
        *("Defocus", "px radius", (1, 1.5, 2, 3, 4)),
        *("the lens and its distance", defocus),
    ),
    Corruption(
        *("Uneven light", "× mean, side to side", (0.2, 0.4, 0.6, 0.8, 1)),
        *("the lamps", light_unevenly),
    ),
    Corruption(
        *("Under-exposure", "stops", (0.5, 1, 1.5, 2, 2.5)),
        *("lamps, aperture and exposure time", underexpose),
    ),
    Corruption(
        *("Over-exposure", "stops", (0.2, 0.4, 0.6, 0.8, 1)),
        *("aperture and exposure time", overexpose),
    ),
    Corruption(
        *("JPEG", "quality", (70, 50, 30, 15, 5)),
        *("how images are compressed", compress),
    ),
    Corruption(
        *("Low resolution", "× coarser", (1.5, 2, 3, 4, 6)),
        *("distance and pixel format of the camera", lower_resolution),
    ),
    Corruption(
        *("Rotation", "degrees", (2, 4, 6, 8, 10)),
        *("how the camera is mounted", rotate),
    ),
    Corruption(
        *("Dead pixels", "% of all", (0.1, 0.3, 1, 2, 5)),
        *("the sensor", kill_pixels),
    ),
    Corruption(
        *("Light, motion and noise", "severity of each, as above", (1, 2, 3, 4, 5)),
        *("light and exposure time", combine),
    ),
)
BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
COMBINED = CORRUPTIONS[-1]
# The stages of imaging, in order: light, lens, pixel grid, sensor. JPEG does not run on a GPU, and
# rotation is part of the augmentation anyway.
STAGES = (
    ("Uneven light", "Under-exposure", "Over-exposure"),
    ("Motion blur", "Defocus"),
    ("Low resolution",),
    ("Noise", "Dead pixels"),
)
MOST_AT_ONCE = 3


def corrupt_randomly(levels: Levels, seed: int) -> Levels:
    """Return an image for training, corrupted at one to three stages by one kind each.

    A single kind may have any severity; of two or three at once, each is limited so that the
    surface can still be recognized.
    """
    draw = torch.Generator().manual_seed(seed)
    count = 1 + int(MOST_AT_ONCE * _uniform(draw))
    for stage in sorted(torch.randperm(len(STAGES), generator=draw)[:count].tolist()):
        kinds = STAGES[stage]
        corruption = BY_NAME[kinds[int(len(kinds) * _uniform(draw))]]
        severity = corruption.severity(1 + 4 / count * _uniform(draw))
        levels = corruption.change(levels, severity, draw).clamp(0, 1)
    return levels


def to_bytes(levels: Levels) -> torch.Tensor:
    """Return the 8-bit image."""
    return (255 * levels).round_().clamp_(0, 255).to(torch.uint8)


def to_picture(pixels: torch.Tensor) -> Image.Image:
    """Return an 8-bit RGB image, [3, row, column], as Pillow's, which interleaves the colors."""
    return Image.merge("RGB", [Image.fromarray(color.numpy(force=True)) for color in pixels])


def _uniform(draw: Draw) -> float:
    return torch.rand((), generator=draw).item()


def _filtered(levels: Levels, kernel: torch.Tensor) -> Levels:
    """Convolve each channel; beyond the edges the image is mirrored."""
    # A kernel may be wider than a tiny image, which can be mirrored only once.
    reach = min(kernel.shape[0] // 2, *(side - 1 for side in levels.shape[1:]))
    centre = kernel.shape[0] // 2
    kernel = kernel[centre - reach : centre + reach + 1, centre - reach : centre + reach + 1]
    kernel = kernel / kernel.sum()
    mirrored = pad(levels[:, None], [reach] * 4, mode="reflect")[:, 0]
    rows, columns = levels.shape[1:]
    filtered = torch.zeros_like(levels)
    # Most of a kernel is zero. A convolution would compute all of it, and is slow for one channel.
    for row, column in kernel.nonzero().tolist():
        shifted = mirrored[:, row : row + rows, column : column + columns]
        filtered.add_(shifted, alpha=float(kernel[row, column]))
    return filtered
