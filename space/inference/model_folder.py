"""Read the files of a published model, none of which is trusted.

A folder from elsewhere may hold links to anything on this machine, files of any size, and JSON of
any shape. Everything that is loaded or shown goes through `ModelFolder`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from .migration import in_current_names

Schema = TypeVar("Schema", bound=BaseModel)

MAX_JSON_BYTES = 64 * 2**20
MAX_MESSAGE = 400
MAX_PROBLEMS = 3
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class ModelError(ValueError):
    """The model can't be loaded; the message says which one, why, and what to do."""


def shortened(text: object, limit: int = MAX_MESSAGE) -> str:
    """Return printable text of bounded length, whatever an error or a file says."""
    words = "".join(c if c.isprintable() or c == "\n" else "�" for c in str(text)[: 2 * limit])
    return words if len(words) <= limit else words[: limit - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """Return a few of the names, and how many there are beside them."""
    ordered = sorted(names)
    shown = ", ".join(shortened(name, 80) for name in ordered[:MAX_PROBLEMS])
    rest = len(ordered) - MAX_PROBLEMS
    return shown + (f" and {rest} more" if rest > 0 else "")


class ModelFolder:
    """A published folder, of which only its own regular files are read.

    Args:
        path: of the folder. In a snapshot of the Hub's cache, each file is a link to `blobs`
            beside the snapshots; those links are followed, and no others that lead outside.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        root = path.resolve()
        self._roots = [root]
        if root.parent.name == "snapshots":
            self._roots.append(root.parent.parent / "blobs")

    def has(self, name: str) -> bool:
        """Return whether there is something of this name, be it a link that leads nowhere."""
        path = self.path / name
        return path.is_symlink() or path.exists()

    def file(self, name: str) -> Path:
        """Return where a file really lies.

        Raises:
            ModelError: it is missing, no regular file, or lies outside the folder.
        """
        # `Path.resolve` raises for links that lead in a circle.
        place = Path(os.path.realpath(self.path / name))
        if not self.has(name):
            raise ModelError(f"{self.path} is not a published model: it has no {name}.")
        if not any(place.is_relative_to(root) for root in self._roots):
            raise ModelError(
                f"{self.path / name} is a link out of the model's folder and is not followed. "
                "Replace it by the file itself."
            )
        if not place.is_file():
            raise ModelError(f"{self.path / name} is not a file.")
        return place

    def files(self, folder: str, endings: tuple[str, ...]) -> tuple[list[str], str]:
        """Return the names of the files in a folder inside, as `folder/name`, sorted.

        Also returns in words which entries with these endings are no files of the model's folder.
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
        """Read a JSON file by its schema.

        Raises:
            ModelError: it can't be read, or does not fit the schema; the message says where.
        """
        path = self.file(name)
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ModelError(f"{path} has more than {MAX_JSON_BYTES // 2**20} MB.")
        try:
            return schema.model_validate_json(in_current_names(path.read_bytes()))
        except ValidationError as error:
            raise ModelError(f"{self.path / name} can't be used: {_problems(error)}") from error

    def read_tensors(self, name: str) -> dict[str, torch.Tensor]:
        """Read a safetensors file whose floating-point numbers must all be finite.

        Raises:
            ModelError: it is damaged, or holds what is not a finite number.
        """
        path = self.file(name)
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise ModelError(f"{self.path / name} is damaged: {shortened(error)}") from error
        odd = [key for key, values in tensors.items() if not torch.isfinite(values).all()]
        if odd:
            raise ModelError(
                f"{self.path / name} holds values that are not finite numbers, in {listed(odd)}."
            )
        return tensors


def _problems(error: ValidationError) -> str:
    """Return where and why JSON does not fit, without repeating what it holds."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    words = [
        shortened(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))), 160)
        for one in found[:MAX_PROBLEMS]
    ]
    rest = len(found) - MAX_PROBLEMS
    return "; ".join(words) + (f"; and {rest} more" if rest > 0 else "") + "."
