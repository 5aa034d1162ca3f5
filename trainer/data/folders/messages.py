"""Sentences on what is wrong with a folder of images: what, where, and what to do."""

from __future__ import annotations

from collections import Counter

from model_card.formatting import counted
from model_card.schema.run.data import SkippedImage
from trainer.data.folders.class_names import class_from_name
from trainer.data.folders.entries import Folder
from trainer.data.folders.layout import Level, place
from trainer.data.folders.location import ARCHIVE_SUFFIXES
from trainer.errors import DataError
from trainer.text.names import listed, printable

LISTED_PROBLEMS = 10


def unusable_source(source: str, problems: list[str]) -> DataError:
    """Return the error that lists the problems of a folder or dataset."""
    count = "A problem prevents" if len(problems) == 1 else f"{len(problems)} problems prevent"
    listing = "\n".join(f"  {problem}" for problem in problems)
    return DataError(f"{count} the use of {printable(source)}:\n{listing}")


def unusable_lines(unusable: list[SkippedImage]) -> list[str]:
    """Return a line for each of the first files, and the number of the others."""
    shown = unusable[:LISTED_PROBLEMS]
    lines = [f"{printable(image.file)}: {printable(image.reason)}" for image in shown]
    more = len(unusable) - len(shown)
    return lines + [f"and {more} more"] * bool(more)


def one_class(source: str, classes: list[str]) -> str:
    """Report that there is only one class."""
    return (
        f"{source} has only one class ({listed(classes)}). A classifier needs two or more: add a "
        "folder for each further class."
    )


def loose_images(level: Level) -> str:
    """Report images without a class, and how to assign one."""
    images = [file.name for file in level.folder.images]
    where = place(level.folder)
    if level.folders:
        return (
            f"{counted(len(images), 'image')} {'is' if len(images) == 1 else 'are'} directly in "
            f"{where}, beside the class folders: "
            f"{listed(images)}. Move each into the folder of its class."
        )
    words = [
        f"{where} holds {counted(len(images), 'image')} but no class folders, so no labels: "
        f"{listed(images)}. Put them into a folder for each class, or list them in "
        f"{where}/metadata.csv with the columns file_name and label."
    ]
    if level.table and level.table.columns:
        words.append(
            f"If one of the columns {listed(level.table.columns)} of {printable(level.table.name)} "
            "holds the classes, name it with --label-column."
        )
    names = [class_from_name(file.basename) for file in level.folder.images]
    classes = Counter(name for name in names if name)
    # If each image had its own class, the names would not be classes.
    if 1 < len(classes) <= len(images) / 2 or (len(classes) > 1 and max(classes.values()) > 1):
        counts = [f"{name} ({count})" for name, count in sorted(classes.items())]
        words.append(
            f"The file names would give the classes {listed(counts)}: pass --class-from-name to "
            "use these."
        )
    if level.split != "train":
        words.append(f"Or move {where} elsewhere: then {level.split} is split off from train.")
    return " ".join(words)


def folders_in_class(folder: Folder, inner: list[Folder]) -> str:
    """Report folders with images inside a class folder."""
    counts = [f"{place(each)} ({sum(1 for _ in each.images_below())})" for each in inner]
    return (
        f"There are folders with images inside the class folder {place(folder)}: "
        f"{', '.join(counts)}. Move their images up into {place(folder)}. If they are the classes, "
        f"train with --data-dir {printable(folder.path)}; several --data-dir are allowed."
    )


def masks_beside_images(folder: Folder) -> str:
    """Report files of a class folder that are named like masks of the images beside them."""
    masks = [file.basename for file in folder.images if folder.is_mask(file)]
    named = "is named like a mask" if len(masks) == 1 else "are named like masks"
    return (
        f"In {place(folder)}, {counted(len(masks), 'file')} {named} of an image beside it: "
        f"{listed(masks, 3)}. Move masks out of the class folders, or rename photographs."
    )


def empty_folder(folder: Folder, advice: str) -> str:
    """Report the content of a folder without images."""
    lying = [each.basename for each in folder.folders] + [file.basename for file in folder.files]
    if not lying:
        return f"{place(folder)} is empty. {advice}"
    archives = [f.basename for f in folder.files if f.suffix in ARCHIVE_SUFFIXES]
    unpack = f" Unpack {listed(archives)} first." if archives else ""
    return f"{place(folder)} contains no image, only {listed(lying)}.{unpack} {advice}"
