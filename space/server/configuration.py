"""The model, the port, the engine and the folder of corrections that the environment sets.

Nothing here loads a library that takes seconds, so a mistake is named at once.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.engines.names import ENGINES, EngineName
else:
    from inference.engines.names import ENGINES, EngineName

MODEL_ID_FILE = Path(__file__).parents[1] / "model_id.txt"  # the publisher writes it into a Space
PORT = 7860
FEEDBACK_MB = 2048
DATASET = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)


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


@dataclass(frozen=True)
class FeedbackSettings:
    """Where corrections by visitors go.

    Attributes:
        folder: on this machine.
        dataset: USER/NAME on the Hub, if they go there, too.
        most_bytes: limit of the folder.
    """

    folder: Path
    dataset: str | None
    most_bytes: int


def configured_feedback() -> FeedbackSettings | None:
    """Return where corrections go, from the environment; None turns them off.

    Raises:
        StartError: a value can't be used.
    """
    folder = os.environ.get("FEEDBACK_DIR", "").strip()
    dataset = os.environ.get("FEEDBACK_DATASET", "").strip()
    limit = os.environ.get("FEEDBACK_MAX_MB", "").strip() or str(FEEDBACK_MB)
    if not limit.isdecimal() or not 0 < int(limit) < 10**9:
        raise StartError(f"FEEDBACK_MAX_MB is {limit!r}; set it to a number of megabytes, from 1.")
    if dataset and not DATASET.fullmatch(dataset):
        raise StartError(
            f"FEEDBACK_DATASET is {dataset!r}; set it to USER/NAME, a dataset on the Hub."
        )
    if not folder and not dataset:
        return None
    path = Path(folder).expanduser() if folder else _waiting_room(dataset)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"FEEDBACK_DIR: the folder {path} can't be created: {error.strerror}. Name another."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise StartError(f"FEEDBACK_DIR: the folder {path} can't be written. Name another.")
    return FeedbackSettings(path.resolve(), dataset or None, int(limit) * 2**20)


def _waiting_room(dataset: str) -> Path:
    """Return the folder of corrections that wait for the Hub, one for each dataset."""
    data = platformdirs.user_data_path("surface-defect-space")
    return data / "feedback" / dataset.replace("/", "--")
