"""Find the images of a folder, or those that `trainer.hub_images` gets, and check each of them.

Every part is a `datasets.Dataset` with the columns `image` (undecoded: bytes or path), `label`
(ClassLabel), `file` (the name a person would look for) and `size_px` (width, height).
"""

from __future__ import annotations

import glob
import io
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import datasets
from datasets import DatasetDict
from PIL import Image
from tqdm import tqdm

from model_card.report import SkippedImage
from space.images import ImageError, read_image
from trainer.config import DataConfig
from trainer.data_source import DRAWN_DIR, SourceKind, find_source
from trainer.drawn_samples import write_samples
from trainer.errors import DataError
from trainer.hub_images import load_from_hub
from trainer.split import PART_NAMES

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".mpo"}
    # Read where Pillow can; else the reason says what to do.
    | {".avif", ".heic", ".heif", ".jp2", ".j2k"}
)
# Files that file managers leave in folders, unseen by their users.
SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"))
DRAWN_TRAIN_PER_CLASS, DRAWN_TEST_PER_CLASS = 200, 40
LISTED_PROBLEMS = 10


@dataclass(frozen=True)
class FoundImages:
    """Images as they came.

    Attributes:
        parts: `train`, and `validation` and `test` where the data have them.
        source: name of the folder, or the Hub id.
    """

    parts: DatasetDict
    source: str
    kind: SourceKind
    skipped: list[SkippedImage]


def find_images(config: DataConfig) -> FoundImages:
    """Find and check the images that `config` names.

    Raises:
        DataError: the images can't be used; the message says which, why, and what to do.
    """
    source, kind = find_source(config)
    if kind == "drawn":
        draw_images()
    parts, strangers = (
        (load_from_hub(source, config.stream_images), [])
        if kind == "hub"
        else _from_folder(Path(source).expanduser())
    )
    classes = next(iter(parts.values())).features["label"].names
    if len(classes) < 2:
        raise DataError(
            f"{source} has one class only ({classes[0]}). A classifier needs two or more: "
            "add a folder for each further class."
        )
    parts, skipped = _check_images(parts, strangers, skip=config.skip_bad_images)
    name = source if kind == "hub" else Path(source).resolve().name
    return FoundImages(parts=parts, source=name, kind=kind, skipped=skipped)


def open_image(row: dict[str, Any]) -> Image.Image:
    """Decode the image of a row, the way the published model will decode it."""
    return read_image(image_source(row))


def image_source(row: dict[str, Any]) -> str | IO[bytes]:
    """Return the path of the image of a row, or its bytes as a file."""
    image = row["image"]
    path: str = image["path"]
    return path if image["bytes"] is None else io.BytesIO(image["bytes"])


def draw_images() -> None:
    """Draw the embedded sample images, unless they lie there from last time."""
    logger.warning("These images are drawings by this program, no photographs: %s", DRAWN_DIR)
    if DRAWN_DIR.exists():
        return
    partial = DRAWN_DIR.with_name(DRAWN_DIR.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_samples(
        partial, train_per_class=DRAWN_TRAIN_PER_CLASS, test_per_class=DRAWN_TEST_PER_CLASS
    )
    partial.rename(DRAWN_DIR)


def _from_folder(root: Path) -> tuple[DatasetDict, list[SkippedImage]]:
    """Load a folder through `datasets`' ImageFolder, after a look at what lies in it.

    Returns:
        the parts as they lie there, and the files among them that are no images.
    """
    # Resolved at the root alone: a link inside may be what puts an image into its class.
    root = root.resolve()
    strangers: list[SkippedImage] = []
    files: dict[str, list[str]] = {}
    for name, folders in _part_folders(root).items():
        files[name] = []
        for file in (file for folder in folders for file in _own_files(folder)):
            if file.suffix.lower() in IMAGE_SUFFIXES:
                files[name].append(glob.escape(str(file)))
            else:
                reason = f"not an image: {file.suffix or 'no'} suffix"
                strangers.append(
                    SkippedImage(file=file.relative_to(root).as_posix(), reason=reason)
                )
    if not all(files.values()):
        raise DataError(f"{root} holds no images (known: {', '.join(sorted(IMAGE_SUFFIXES))}).")
    parts = datasets.load_dataset("imagefolder", data_files=files, drop_labels=False)
    for name, part in parts.items():
        part = part.cast_column("image", datasets.Image(decode=False))
        names = [Path(image["path"]).relative_to(root).as_posix() for image in part["image"]]
        parts[name] = part.add_column("file", names)
    return parts, strangers


def _part_folders(root: Path) -> dict[str, list[Path]]:
    """Return the class folders of each part; all under `train` where there are no parts."""
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    loose = [f for f in root.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES]
    if loose:
        raise DataError(
            f"{loose[0]} lies beside the class folders. Move it into the folder of its class."
        )
    if not folders:
        raise DataError(f"{root} is empty. It should hold a folder of images for each class.")
    named = [f for f in folders if f.name.lower() in PART_NAMES]
    if not named:
        return {"train": folders}
    strangers = [f.name for f in folders if f not in named]
    if strangers:
        raise DataError(
            f"{root} has {', '.join(strangers)} beside {named[0].name}. Move it elsewhere: only "
            "train, val (or valid, validation) and test may lie there."
        )
    parts: dict[str, list[Path]] = {}
    for folder in named:
        name = PART_NAMES[folder.name.lower()]
        if name in parts:
            raise DataError(f"{root} has two folders for the {name} part. Merge them.")
        classes = [f for f in sorted(folder.iterdir()) if f.is_dir() and not f.name.startswith(".")]
        if not classes:
            raise DataError(f"{folder} is empty. It should hold a folder for each class.")
        parts[name] = classes
    if "train" not in parts:
        raise DataError(f"{root} has {', '.join(f.name for f in named)} but no train folder.")
    known = {folder.name for folder in parts["train"]}
    for name, classes in parts.items():
        found = {folder.name for folder in classes}
        for missing in sorted(known ^ found):
            here, there = ("train", name) if missing in known else (name, "train")
            raise DataError(
                f"The class {missing} is in the {here} part of {root} but not in the {there} part. "
                "Add images of it there, or remove the class from both."
            )
    return parts


def _own_files(folder: Path) -> list[Path]:
    """Return the files of a class folder in order, without those that systems leave there."""
    files = [
        file
        for file in sorted(folder.iterdir())
        if not file.name.startswith(".") and file.name.lower() not in SYSTEM_FILES
    ]
    for file in files:
        if file.is_dir():
            raise DataError(
                f"{file} is a folder inside a class folder. Move its images up into {folder}, "
                "or point --data-dir at the folder whose folders are the classes."
            )
    if not files:
        raise DataError(f"{folder} is empty. Add images, or remove the folder.")
    return files


def _check_images(
    parts: DatasetDict, strangers: list[SkippedImage], *, skip: bool
) -> tuple[DatasetDict, list[SkippedImage]]:
    """Decode every image once; stop at those that can't be read, or leave them out."""
    bad = list(strangers)
    checked = DatasetDict()
    for name, part in parts.items():
        good: list[int] = []
        sizes_px: list[tuple[int, int]] = []
        with ThreadPoolExecutor() as pool:
            outcomes = pool.map(_size_or_reason, part)
            bar = tqdm(outcomes, f"checking {name}", len(part), unit="image", disable=None)
            for index, outcome in enumerate(bar):
                if isinstance(outcome, str):
                    bad.append(SkippedImage(file=part[index]["file"], reason=outcome))
                else:
                    good.append(index)
                    sizes_px.append(outcome)
        checked[name] = part.select(good).add_column("size_px", sizes_px)
    if bad:
        lines = [f"  {image.file}: {image.reason}" for image in bad]
        more = len(lines) - LISTED_PROBLEMS
        listing = "\n".join(lines[:LISTED_PROBLEMS] + ([f"  and {more} more"] if more > 0 else []))
        if not skip:
            raise DataError(
                f"{len(bad)} files are not usable:\n{listing}\n"
                "Mend or remove them, or pass --skip-bad-images to go on without them."
            )
        logger.warning("Left out %d files:\n%s", len(bad), listing)
    return checked, bad


def _size_or_reason(row: dict[str, Any]) -> tuple[int, int] | str:
    """Return an image's (width, height), or why it can't be read."""
    try:
        return open_image(row).size
    except ImageError as error:
        return str(error)
