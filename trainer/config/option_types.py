"""Types of options, such as a path that may be missing, and how pydantic checks their groups."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro
from pydantic import BeforeValidator, ConfigDict, ValidationInfo
from tyro.constructors import PrimitiveConstructorSpec

# A file with other keys is the `config.json` of something else. Groups are checked although they
# are objects already, see `trainer.config.rules`.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, revalidate_instances="always")


class _AugmentsViews:
    """Marks a setting that an augmented view of a single image depends on.

    The cache of features names views by these settings, see `trainer.model.feature_cache`.
    """


AUGMENTS_VIEWS = _AugmentsViews()


def _optional(kind: type[str] | type[Path], metavar: str) -> PrimitiveConstructorSpec[Any]:
    """Return the parser of one command-line argument.

    tyro's own rule for `str | None` reads the text None as no value, but a class may be called
    None.
    """
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: kind(expanded(words[0]) if kind is Path else words[0]),
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: [] if value is None else [str(value)],
    )


def expanded(path: str) -> str:
    """Return a path with `~` as the home folder: no shell does that for `--run-dir=~/run`."""
    # Unlike Path.expanduser(), this does not change `~name` of an unknown user.
    return os.path.expanduser(path)  # noqa: PTH111


# The help sentence states the default of such an option.
_NO_DEFAULT = tyro.conf.arg(help_behavior_hint="")

Text = Annotated[str | None, _optional(str, "TEXT"), _NO_DEFAULT]
RepoId = Annotated[str | None, _optional(str, "USER/NAME"), _NO_DEFAULT]
File = Annotated[Path | None, _optional(Path, "FILE"), _NO_DEFAULT]
Folder = Annotated[Path | None, _optional(Path, "FOLDER"), _NO_DEFAULT]
# Of exported files; see `trainer.exporting`.
FormatName = Literal["onnx", "openvino", "int8"]
Formats = Annotated[
    tuple[FormatName, ...], tyro.conf.arg(metavar="FORMAT …", help_behavior_hint="")
]


def _listed(value: object, info: ValidationInfo) -> object:
    """Return the list that earlier versions saved as a single text or none."""
    if info.mode != "json":
        return value
    return [] if value is None else [value] if isinstance(value, str) else value


# An option that may be given several times, one value each.
Texts = Annotated[
    tuple[str, ...],
    tyro.conf.UseAppendAction,
    tyro.conf.arg(metavar="TEXT", help_behavior_hint=""),
    BeforeValidator(_listed),
]


def repeated(kind: type[object]) -> frozenset[str]:
    """Return the fields of a dataclass whose options may be given several times."""
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(
        name
        for name, hint in hints.items()
        if tyro.conf.UseAppendAction in getattr(hint, "__metadata__", ())
    )
