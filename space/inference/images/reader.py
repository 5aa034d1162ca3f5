"""Read a file as the picture that a person sees, or report why it can't be read."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from .containers import DEEP_KINDS, may_be_deep, picture_of
from .picture import MAX_PIXELS, ImageError, Picture, check_size

__all__ = [
    "BIT_DEPTHS",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "UPRIGHT",
    "DecodedImage",
    "ImageError",
    "decode_image",
    "has_deep_samples",
    "read_content",
    "read_image",
]

# Pillow registers its decoders when first used, which is not safe where several threads decode.
Image.init()

# Enough for MAX_PIXELS of 16 bits, not compressed.
MAX_FILE_BYTES = 100 * 2**20
# Significant bits of the samples of a data set; cameras of 10 to 14 bits fill 16 from below.
BIT_DEPTHS = (8, 10, 12, 14, 16)
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
# Pillow returns the upper byte of 16-bit color; in the other byte order it returns the lower one.
OTHER_BYTE = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B",
    "RGBX;16B": "RGBX;16L",
    "RGBX;16L": "RGBX;16B",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": "RGBA;16B",
}
Samples = np.ndarray[Any, Any]
FILE_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class DecodedImage:
    """A decoded file, before it becomes an 8-bit picture.

    Attributes:
        image: as Pillow decoded it, not yet turned upright.
        levels: samples of more than 8 bits, [row, column, 1 or 3], uint16; None if all have 8.
        alpha: how opaque the pixels of `levels` are, [row, column], uint16; None if all are.
        orientation: EXIF number from 1 (upright) to 8.
        tagged_depth: significant bits as the file's tags say; None if they don't.
    """

    image: Image.Image
    levels: Samples | None
    alpha: Samples | None
    orientation: int
    tagged_depth: int | None

    @property
    def brightest(self) -> int | None:
        """Return the largest sample of more than 8 bits; None if the samples have 8 bits."""
        return None if self.levels is None else int(self.levels.max())

    @property
    def bit_depth(self) -> int | None:
        """Return the smallest usual depth that holds all samples; None if they have 8 bits."""
        if self.brightest is None:
            return None
        bits = max(self.brightest.bit_length(), self.tagged_depth or 0)
        return next(depth for depth in BIT_DEPTHS if depth >= bits)

    def to_rgb(self, bit_depth: int = 16) -> Image.Image:
        """Return the upright 8-bit RGB picture, transparent pixels white.

        Args:
            bit_depth: of the data set: samples of more than 8 bits fill 16 from below.

        Raises:
            ImageError: a sample needs more bits.
        """
        image = self.image if self.levels is None else self._scaled(self.levels, bit_depth)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        # Converting copies, even where there is nothing to convert.
        image = image if image.mode == "RGB" else image.convert("RGB")
        method = UPRIGHT.get(self.orientation)
        return image if method is None else image.transpose(method)

    def _scaled(self, samples: Samples, bit_depth: int) -> Image.Image:
        largest, brightest = 2**bit_depth - 1, int(samples.max())
        if brightest > largest:
            raise ImageError(
                f"The image has samples up to {brightest}, but the model was trained on images of "
                f"{bit_depth} bits, whose maximum is {largest}. Use images stored like the "
                "training images, or save this one with 8 bits."
            )
        levels = (samples >> (bit_depth - 8)).astype(np.uint8)
        if self.alpha is None:
            return Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)
        # Some programs scale opacity to 16 bits even if the samples have fewer.
        shift = bit_depth - 8 if self.alpha.max() <= largest else 8
        opacity = (self.alpha >> shift).astype(np.uint8)
        rgb = np.broadcast_to(levels, (*levels.shape[:2], 3))
        return Image.fromarray(np.dstack([rgb, opacity]))


def read_image(source: str | Path | IO[bytes], bit_depth: int = 16) -> Image.Image:
    """Decode a file of any common format into the 8-bit RGB picture that a person sees.

    EXIF rotation is applied; 16-bit samples are scaled to 8 bits; transparent pixels become white.

    Args:
        source: a path, or an open file.
        bit_depth: significant bits of 16-bit samples; see `BIT_DEPTHS`.

    Raises:
        ImageError: not an image, damaged, too large, animated, or the depth can't be scaled.
    """
    return decode_image(read_content(source)).to_rgb(bit_depth)


def has_deep_samples(source: str | Path | IO[bytes]) -> bool:
    """Return whether samples may have more than 8 bits; of most files, a few bytes are read.

    Raises:
        ImageError: as `read_content`.
    """
    if not read_content(source, 32).startswith(DEEP_KINDS):
        return False
    return may_be_deep(read_content(source))


def read_content(source: str | Path | IO[bytes], first: int = MAX_FILE_BYTES + 1) -> bytes:
    """Return the bytes of an image file, or its first ones.

    Raises:
        ImageError: it can't be opened, is not a file, or has more than `MAX_FILE_BYTES`.
    """
    if not isinstance(source, str | Path):
        source.seek(0)
        return _bounded(source.read(first))
    try:
        # Checked before opening, which would block on a pipe.
        kind = FILE_KINDS.get(stat.S_IFMT(Path(source).stat().st_mode))
        if kind:
            raise ImageError(f"The file can't be opened: it is {kind}, not a file.")
        with Path(source).open("rb") as file:
            return _bounded(file.read(first))
    except OSError as error:
        raise ImageError(f"The file can't be opened: {error.strerror}.") from error
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"The file can't be opened: {error}.") from error


def _bounded(content: bytes) -> bytes:
    if len(content) > MAX_FILE_BYTES:
        raise ImageError(
            f"The file is larger than {MAX_FILE_BYTES // 2**20} MB. Crop the image, or save it as "
            "PNG or JPEG."
        )
    return content


def decode_image(content: bytes) -> DecodedImage:
    """Decode a file as it is stored.

    Raises:
        ImageError: not an image, damaged, too large, animated, or the depth can't be scaled.
    """
    picture = picture_of(content)
    try:
        with _opened(picture) as image:
            check_size(*image.size)
            if getattr(image, "is_animated", False):
                raise ImageError(
                    "The file holds several frames or pages. Save the one to classify as PNG."
                )
            rawmode = _rawmode(image)
            image.load()
            levels, alpha = _deep_samples(image, rawmode, picture)
            orientation = picture.orientation or image.getexif().get(ORIENTATION_TAG, 1)
            return DecodedImage(image, levels, alpha, orientation, picture.bit_depth)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("The image has far too many pixels. Crop it or scale it down.") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"The image is damaged or incomplete, or a variant of {picture.format} that can't be "
            "read here. Save it again as PNG."
        ) from error
    except MemoryError as error:
        raise ImageError("Decoding the image takes too much memory. Save it as PNG.") from error
    # Decoders raise many errors on damaged data: OSError, SyntaxError, ValueError, struct.error, …
    except Exception as error:
        raise ImageError(f"The image is damaged or incomplete: {error}") from error


def _opened(picture: Picture) -> ImageFile.ImageFile:
    """Open a picture with the decoder of its format only."""
    return Image.open(io.BytesIO(picture.content), formats=[picture.format])


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's raw mode of the samples."""
    args = image.tile[0].args if image.tile else None
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def _deep_samples(
    image: ImageFile.ImageFile, rawmode: str, picture: Picture
) -> tuple[Samples | None, Samples | None]:
    """Return samples of more than 8 bits and their opacity; None for each that is absent."""
    if image.mode == "F":
        raise ImageError("The image has floating-point pixels. Save it with 8 or 16 bits.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ImageError("The image has 32-bit pixels. Save it with 8 or 16 bits.")
        levels: Samples = pixels.astype(np.uint16)[:, :, None]
    elif rawmode == "LA;16B":
        # Four bytes a pixel: the two of the gray level, the two of its opacity.
        stored = np.asarray(_decoded_as("RGBA", picture)).astype(np.uint16)
        levels = (stored[:, :, :1] << 8) | stored[:, :, 1:2]
        return levels, (stored[:, :, 2] << 8) | stored[:, :, 3]
    elif rawmode in OTHER_BYTE:
        lower = np.asarray(_decoded_as(OTHER_BYTE[rawmode], picture))
        stored = (np.asarray(image).astype(np.uint16) << 8) | lower
        levels = stored[:, :, :3]
        if stored.shape[2] == 4:
            return levels, stored[:, :, 3]
    else:
        return None, None
    key = image.info.get("transparency")  # the 16-bit color of transparent pixels
    if key is None:
        return levels, None
    return levels, np.where((levels == key).all(axis=2), 0, 65535).astype(np.uint16)


def _decoded_as(rawmode: str, picture: Picture) -> Image.Image:
    """Decode a picture with another raw mode."""
    with _opened(picture) as image:
        first = image.tile[0].args
        args = (rawmode, *first[1:]) if isinstance(first, tuple) else rawmode
        image.tile = [tile._replace(args=args) for tile in image.tile]
        image.load()
        return image
