"""File paths in the rows of a Hub dataset: only files of the dataset itself are opened.

A row may hold any path: a file on this machine, another dataset that the user's token can read, a
URL in the local network. The content of an opened file could end up in a published model.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import datasets
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.file_download import repo_folder_name

from trainer.errors import DataError
from trainer.text.names import printable

_ARCHIVES = ("zip://", "tar://", "gzip://", "bz2://", "xz://", "lz4://", "zstd://")
_LONGEST_NAME = 200


def check_files(paths: Iterable[str | None], repo_id: str, split: str) -> None:
    """Check that rows without content name only files of the dataset itself.

    Args:
        paths: of the images, in the order of the rows; None if the row holds the content or is
            empty.
        repo_id: of the dataset, as the Hub spells it.
        split: name for the message.

    Raises:
        DataError: a row names another file.
    """
    own = _Own(repo_id)
    for row, path in enumerate(paths):
        if path is not None and not own.has(path):
            raise DataError(
                f"Row {row:,} of the {split} split of {repo_id} names the file "
                f"{printable(path[:_LONGEST_NAME])}, which is not part of the dataset, so it was "
                "not opened. Use another dataset, or ask its publisher to put the images into it."
            )


class _Own:
    """Locations of a dataset's files: on the Hub, and in the caches after the download."""

    def __init__(self, repo_id: str) -> None:
        folder = repo_folder_name(repo_id=repo_id, repo_type="dataset")
        snapshots = Path(HF_HUB_CACHE).absolute() / folder / "snapshots"
        extracted = Path(datasets.config.EXTRACTED_DATASETS_PATH).absolute()
        self.on_hub = f"hf://datasets/{repo_id}@"
        self.downloaded = (f"{snapshots}{os.sep}", f"{extracted}{os.sep}")

    def has(self, path: str) -> bool:
        """Return whether a path, as `datasets` writes it, is that of a file of the dataset."""
        if ".." in path.replace("\\", "/").split("/"):
            return False
        *inside, outermost = path.split("::")
        if outermost.startswith(self.on_hub):
            return all(each.startswith(_ARCHIVES) for each in inside)
        return path.startswith(self.downloaded)
