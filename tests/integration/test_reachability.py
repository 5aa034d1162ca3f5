"""Pretrained weights are looked for before anything else: cached, on the Hub, or out of reach."""

from __future__ import annotations

import pytest
import timm

from tests.loopback_hub import LoopbackHub
from tests.loopback_hub.base_models import put_base_model
from trainer.errors import ConfigError, HubError
from trainer.runtime.reachability import check_reachable

MODEL = "test_convnext.r160_in1k"
NOWHERE = "http://127.0.0.1:9/x"


@pytest.fixture
def out_of_reach(monkeypatch: pytest.MonkeyPatch, no_waiting: None) -> None:
    """A Hub that nobody answers for."""
    monkeypatch.setattr("trainer.runtime.reachability.hf_hub_url", lambda *_: NOWHERE)


@pytest.mark.parametrize("name", [MODEL, "test_convnext", f"hf-hub:timm/{MODEL}"])
def test_weights_on_the_hub_are_not_downloaded_to_find_out(hub: LoopbackHub, name: str) -> None:
    put_base_model(hub, MODEL)
    check_reachable(name)
    assert [request.method for request in hub.requests] == ["HEAD"]


def test_cached_weights_need_no_hub(
    hub: LoopbackHub, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_base_model(hub, MODEL)
    timm.create_model(MODEL, pretrained=True)
    request.getfixturevalue("out_of_reach")
    check_reachable(MODEL)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    check_reachable(MODEL)


def test_no_answer(hub: LoopbackHub, out_of_reach: None) -> None:
    with pytest.raises(HubError, match=f"of {MODEL} can't be downloaded from the Hub at http"):
        check_reachable(MODEL)
    assert hub.requests == []


def test_the_hub_is_forbidden(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="not cached, and HF_HUB_OFFLINE forbids"):
        check_reachable(MODEL)
    assert hub.requests == []


@pytest.mark.parametrize("name", [MODEL, "hf-hub:ada/steel", "hf-hub:ada/steel@main"])
def test_weights_that_the_hub_does_not_have(hub: LoopbackHub, name: str) -> None:
    with pytest.raises(HubError, match=r"The Hub has no weights of .* or they are private"):
        check_reachable(name)


def test_a_name_that_cannot_be(hub: LoopbackHub) -> None:
    with pytest.raises(HubError, match="can't be downloaded"):
        check_reachable("hf-hub:a/b/c")


def test_no_published_weights(hub: LoopbackHub) -> None:
    with pytest.raises(ConfigError, match="test_mambaout has no published weights"):
        check_reachable("test_mambaout")
    assert hub.requests == []
