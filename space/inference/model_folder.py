"""Read the files of a published model as untrusted input.

A folder from elsewhere may hold links to anything on this machine, files of any size, and JSON of
any shape. Everything that is loaded or shown goes through `ModelFolder`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError
from safetensors.numpy import load_file

from .core.arrays import Floats
from .core.errors import MAX_PROBLEMS, ModelError, listed, shortened
from .core.model_id import lacking
from .migration import in_current_names

Schema = TypeVar("Schema", bound=BaseModel)

MAX_JSON_BYTES = 64 * 2**20


class ModelFolder:
    """A published folder; only regular files inside it are read.

    Args:
        path: of the folder. In a snapshot of the Hub's cache, each file is a link to `blobs`
            beside the snapshots; no other links out of the folder are followed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        root = path.resolve()
        self._roots = [root]
        if root.parent.name == "snapshots":
            self._roots.append(root.parent.parent / "blobs")

    def has(self, name: str) -> bool:
        """Return whether an entry of this name exists, even as a broken link."""
        path = self.path / name
        return path.is_symlink() or path.exists()

    def file(self, name: str) -> Path:
        """Return the resolved path of a file.

        Raises:
            ModelError: it is missing, is not a regular file, or is outside the folder.
        """
        # `Path.resolve` raises for circular links.
        place = Path(os.path.realpath(self.path / name))
        if not self.has(name):
            raise ModelError(lacking(self.path, name))
        if not any(place.is_relative_to(root) for root in self._roots):
            raise ModelError(
                f"{self.path / name} is a link to a file outside the model's folder. "
                "Replace it with the file itself."
            )
        if not place.is_file():
            raise ModelError(f"{self.path / name} is not a regular file.")
        return place

    def files(self, folder: str, endings: tuple[str, ...]) -> tuple[list[str], str]:
        """Return the sorted names of the files in a subfolder, as `folder/name`.

        The second value lists entries with these suffixes that are not files of the folder.
        """
        found, refused = [], []
        inside = self.path / folder
        for path in sorted(inside.iterdir()) if inside.is_dir() else []:
            if path.suffix.lower() not in endings:
                continue
            name = f"{folder}/{path.name}"
            try:
                self.file(name)
                found.append(name)
            except ModelError:
                refused.append(name)
        return found, listed(refused)

    def read_json(self, name: str, schema: type[Schema]) -> Schema:
        """Read and validate a JSON file.

        Raises:
            ModelError: it can't be read, or does not match the schema; the message says where.
        """
        try:
            return schema.model_validate_json(self._json(name))
        except ValidationError as error:
            raise ModelError(f"{self.path / name} can't be used: {_problems(error)}") from error

    def read_object(self, name: str) -> object:
        """Read a JSON file without a schema; NaN and infinite numbers are none of JSON.

        Raises:
            ModelError: it can't be read, or is not JSON.
        """
        try:
            return from_json(self._json(name), allow_inf_nan=False)
        except ValueError as error:
            raise ModelError(
                f"{self.path / name} can't be used: it is not JSON: {shortened(error, 160)}."
            ) from error

    def _json(self, name: str) -> bytes:
        path = self.file(name)
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ModelError(f"{path} is larger than {MAX_JSON_BYTES // 2**20} MB.")
        return in_current_names(path.read_bytes())

    def read_arrays(self, name: str) -> dict[str, Floats]:
        """Read a safetensors file whose floating-point numbers must all be finite.

        Raises:
            ModelError: it is damaged, NumPy has no such type of numbers, or a value is not a
                finite number.
        """
        path = self.file(name)
        try:
            arrays = load_file(path)
        # NumPy does not know bfloat16 (TypeError) or eight-bit floats (AttributeError).
        except (TypeError, AttributeError) as error:
            raise ModelError(f"{self.path / name} can't be used: {shortened(error)}") from error
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise ModelError(f"{self.path / name} is damaged: {shortened(error)}") from error
        self.check_finite(name, {key: np.isfinite(each).all() for key, each in arrays.items()})
        return arrays

    def check_finite(self, name: str, finite: Mapping[str, object]) -> None:
        """Check that all arrays of a file hold finite numbers.

        Args:
            name: of the file.
            finite: by array, whether all its values are finite.

        Raises:
            ModelError: some are not; the message names the arrays.
        """
        odd = [key for key, fine in finite.items() if not fine]
        if odd:
            raise ModelError(
                f"{self.path / name} holds values that are not finite numbers, in {listed(odd)}."
            )


def _problems(error: ValidationError) -> str:
    """Return where and why JSON does not match a schema, without repeating its content."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    words = [
        shortened(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))), 160)
        for one in found[:MAX_PROBLEMS]
    ]
    rest = len(found) - MAX_PROBLEMS
    return "; ".join(words) + (f"; and {rest} more" if rest > 0 else "") + "."
