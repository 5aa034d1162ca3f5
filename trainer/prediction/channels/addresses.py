"""The addresses of --webhook and --mqtt; what may be secret in them is never shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from trainer.errors import ConfigError

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
MQTT_FORM = "mqtt://[USER@]HOST[:PORT]/TOPIC, or mqtts:// for TLS"
PASSWORD = "MQTT_PASSWORD"  # noqa: S105 -- the name of a variable
LONGEST_TOPIC_BYTES = 65_000


@dataclass(frozen=True)
class WebhookAddress:
    """Where rows are posted.

    Attributes:
        url: all of it; it may hold secrets.
        shown: its server, for messages.
    """

    url: str
    shown: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the address that an option names.

        Raises:
            ConfigError: it is none.
        """
        parts, port = _parts("--webhook", text, "https://HOST/PATH")
        if parts.scheme not in ("http", "https"):
            raise ConfigError("--webhook takes an address that begins with https:// or http://.")
        return cls(text, f"{parts.scheme}://{_host(parts)}" + (f":{port}" if port else ""))


@dataclass(frozen=True)
class BrokerAddress:
    """Where rows are published.

    Attributes:
        host, port: of the broker.
        tls: whether the connection is encrypted.
        user: who publishes; None for anybody.
        topic: the verdict of each row is appended to it.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    topic: str

    @property
    def shown(self) -> str:
        """The broker, for messages."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the address that an option names.

        Raises:
            ConfigError: it is none.
        """
        parts, port = _parts("--mqtt", text, MQTT_FORM)
        if parts.scheme not in MQTT_PORTS:
            raise ConfigError(f"--mqtt takes {MQTT_FORM}.")
        if parts.password is not None:
            raise ConfigError(
                "--mqtt takes no password: others can see a command line. Put it into the "
                f"variable {PASSWORD}."
            )
        topic = unquote(parts.path).strip("/")
        if not topic or parts.query or parts.fragment or set("+#\0") & set(topic):
            raise ConfigError(f"--mqtt needs a topic without +, # and ?: {MQTT_FORM}.")
        if len(topic.encode(errors="replace")) > LONGEST_TOPIC_BYTES:
            raise ConfigError("The topic of --mqtt is too long.")
        return cls(
            host=parts.hostname or "",
            port=port or MQTT_PORTS[parts.scheme],
            tls=parts.scheme == "mqtts",
            user=unquote(parts.username) if parts.username else None,
            topic=topic,
        )


def _parts(flag: str, text: str, form: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Its message may quote the password.
        raise ConfigError(f"{flag} is not an address such as {form}.") from None
    if not parts.hostname or any(c.isspace() or not c.isprintable() for c in text):
        raise ConfigError(f"{flag} is not an address such as {form}.")
    return parts, port


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host
