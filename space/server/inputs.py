"""The values that a request gives to an event, rebuilt from validated fields."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field

from .uploads import MAX_FILES, UploadFolder

if TYPE_CHECKING:
    from gradio.block_function import BlockFunction
    from gradio.components import Component

MAX_NAME = 255
MISSING = "missing"
ADDRESS = re.compile("https?://")
FILE_ROUTE = "/gradio_api/file="

# What the API page shows as an image.
EXAMPLE = {"path": "photo.png", "orig_name": "photo.png", "meta": {"_type": "gradio.FileData"}}

# Returns a validated value; raises ValueError if the page sends no such value.
Check = Callable[[UploadFolder, object], Any]


class File(BaseModel):
    """The validated fields of a file in a request."""

    path: str
    orig_name: str | None = None
    meta: dict[str, str] = {"_type": "gradio.FileData"}


class Click(BaseModel):
    """Which example, or which row of a batch, was clicked."""

    model_config = ConfigDict(strict=True)

    index: Annotated[int, Field(ge=0, lt=MAX_FILES)]
    batch: Annotated[str, Field(pattern=r"^[\w-]{1,64}$")] | None = None


@dataclass(frozen=True)
class Endpoint:
    """What one event takes.

    Attributes:
        api_name: the name under which programs call it; None if only the page may.
        checks: one for each input, by the name of the parameter.
    """

    api_name: str | None
    checks: dict[str, Check]


def file(uploads: UploadFolder, value: object) -> dict[str, Any] | None:
    """Return a file in Gradio's format, or None if it is not an upload.

    Args:
        uploads: of this server.
        value: a file as Gradio describes it, or the address of an upload.
    """
    given = {"path": value} if isinstance(value, str) and ADDRESS.match(value) else value
    given = given if isinstance(given, dict) else {}
    path = upload_at(uploads, given.get("path"))
    if path is None:
        return None
    return File(path=str(path), orig_name=_name(given) or path.name).model_dump()


def upload_at(uploads: UploadFolder, place: object) -> Path | None:
    """Return the upload at a path or an address; None if there is none.

    Of an address only the path of the upload counts: it is never fetched.
    """
    if isinstance(place, str) and ADDRESS.match(place):
        place = unquote(place.partition(FILE_ROUTE)[2])
    return uploads.find(place)


def files(uploads: UploadFolder, value: object) -> list[dict[str, Any]]:
    """Return a list of files; one that is not an upload becomes a path where there is none.

    Raises:
        ValueError: it is not a list, or has more than `MAX_FILES` elements.
    """
    if not isinstance(value, list) or len(value) > MAX_FILES:
        raise ValueError(f"This is not a list of at most {MAX_FILES} files.")
    # Gradio insists on a path in the folder of uploads.
    missing = str(uploads.path / MISSING)
    return [
        file(uploads, each) or File(path=missing, orig_name=_name(each)).model_dump()
        for each in value
    ]


def text(limit: int) -> Check:
    """Return a check of texts of at most `limit` characters; a missing one is empty."""

    def check(_: UploadFolder, value: object) -> str:
        given = "" if value is None else value
        if not isinstance(given, str) or len(given) > limit:
            raise ValueError(f"This is not a text of at most {limit} characters.")
        # Half of a surrogate pair, which JSON can hold and no file can, is an error.
        given.encode()
        return given

    return check


def _name(value: object) -> str | None:
    """Return the visitor's name of a file, if the request gives one."""
    name = value.get("orig_name") if isinstance(value, dict) else None
    return name[:MAX_NAME] if isinstance(name, str) else None


def describe(component: Component, example: Any, **more: Any) -> None:
    """Replace what the API page says of an input.

    A subclass would do the same, but Gradio writes a file of types beside the module of each.
    """
    vars(component).update(example_payload=lambda: example, example_value=lambda: example, **more)


def take_turns(component: gr.File) -> None:
    """Let other requests run between two files of a list.

    On the event loop Gradio checks each file for about a millisecond, so that 16 lists of 200 files
    would hold up all visitors for seconds.
    """
    turn = asyncio.Lock()

    async def stored(path: str) -> str:
        """Return the path, which is in Gradio's folder already."""
        async with turn:
            await asyncio.sleep(0)
        return path

    vars(component).update(async_move_resource_to_block_cache=stored)


def endpoint(event: BlockFunction) -> Endpoint:
    """Return what an event of the page takes: a text box is a text, all else a file."""
    function = event.fn
    names = list(inspect.signature(function).parameters) if function else []
    checks: dict[str, Check] = {}
    for number, block in enumerate(event.inputs):
        name = names[number] if number < len(names) else str(number)
        if isinstance(block, gr.Textbox):
            checks[name] = text(block.max_length or MAX_NAME)
        else:
            many = isinstance(block, gr.File) and block.file_count == "multiple"
            checks[name] = files if many else file
    public = event.api_visibility == "public" and isinstance(event.api_name, str)
    return Endpoint(str(event.api_name) if public else None, checks)
