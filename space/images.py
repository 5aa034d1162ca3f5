"""Read a file as the picture that a person sees, or say why that can't be done."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

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


class ImageError(ValueError):
    """The image can't be judged; the message says why, in words for the person who sent it."""


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
