"""Out-of-distribution images: drawn, from scikit-learn, or from a folder of the user."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice, product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from space.inference.images.reader import ImageError, read_image
from trainer.data.folders.entries import Folder
from trainer.errors import DataError
from trainer.inputs.ahead import done_ahead
from trainer.text.names import printable

IMAGES_PER_KIND = 40
SIDE_PX = 224
Rng = np.random.Generator


def drawn_images(seed: int) -> dict[str, list[Image.Image]]:
    """Return images of each built-in kind, mostly gray like the images of inspection cameras.

    The photographs are crops of the two that come with scikit-learn: a flower and a palace.
    """
    kinds: dict[str, Callable[[Rng], Image.Image]] = {
        "noise": _noise,
        "plain gray": _plain,
        "gradients": _gradient,
        "text": _text,
        "woven and tiled patterns": _pattern,
        "photographs": _photograph,
    }
    draws = list(kinds.values())

    def drawn(image: tuple[int, int]) -> Image.Image:
        place, number = image
        return draws[place](np.random.default_rng([seed, place, number]))

    # By all cores: drawing them takes longer than the network does.
    images = done_ahead(drawn, product(range(len(draws)), range(IMAGES_PER_KIND)))
    return {kind: list(islice(images, IMAGES_PER_KIND)) for kind in kinds}


def images_of_folder(folder: Path, bit_depth: int) -> Iterator[Image.Image]:
    """Yield all images in a folder and its subfolders.

    Args:
        folder: of the user.
        bit_depth: of the dataset, see `space.inference.images.reader`.

    Raises:
        DataError: there are none, or one can't be read.
    """
    files = sorted(Folder(str(folder)).images_below(), key=lambda file: file.path)
    if not files:
        raise DataError(f"--ood-dir {printable(str(folder))} holds no images.")
    for file in files:
        try:
            if file.trouble:
                raise ImageError(file.trouble)
            yield read_image(file.path, bit_depth)
        except ImageError as error:
            raise DataError(
                f"--ood-dir: {printable(file.path)} can't be used: {error}\nFix or remove it."
            ) from error


def check_folder(folder: Path, bit_depth: int) -> None:
    """Check before training that all images in the folder can be read.

    Raises:
        DataError: there are none, or one can't be read.
    """
    for _ in images_of_folder(folder, bit_depth):
        pass


def _gray(levels: np.ndarray) -> Image.Image:
    """Return an RGB image of gray levels from 0 to 1."""
    return Image.fromarray(np.clip(255 * levels, 0, 255).astype(np.uint8)).convert("RGB")


def _noise(rng: Rng) -> Image.Image:
    """Gaussian noise of random grain, contrast and brightness."""
    side = SIDE_PX // int(rng.integers(1, 5))
    noise = rng.uniform(0.2, 0.8) + rng.uniform(0.03, 0.3) * rng.standard_normal((side, side))
    return _gray(noise).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)


def _plain(rng: Rng) -> Image.Image:
    return _gray(np.full((SIDE_PX, SIDE_PX), rng.uniform(0, 1)))


def _gradient(rng: Rng) -> Image.Image:
    """Light that falls off in one direction."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0 : 1 : SIDE_PX * 1j, 0 : 1 : SIDE_PX * 1j]
    slope = np.cos(angle) * columns + np.sin(angle) * rows
    slope = (slope - slope.min()) / np.ptp(slope)
    dark, light = np.sort(rng.uniform(0, 1, 2))
    return _gray(dark + (light - dark) * slope)


def _text(rng: Rng) -> Image.Image:
    """Dark lines of random letters on light paper."""
    paper = Image.new("L", (SIDE_PX, SIDE_PX), int(rng.integers(170, 256)))
    letters = rng.choice(list(string.ascii_letters + string.digits + " " * 12), (40, 60))
    size = int(rng.integers(9, 36))
    # Letters beyond the image's edges would cost most of the time.
    visible = letters[: SIDE_PX // size + 1, : 5 * SIDE_PX // size]
    lines = "\n".join("".join(line) for line in visible)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(paper).multiline_text((4, 4), lines, int(rng.integers(0, 90)), font=font)
    return paper.convert("RGB")


def _pattern(rng: Rng) -> Image.Image:
    """Bars, weave, checks or rings, rotated and with a little noise: other products."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 48)
    rows, columns = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float64)
    along = (np.cos(angle) * columns + np.sin(angle) * rows) * 2 * np.pi / period
    across = (np.cos(angle) * rows - np.sin(angle) * columns) * 2 * np.pi / period
    centre = rng.uniform(-1, 2, 2) * SIDE_PX
    rings = np.hypot(rows - centre[0], columns - centre[1]) * 2 * np.pi / period
    wave = [
        np.sin(along),
        np.sin(along) * np.sin(across),
        np.sign(np.sin(along) * np.sin(across)),
        np.maximum(np.cos(along), np.cos(across)) ** 9,
        np.sin(rings + 0.6 * np.sin(along / 5)),
    ][int(rng.integers(5))]
    noise = rng.uniform(0, 0.05) * rng.standard_normal(wave.shape)
    return _gray(rng.uniform(0.3, 0.7) + rng.uniform(0.08, 0.3) * wave + noise)


@cache
def _photographs() -> list[Image.Image]:
    # scikit-learn takes a second to import; checking a folder needs none of it.
    from sklearn.datasets import load_sample_images  # noqa: PLC0415

    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def _photograph(rng: Rng) -> Image.Image:
    """A crop of one of scikit-learn's photographs, in color or gray."""
    photograph = _photographs()[int(rng.integers(2))]
    side = int(rng.integers(100, 420))
    left = int(rng.integers(photograph.width - side))
    top = int(rng.integers(photograph.height - side))
    piece = photograph.crop((left, top, left + side, top + side))
    return piece if rng.random() < 0.5 else piece.convert("L").convert("RGB")
