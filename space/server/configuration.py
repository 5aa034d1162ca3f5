"""The model, the port and the engine that the environment sets.

Nothing here loads a library that takes seconds, so a mistake is named at once.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.engines.names import ENGINES, EngineName
else:
    from inference.engines.names import ENGINES, EngineName

MODEL_ID_FILE = Path(__file__).parents[1] / "model_id.txt"  # the publisher writes it into a Space
PORT = 7860


class StartError(Exception):
    """The server can't be started; the message says why, and what to do."""


def configured_model_id() -> str:
    """Return the model to serve, from the environment or from the file in a published Space.

    Raises:
        StartError: neither names one.
    """
    model_id = os.environ.get("MODEL_ID", "").strip()
    if not model_id and MODEL_ID_FILE.is_file():
        model_id = MODEL_ID_FILE.read_text(encoding="utf-8").strip()
    if not model_id:
        raise StartError(
            "No model is set. Set MODEL_ID to hf-hub:user/name or local-dir:path/to/folder."
        )
    return model_id


def configured_port() -> int:
    """Return the port to listen on.

    Raises:
        StartError: it is in use or is not a valid port.
    """
    text = os.environ.get("GRADIO_SERVER_PORT", str(PORT))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StartError(f"GRADIO_SERVER_PORT is {text!r}; set it to a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), int(text)))
        except OSError as error:
            raise StartError(
                f"Port {text} can't be used ({error.strerror}): perhaps a demo runs in another "
                "terminal. Stop that one, or set GRADIO_SERVER_PORT to another port."
            ) from error
    return int(text)


def configured_engine() -> EngineName:
    """Return what is to run the network, from the environment.

    Raises:
        StartError: there is no such engine.
    """
    name = os.environ.get("ENGINE", "auto").strip().lower()
    for engine in ENGINES:
        if engine == name:
            return engine
    raise StartError(f"ENGINE is {name!r}; set it to one of {', '.join(ENGINES)}.")
