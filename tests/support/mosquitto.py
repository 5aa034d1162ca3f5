"""A real MQTT broker on 127.0.0.1, and a subscriber that counts what arrives."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

# Debian keeps it out of the path of users.
PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
START_S = 30
needs_mosquitto = pytest.mark.skipif(
    PROGRAM is None, reason="mosquitto is not installed; `make test` installs it where it can"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A broker that keeps its sessions on disk; a context.

    Args:
        folder: of its files.
        users: a file of passwords; None lets everybody in.
    """

    def __init__(self, folder: Path, users: Path | None = None) -> None:
        folder.mkdir()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / "mosquitto.conf"
        access = f"allow_anonymous {str(users is None).lower()}"
        access += f"\npassword_file {users}" if users else ""
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n{access}\nuser root\n"
            f"persistence true\npersistence_location {folder}/\n"
            f"log_dest file {folder}/log\n"
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; returns when it can be reached."""
        assert PROGRAM is not None
        self._process = subprocess.Popen([PROGRAM, "-c", str(self._config)])
        deadline = time.monotonic() + START_S
        while True:
            assert self._process.poll() is None and time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self) -> None:
        """End it; it writes its sessions to disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


class Subscriber:
    """A client with a session that outlives the broker; a context.

    Attributes:
        messages: topic and content of each message, in order.
    """

    def __init__(self, port: int, topic: str, password: tuple[str, str] | None = None) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "subscriber", clean_session=False)
        if password:
            self._client.username_pw_set(*password)
        subscribed = threading.Event()
        self._client.on_connect = lambda *_: [self._client.subscribe(topic, 2)].clear()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(
            (message.topic, json.loads(message.payload))
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(START_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def names(self) -> list[str]:
        """Return the file names in the messages."""
        return [Path(content["path"]).name for _, content in self.messages]
