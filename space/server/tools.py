"""Requests to the MCP server, by which programs of language models call the endpoints as tools.

Gradio's MCP server would fetch any address, and read any file of this machine, that a tool call
names in the place of an image. Here each call is rebuilt from validated values: an image is the
address of an upload, or is in the call itself.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .inputs import upload_at
from .uploads import MAX_FILES, UploadFolder

if TYPE_CHECKING:
    from gradio.mcp import GradioMCPServer

ROUTE = "mcp"
TOOLS = frozenset(("/predict", "/predict_batch", "/heatmap"))
# Images in a call take a third more than their files.
MAX_CALL_BODY = 16 * 2**20
# Each takes a thread while it waits.
MAX_CALLS = 8
PLAIN_METHODS = frozenset(
    (
        *("initialize", "ping", "tools/list"),
        *("notifications/initialized", "notifications/cancelled"),
    )
)
# Gradio refuses it in words; it does not exist.
NO_UPLOAD = "https://upload.invalid/"
INLINE = re.compile(r"data:image/[a-z0-9.+-]{1,32};base64,[A-Za-z0-9+/]*={0,2}")

Text = Annotated[str, Field(max_length=255)]


class Call(BaseModel):
    """The validated fields of the call of a tool."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Text
    arguments: Annotated[dict[Text, Any], Field(max_length=8)] = {}


class Message(BaseModel):
    """The validated fields of a JSON-RPC message."""

    model_config = ConfigDict(strict=True, extra="ignore")

    jsonrpc: Literal["2.0"]
    method: Text
    id: int | Text | None = None
    params: dict[str, Any] | None = None


def restrict(server: GradioMCPServer, uploads: UploadFolder) -> None:
    """Offer `TOOLS` only, and store images that come in a call among the uploads."""
    offered = server.tool_to_endpoint.items()
    server.tool_to_endpoint = {tool: endpoint for tool, endpoint in offered if endpoint in TOOLS}
    # Gradio reads its setting for this when it is imported.
    vars(importlib.import_module("gradio.mcp"))["DEFAULT_TEMP_DIR"] = str(uploads.path)


def rewritten(uploads: UploadFolder, given: object) -> dict[str, Any]:
    """Return a message, rebuilt from validated values.

    Raises:
        ValueError: no client needs to send such a message.
    """
    message = Message.model_validate(given)
    if message.method == "tools/call":
        call = Call.model_validate(message.params)
        arguments = {key: _argument(uploads, value) for key, value in call.arguments.items()}
        message.params = {"name": call.name, "arguments": arguments}
    elif message.method not in PLAIN_METHODS:
        raise ValueError("There is no such method.")
    return message.model_dump(exclude_none=True)


def _argument(uploads: UploadFolder, value: object) -> str | list[str]:
    if isinstance(value, list):
        if len(value) > MAX_FILES:
            raise ValueError(f"This is not a list of at most {MAX_FILES} files.")
        return [_image(uploads, each) for each in value]
    return _image(uploads, value)


def _image(uploads: UploadFolder, value: object) -> str:
    """Return an image of a call as Gradio takes it: as the address of an upload, or inline."""
    if isinstance(value, str) and INLINE.fullmatch(value):
        return value
    path = upload_at(uploads, value)
    return NO_UPLOAD if path is None else f"https://upload.invalid/gradio_api/file={path}"
