"""Record of the files that a run reads, to detect changed files when the run is resumed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from pydantic import TypeAdapter

from model_card.formatting import enumeration
from model_card.schema.checksums import seal, unseal
from trainer.config.groups import DataConfig
from trainer.data.images.bit_depth import FULL_DEPTH, depth_of
from trainer.errors import ConfigError, DataError
from trainer.runtime.files import replaced_whole

RECORD_FILE = "images.json"
LISTED_FILES = 5
# The SHA-256 of each image by its name, and of each table by its option.
_RECORD = TypeAdapter(dict[Literal["images", "tables"], dict[str, str]])


def image_digest(row: dict[str, Any]) -> str:
    """Return the fingerprint of a row's input to the network: file and bit depth."""
    image = row["image"]
    content = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
    depth = depth_of(row)
    return hashlib.sha256(content + (b"" if depth == FULL_DEPTH else b"%d" % depth)).hexdigest()


def short_fingerprint(digest: str) -> int:
    """Return the first 48 bits of a SHA-256, which a report can hold for each image."""
    return int(digest[:12], 16)


def fingerprints(images: Dataset) -> dict[str, str]:
    """Return the SHA-256 of the content of each image file, by name."""
    contents = images.select_columns(["image"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(images["file"][:], pool.map(image_digest, contents), strict=True))


def note_images(run_dir: Path, found: Mapping[str, str], data: DataConfig) -> None:
    """Record the images of a new run (see `fingerprints`), and the tables of its options."""
    tables = {flag: _table_digest(file) for flag, file in _tables(data).items()}
    record = json.dumps({"images": dict(found), "tables": tables})
    with replaced_whole(run_dir / RECORD_FILE) as partial:
        partial.write_text(seal(record) + "\n", encoding="utf-8")


def check_tables(run_dir: Path, data: DataConfig) -> None:
    """Refuse to resume a run with tables of classes, defects or splits that were edited since.

    Raises:
        ConfigError: a table was edited.
        DataError: the record in `run_dir` is damaged, or a table can't be read.
    """
    if not os.path.lexists(run_dir / RECORD_FILE):
        return
    before = _read(run_dir / RECORD_FILE)["tables"]
    tables = _tables(data).items()
    edited = [f"{f} {t}" for f, t in tables if f in before and before[f] != _table_digest(t)]
    if edited:
        raise ConfigError(
            f"{enumeration(edited)} was edited since the run in {run_dir} started. Restore what "
            "it said, or start a new run."
        )


def _tables(data: DataConfig) -> dict[str, Path]:
    """Return the files that say what images show, and in which split they are, by option."""
    given = {
        "--class-map": data.class_map,
        "--defects": data.defects,
        "--split-file": data.split_file,
    }
    return {flag: file for flag, file in given.items() if file is not None}


def _table_digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{file} can't be read: {error.strerror}.") from error


def check_unchanged(run_dir: Path, found: Mapping[str, str]) -> bool:
    """Refuse to resume a run on images other than those it started with.

    Args:
        run_dir: of the run.
        found: see `fingerprints`.

    Returns:
        whether `run_dir` has a record of the images.

    Raises:
        ConfigError: files were changed, added or removed; the message names them.
        DataError: the record in `run_dir` is damaged.
    """
    file = run_dir / RECORD_FILE
    # Without a record, the checkpoint detects a change but can't name the files.
    if not os.path.lexists(file):
        return False
    before = _read(file)["images"]
    if before == found:
        return True
    both = before.keys() & found.keys()
    changes = {
        "changed": {name for name in both if before[name] != found[name]},
        "missing": before.keys() - found.keys(),
        "new": found.keys() - before.keys(),
    }
    said = "; ".join(_listed(what, names) for what, names in changes.items() if names)
    raise ConfigError(
        f"The images are not those that the run in {run_dir} started with: {said}. Restore "
        "them, or start a new run."
    )


def _read(file: Path) -> dict[str, dict[str, str]]:
    try:
        record = _RECORD.validate_python(unseal(file.read_text(encoding="utf-8")))
        return {"images": record["images"], "tables": record.get("tables", {})}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{file}, the list of the run's images, is damaged. Remove it; without it, a changed "
            "image is still detected but not named."
        ) from error


def _listed(what: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = ", …" if names[LISTED_FILES:] else ""
    return f"{len(names)} {what} ({', '.join(names[:LISTED_FILES])}{more})"
