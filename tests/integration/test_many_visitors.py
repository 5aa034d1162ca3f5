"""Visitors come, ask and leave: the server keeps little of them, and serves no forged address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gradio.routes import file_upload_statuses

from space.server.connection import TimedConnection
from space.server.gate.gate import Gate
from space.server.visitors import (
    RECORDED_EVENTS,
    SESSIONS,
    TRACKED_UPLOADS,
    UNREAD_MESSAGES,
    UNREAD_SESSIONS,
    _drop_oldest,
)
from tests.support.served_page import Site, served_page

# Gradio and pandas warn of themselves, and leave event loops open.
pytestmark = pytest.mark.filterwarnings("ignore")
EVIL = "evil.example"
PAGES = (
    "/",
    "/config",
    "/gradio_api/info",
    "/gradio_api/openapi.json",
    "/manifest.json",
    "/logout",
)
LEAST = 10


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_page(tmp_path_factory.mktemp("site")) as site:
        yield site


def _kept(site: Site) -> dict[str, int]:
    """Return how many entries of each kind Gradio keeps."""
    queue: Any = site.app._queue
    return {
        "messages": len(queue.pending_messages_per_session),
        "event names": len(queue.pending_event_ids_session),
        "events": len(queue.event_ids_to_events),
        "durations": len(queue.event_analytics),
        "files": sum(len(names) for names in site.app.temp_file_sets),
        "uploads": len(file_upload_statuses._statuses),
        "upload signals": len(file_upload_statuses._signals),
        "states": len(site.app.state_holder.session_data),
    }


def test_visitors_who_leave_are_forgotten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("space.server.visitors.UNREAD_SESSIONS", LEAST)
    monkeypatch.setattr("space.server.visitors.TRACKED_UPLOADS", LEAST)
    monkeypatch.setattr(site.app._queue, "ANALYTICS_MAX_EVENTS", LEAST)
    monkeypatch.setattr(site.app.state_holder, "capacity", LEAST)
    for number in range(3 * LEAST):
        own = site.upload(number, progress=f"upload{number}")
        file = {"path": own, "meta": {"_type": "gradio.FileData"}}
        assert "badge" in site.ask("show_upload", [file])
        # This one leaves before the answer, and a program forgets to fetch its own.
        site.join("show_upload", [file], f"gone{number}")
        assert site.http.post("/call/predict", json={"data": [file]}).status_code == 200
    # These are dropped when the next request comes.
    site.upload(1)
    kept = _kept(site)
    # Those that still run or wait come on top.
    assert max(kept.values()) <= LEAST + 4, kept
    assert kept["messages"] >= LEAST, "the latest answers wait to be read"


def test_a_session_holds_nothing_of_what_its_visitor_sent_and_saw(site: Site) -> None:
    file = {"path": site.upload(1), "meta": {"_type": "gradio.FileData"}}
    assert "badge" in site.ask("show_upload", [file])
    states: Any = site.app.state_holder
    assert states is site.app.server_app.state_holder
    assert states.capacity == SESSIONS
    *_, state = states.session_data.values()
    assert state.state_data == {}
    held = {key: each["props"].get("value") for key, each in state.config_values.items()}
    # The image was updated: it is described, without what it shows.
    assert set(held.values()) == {None}
    assert len(held) < 3


def test_one_description_of_the_endpoints_is_served(site: Site) -> None:
    assert "/queue/join" not in httpx.get(f"{site.url}/openapi.json").text
    paths = httpx.get(f"{site.url}/gradio_api/openapi.json").json()["paths"]
    assert [path for path in paths if "predict" in path]
    assert not [path for path in paths if "queue" in path]


def test_an_answer_can_be_fetched_later(site: Site) -> None:
    file = {"path": site.upload(2), "meta": {"_type": "gradio.FileData"}}
    event = site.http.post("/call/predict", json={"data": [file]}).json()["event_id"]
    for number in range(5):
        assert "badge" in site.ask("show_upload", [{"path": site.upload(number)}])
    assert "probabilities" in site.http.get(f"/call/predict/{event}").text


def test_a_session_that_reads_nothing_gets_no_more(site: Site) -> None:
    answers = [site.join("show_example", [], "silent") for _ in range(UNREAD_MESSAGES + 2)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert "Load the page again" in answers[-1].text
    assert "badge" in site.ask("show_upload", [{"path": site.upload(1)}])


def test_of_the_records_the_oldest_are_dropped() -> None:
    records = dict.fromkeys("abcde")
    _drop_oldest(records, 2)
    assert list(records) == ["c", "d", "e"]
    _drop_oldest(records, -1)
    assert len(records) == 3


def test_limits_leave_room_for_the_visitors_of_a_busy_page(site: Site) -> None:
    assert 100 <= UNREAD_SESSIONS <= 1000
    assert 64 <= TRACKED_UPLOADS <= 1000
    assert site.app._queue.ANALYTICS_MAX_EVENTS == RECORDED_EVENTS <= 1000


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": EVIL},
        {"X-Forwarded-Host": EVIL},
        {"X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "https", "Forwarded": f"host={EVIL}"},
        {"X-Gradio-Server": f"http://{EVIL}"},
        {"Host": f"{EVIL}:80", "X-Forwarded-Server": EVIL, "X-Forwarded-Prefix": f"//{EVIL}"},
    ],
)
def test_a_forged_address_is_not_served(site: Site, path: str, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{site.url}{path}", headers=headers, follow_redirects=False)
    assert EVIL not in answer.text
    assert EVIL not in str(answer.headers)
    if "Host" in headers:
        assert answer.status_code == 421
        assert f"Open {site.url}, or start" in answer.json()["detail"]
    elif path == "/config":
        assert answer.json()["root"].partition("//")[2] == site.url.partition("//")[2]


def test_a_forged_address_is_not_in_an_answer(site: Site) -> None:
    headers = {"X-Forwarded-Host": EVIL}
    last = len(site.demo.examples) - 1
    text = site.ask("show_example", [], headers, event_data={"index": last})
    assert f"{site.url}/gradio_api/file=" in text
    assert EVIL not in text


def test_on_the_hub_the_page_has_the_address_of_the_space(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers: Any = site.app.app.user_middleware
    [gate] = [layer for layer in layers if layer.cls is Gate]
    monkeypatch.setitem(gate.kwargs["address"].public, "ada-steel.hf.space", "https")
    for headers in ({"Host": EVIL}, {"X-Forwarded-Host": EVIL}, {}):
        config = httpx.get(f"{site.url}/config", headers=headers)
        assert config.json()["root"] == "https://ada-steel.hf.space"
        assert EVIL not in config.text


def test_the_page_may_be_called_localhost(site: Site) -> None:
    local = site.url.replace("127.0.0.1", "localhost")
    assert httpx.get(f"{local}/config").json()["root"] == local


def test_connections_have_time_limits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimedConnection, "patience_s", 0.1)
    port = int(site.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow:")
        assert client.recv(1) == b"", "the server closes it"
