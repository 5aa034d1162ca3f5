"""OpenVINO's pair of files, with our entries in `rt_info` and checksums at the end."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import ModelError, shortened
from ..engines.openvino_library import openvino, the_core

SECTION = "strip_defects"
# A comment of XML, which OpenVINO ignores.
CHECKSUMS = "<!-- strip_defects sha256 {xml} {weights} -->\n"
LAST_LINE = re.compile(rb"<!-- strip_defects sha256 ([0-9a-f]{64}) ([0-9a-f]{64}) -->\n\Z")
LAST_LINE_BYTES = len(CHECKSUMS.format(xml="0" * 64, weights="0" * 64))


def write_files(model: Any, entries: Mapping[str, str], file: Path) -> None:
    """Write `file` (.xml) and the weights beside it (.bin), in the precision of the model.

    Args:
        model: an `openvino.Model`, which gets the entries.
        entries: by name.
        file: ends in .xml.
    """
    for name, text in entries.items():
        model.set_rt_info(text, [SECTION, name])
    openvino.save_model(model, file, compress_to_fp16=False)
    content = file.read_bytes()
    weights = file.with_suffix(".bin").read_bytes()
    checksums = CHECKSUMS.format(xml=_sha256(content), weights=_sha256(weights))
    file.write_bytes(content + checksums.encode())


def read_model(content: bytes, weights: bytes, origin: str) -> Any:
    """Return the `openvino.Model` of a pair of files.

    Raises:
        ModelError: they are cut off, changed, do not belong together or are no model.
    """
    found = LAST_LINE.search(content[-LAST_LINE_BYTES:])
    if not found:
        raise ModelError(
            f"{origin} ends without the checksums of an exported classifier: it is cut off, or was "
            "not written by this project. Copy the files again, or export the model again."
        )
    body = content[:-LAST_LINE_BYTES]
    beside = str(Path(origin).with_suffix(".bin"))
    changed = [
        name
        for name, part, own in ((origin, body, found[1]), (beside, weights, found[2]))
        if _sha256(part).encode() != own
    ]
    if changed:
        raise ModelError(
            f"{' and '.join(changed)} is damaged: its checksum does not match. Copy both files of "
            f"{origin} again, or export the model again."
        )
    try:
        return the_core().read_model(body, weights)
    # OpenVINO raises RuntimeError for all that it does not like.
    except RuntimeError as error:
        raise ModelError(
            f"{origin} is not a model of OpenVINO: {shortened(error, 200)}. Export it again."
        ) from error


def entries_of(model: Any) -> dict[str, str]:
    """Return the entries that `write_files` added."""
    if not model.has_rt_info([SECTION]):
        return {}
    section = model.get_rt_info([SECTION])
    return {str(name): _text(value) for name, value in section.value.items()}


def _text(value: Any) -> str:
    held = getattr(value, "value", value)
    return held if isinstance(held, str) else ""


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
