"""Get the images of a dataset on the Hub: download all of them, or stream the first N."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.compute
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, Value
from datasets.fingerprint import Hasher

from trainer.data.folders.layout import SPLIT_NAMES
from trainer.data.folders.location import suggested_folder
from trainer.data.hub_columns import find_columns, with_class_labels
from trainer.data.hub_files import check_files
from trainer.data.images.encoded import UNDECODED
from trainer.errors import DataError
from trainer.text.names import printable

_STORED = {"bytes": Value("binary"), "path": Value("string")}
# Size of the shuffle buffer of a stream; the order of the files is shuffled, too.
SHUFFLED_IMAGES = 1000
# Image files that are requested in parallel, to hide latency.
READ_AT_A_TIME = 16


def load_from_hub(
    repo_id: str,
    stream_images: int = 0,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
) -> tuple[DatasetDict, str]:
    """Load a dataset from the Hub; its image and class columns are found by their types.

    Args:
        repo_id: of the dataset.
        stream_images: stream at most this many images of each split from the Hub and store only
            those, in the cache of `datasets`. 0 downloads all files.
        image_column: the column of images; None finds it.
        label_column: the column of classes; None finds it.

    Returns:
        splits with the columns `image` (undecoded), `label` (ClassLabel) and `file`, and the commit
        of the dataset.

    Raises:
        DataError: the download failed, or it is not a dataset of images and classes.
    """
    try:
        builder = datasets.load_dataset_builder(repo_id)
        if stream_images:
            loaded = builder.as_streaming_dataset()
        else:
            builder.download_and_prepare()
            loaded = builder.as_dataset()
    # The client raises errors of four libraries here; the advice is the same for all.
    except Exception as error:
        raise DataError(
            f"There is no folder {repo_id}, and the Hub returned no such dataset: {error}\n"
            "Check the path or the name, the network and, for a private dataset, HF_TOKEN."
            f"{suggested_folder(Path(repo_id))}"
        ) from error
    splits = DatasetDict()
    for split, rows in loaded.items():
        name = "train" if len(loaded) == 1 else SPLIT_NAMES.get(split.lower())
        if name is None or name in splits:
            raise DataError(
                f"The dataset {repo_id} has the splits {', '.join(loaded)}; it may have train, "
                "validation and test once each, and no other split."
            )
        image, label = find_columns(rows.features or {}, repo_id, image_column, label_column)
        if stream_images:
            # Before all other steps, which would decode the images of a stream.
            rows = rows.decode(False)
        rows = rows.select_columns([image, label])
        if stream_images:
            revision = Hasher.hash((repo_id, builder.hash, builder.config_id, image, label))
            rows = _stored_sample(rows, stream_images, revision, builder.repo_id, split)
        rows = rows.cast_column(image, UNDECODED)
        rows = rows.rename_columns({image: "image", label: "label"})
        check_files(_unread(rows), builder.repo_id, split)
        splits[name] = _with_names(rows, repo_id, split)
    if "train" not in splits:
        raise DataError(f"The dataset {repo_id} has no train split, only {', '.join(loaded)}.")
    return with_class_labels(splits, repo_id), builder.hash or ""


def _stored_sample(
    stream: IterableDataset, images: int, revision: str, repo_id: str, split: str
) -> Dataset:
    """Read the same images of a stream every time, and store them on disk as one Dataset."""
    image, label = stream.column_names
    taken = stream.shuffle(seed=0, buffer_size=SHUFFLED_IMAGES).take(images)

    def rows() -> Iterator[dict[str, Any]]:
        with ThreadPoolExecutor(READ_AT_A_TIME) as pool:
            for batch in taken.iter(batch_size=READ_AT_A_TIME):
                stored = [_stored(each) for each in batch[image]]
                named = [each["path"] for each in stored if each["bytes"] is None]
                check_files(named, repo_id, split)
                batch[image] = pool.map(_with_bytes, stored)
                for values in zip(*batch.values(), strict=True):
                    yield dict(zip(batch, values, strict=True))

    try:
        sample = Dataset.from_generator(
            rows,
            # As an Image, a row would lose its content if its path exists on this machine.
            features=Features(stream.features | {image: _STORED}),
            fingerprint=f"{revision}-{split}-{images}",
        )
    # As above: errors of several libraries, wrapped into one without a message.
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, DataError):
            raise error.__cause__ from None
        raise DataError(
            f"Not all images of {repo_id} could be read from the Hub: {error.__cause__ or error}\n"
            "Run the same command again; without --stream-images, finished downloads are cached."
        ) from error
    if not isinstance(sample.features[label], ClassLabel):
        return sample
    found = set(sample[label])
    missing = [n for i, n in enumerate(sample.features[label].names) if i not in found]
    if missing:
        raise DataError(
            f"The first {len(sample)} images of {repo_id}'s {split} split have none of the class "
            f"{missing[0]}: they seem to be sorted by class. Set --stream-images higher, or leave "
            "it out."
        )
    return sample


def _stored(image: dict[str, Any] | bytes | None) -> dict[str, Any]:
    """Return content and path of an image, for any type of its column."""
    if isinstance(image, dict):
        return image
    return {"bytes": image, "path": None}


def _with_bytes(image: dict[str, Any]) -> dict[str, Any]:
    """Read an image file for which a stream has only the URL."""
    if image["path"] is None:
        return image
    embedded: dict[str, Any] = UNDECODED.embed_storage(
        pyarrow.array([image], type=UNDECODED.pa_type)
    )[0].as_py()
    return embedded


def _with_names(rows: Dataset, repo_id: str, split: str) -> Dataset:
    """Add the column `file`: the index in the split, and the file's name if there is one."""
    if any(label is None or label == -1 for label in rows["label"][:]):
        raise DataError(f"The {split} split of {repo_id} has images without a label.")
    names = [
        f"{split}/{index:06d}" + (f"_{printable(Path(path).name)}" if path else "")
        for index, path in enumerate(_field(rows, "path").to_pylist())
    ]
    return rows.add_column("file", names)


def _field(rows: Dataset, name: str) -> pyarrow.ChunkedArray:
    # From Arrow's column, so that the image bytes stay on the disk.
    return pyarrow.compute.struct_field(rows.data.column("image"), name)


def _unread(rows: Dataset) -> list[str | None]:
    """Return the paths of images whose content is not in the rows; None for all others."""
    unread = pyarrow.compute.is_null(_field(rows, "bytes"))
    paths: list[str | None] = pyarrow.compute.if_else(
        unread, _field(rows, "path"), None
    ).to_pylist()
    return paths
