"""Integrity of a published folder: complete, unchanged since training, and without links."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from model_card.card import CARD_FILE
from model_card.schema.checksums import file_checksum, published_files, unseal
from model_card.schema.report import REPORT_FILE, Report
from space.inference.migration import in_current_names, migrated
from trainer.errors import DataError
from trainer.runtime.files import disk_errors_explained

WEIGHTS_FILE = "model.safetensors"
REQUIRED_FILES = (WEIGHTS_FILE, "config.json", CARD_FILE, REPORT_FILE)
HOW_TO_REWRITE = (
    "Delete this folder and run the training command with --resume: it is written again."
)
LISTED_FILES = 5
# Reading a pickle runs the code in it.
_PICKLE_SUFFIXES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}


def check_published(folder: Path) -> Report:
    """Check that a published folder is as training wrote it; return its report.

    A report with field names of an earlier version is rewritten with the current names.

    Raises:
        DataError: files are missing, changed, unexpected or links; the message names them.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise DataError(f"{folder} is not a folder, or a link to one. Put the folder itself there.")
    with disk_errors_explained(folder, HOW_TO_REWRITE):
        report = _checked(folder)
        if _has_earlier_names(folder / REPORT_FILE):
            report.write(folder)
        return report


def _has_earlier_names(file: Path) -> bool:
    content = file.read_bytes()
    return in_current_names(content) is not content


def _checked(folder: Path) -> Report:
    files = dict(published_files(folder))
    _refuse(
        folder,
        "contains links or special files, which are not followed",
        [name for name, path in files.items() if path.is_symlink() or not path.is_file()],
        "Remove them, or put plain files in their place.",
    )
    _refuse(
        folder,
        "is not ready to be published: it lacks",
        [name for name in REQUIRED_FILES if name not in files],
        HOW_TO_REWRITE,
    )
    _refuse(
        folder,
        "contains files that may run code when they are read",
        [name for name in files if _may_be_a_pickle(name, files)],
        f"Move them elsewhere; the weights are in {WEIGHTS_FILE}.",
    )
    report = _read_report(folder)
    written = report.export.files
    if written is None:
        _check_weights(folder / WEIGHTS_FILE, report.export.weights_bytes)
        return report
    _refuse(folder, "is damaged: it lacks", sorted(written.keys() - files.keys()), HOW_TO_REWRITE)
    _refuse(
        folder,
        "contains files that training did not write",
        sorted(files.keys() - written.keys() - {CARD_FILE, REPORT_FILE}),
        "Move them elsewhere: a push would publish them.",
    )
    changed = [name for name, own in written.items() if file_checksum(files[name]) != own]
    _refuse(folder, "is damaged: these files are not what training wrote", changed, HOW_TO_REWRITE)
    return report


def _may_be_a_pickle(name: str, files: Mapping[str, Path]) -> bool:
    """Return whether a file has the suffix of pickles; OpenVINO's weights share one of them."""
    path = files[name]
    beside_graph = path.suffix == ".bin" and f"{name.removesuffix('.bin')}.xml" in files
    return path.suffix.lower() in _PICKLE_SUFFIXES and not beside_graph


def _refuse(folder: Path, what: str, names: list[str], advice: str) -> None:
    if names:
        more = f" and {len(names) - LISTED_FILES} more" if names[LISTED_FILES:] else ""
        colon = "" if what.endswith("lacks") else ":"
        raise DataError(f"{folder} {what}{colon} {', '.join(names[:LISTED_FILES])}{more}. {advice}")


def _read_report(folder: Path) -> Report:
    try:
        content = unseal((folder / REPORT_FILE).read_text(encoding="utf-8"))
        return Report.model_validate(migrated(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}"
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
    raise DataError(
        f"{folder / REPORT_FILE} is damaged, or was written by another version of this project "
        f"({reason}). {HOW_TO_REWRITE}"
    )


def _check_weights(file: Path, size: int) -> None:
    """Check the weights of an earlier version's folder, which has no checksums."""
    try:
        with safe_open(file, framework="np") as opened:
            whole = file.stat().st_size == size and bool(list(opened.keys()))
    except (SafetensorError, OSError):
        whole = False
    if not whole:
        raise DataError(
            f"{file} is damaged: it is not the {size:,} bytes of weights that training wrote. "
            f"{HOW_TO_REWRITE}"
        )
