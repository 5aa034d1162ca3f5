"""Addresses of receivers: what is accepted, and that nothing secret is shown."""

from __future__ import annotations

import pytest

from trainer.errors import ConfigError
from trainer.prediction.channels.addresses import BrokerAddress, WebhookAddress


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mqtt://mill/steel", BrokerAddress("mill", 1883, False, None, "steel")),
        ("mqtts://ada@mill/a/b", BrokerAddress("mill", 8883, True, "ada", "a/b")),
        ("mqtt://a%40b@[::1]:99/a%20b/", BrokerAddress("::1", 99, False, "a@b", "a b")),
    ],
)
def test_brokers(text: str, address: BrokerAddress) -> None:
    assert BrokerAddress.read(text) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://mill/steel", "--mqtt takes mqtt://"),
        ("mqtt://mill", "needs a topic"),
        ("mqtt://mill/steel/%23", "needs a topic"),
        ("mqtt://mill/a/+/b", "needs a topic"),
        ("mqtt://mill/a?b=1", "needs a topic"),
        ("mqtt://mill/" + "a" * 70_000, "too long"),
        ("mill/steel", "not an address"),
        ("mqtt:///steel", "not an address"),
        ("mqtt://ada:se-cret@mill/steel", "MQTT_PASSWORD"),
        ("mqtt://ada:se-cret@mill:port/steel", "not an address"),
        ("mqtt://[se-cret/steel", "not an address"),
    ],
)
def test_other_brokers_are_refused_without_their_password(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        BrokerAddress.read(text)
    assert "se-cret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://mill/hook?token=se-cret", "https://mill"),
        ("http://ada:se-cret@127.0.0.1:80/se-cret", "http://127.0.0.1:80"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_webhooks_are_shown_without_secrets(text: str, shown: str) -> None:
    address = WebhookAddress.read(text)
    assert (address.url, address.shown) == (text, shown)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://se-cret/",
        "file:///se-cret",
        "se-cret",
        "https://a b/",
        "http://h:se-cret/",
        "http://",
    ],
)
def test_other_webhooks_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--webhook") as error:
        WebhookAddress.read(text)
    assert "se-cret" not in str(error.value)
