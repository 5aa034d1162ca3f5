"""Tools for language models: a real MCP client, forged calls, and nothing fetched or read."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from tests.support.published_folder import noise
from tests.support.served_page import MARKER, Site, served_page

# Gradio and pandas warn of themselves, and leave event loops open.
pytestmark = pytest.mark.filterwarnings("ignore")
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_page(tmp_path_factory.mktemp("site")) as site:
        yield site


def _session(site: Site, work: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    """Connect a client; return what `work` does with it."""

    async def connected() -> Any:
        address = f"{site.url}/gradio_api/mcp/"
        async with (
            streamablehttp_client(address) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await work(session)

    return asyncio.run(connected())


def _called(site: Site, name: str, arguments: dict[str, Any]) -> tuple[bool, str]:
    """Call a tool; return whether it failed, and the text of its answer."""
    result = _session(site, lambda session: session.call_tool(name, arguments))
    return bool(result.isError), "\n".join(getattr(each, "text", "") for each in result.content)


def _address(site: Site, path: str) -> str:
    return f"{site.url}/gradio_api/file={path}"


def test_tools_explain_the_verdicts(site: Site) -> None:
    listed = _session(site, lambda session: session.list_tools())
    tools = {tool.name: tool for tool in listed.tools}
    assert set(tools) == {"predict", "predict_batch", "heatmap"}
    for name in ("predict", "predict_batch"):
        for verdict in ('"class"', '"unsure"', '"unknown"'):
            assert verdict in tools[name].description
    assert list(tools["predict"].inputSchema["properties"]) == ["image"]
    assert "/gradio_api/upload" in tools["predict"].description
    assert "data URL" in tools["predict"].inputSchema["properties"]["image"]["description"]
    assert tools["predict_batch"].inputSchema["properties"]["images"]["type"] == "array"


def test_an_uploaded_image_is_answered(site: Site) -> None:
    [expected] = site.demo.predictor.predict([noise(1)])
    failed, text = _called(site, "predict", {"image": _address(site, site.upload(1))})
    assert not failed, text
    answer = ast.literal_eval(text)
    assert answer["verdict"] == expected.verdict
    assert answer["label"] == expected.label
    places = [_address(site, site.upload(seed)) for seed in (1, 2)]
    failed, text = _called(site, "predict_batch", {"images": places})
    assert not failed, text
    assert [each["label"] for each in ast.literal_eval(text)] == [
        each.label for each in site.demo.predictor.predict([noise(1), noise(2)])
    ]


def test_an_image_can_be_in_the_call_itself(site: Site, tmp_path: Path) -> None:
    noise(2).save(tmp_path / "a.png")
    inline = base64.b64encode((tmp_path / "a.png").read_bytes()).decode()
    before = site.snapshot()
    failed, text = _called(site, "predict", {"image": f"data:image/png;base64,{inline}"})
    assert not failed, text
    [expected] = site.demo.predictor.predict([noise(2)])
    assert ast.literal_eval(text)["label"] == expected.label
    # It is stored among the uploads, and deleted with them.
    assert site.snapshot() == before


def test_a_heatmap_is_a_picture(site: Site) -> None:
    arguments = {"image": _address(site, site.upload(1))}
    result = _session(site, lambda session: session.call_tool("heatmap", arguments))
    assert not result.isError
    pictures = [each for each in result.content if each.type == "image"]
    assert base64.b64decode(pictures[0].data)


class Listener:
    """Counts connections to a port of 127.0.0.1."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def outside() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def _forged(site: Site, outside: Listener) -> list[Any]:
    secret, own = str(site.secret), site.upload(1)
    return [
        f"{outside.url}/x.png",
        f"{outside.url}/gradio_api/file={secret}",
        f"{outside.url}/gradio_api/file=../{secret}",
        f"{site.url}/gradio_api/file=%2Fproc%2Fself%2Froot{own}",
        f"https://example.org/gradio_api/file={own}/../../x",
        secret,
        f"file://{secret}",
        "data:text/html;base64,PGI+",
        "data:image/png;base64,!!!",
        f"data:image/png;base64,{'A' * 40}",
        {"path": secret, "meta": META},
        {"path": own, "meta": META, "url": f"{outside.url}/x.png"},
        {"path": f"{outside.url}/x.png", "meta": META},
        [{"path": secret, "meta": META}],
        [secret],
        None,
        5,
        "",
        "\ud800",
    ]


def _posted(site: Site, method: str, params: Any) -> Any:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {"accept": "application/json, text/event-stream"}
    return site.http.post("/mcp/", content=json.dumps(message), headers=headers)


def test_a_forged_image_is_neither_read_nor_fetched(site: Site, outside: Listener) -> None:
    for tool in ("predict", "heatmap", "predict_batch"):
        for value in _forged(site, outside):
            key = "images" if tool == "predict_batch" else "image"
            answer = _posted(site, "tools/call", {"name": tool, "arguments": {key: value}})
            text = answer.text
            assert answer.status_code in (200, 400), text
            assert "probabilities': {" not in text, f"{tool} {value!r:.200}: {text:.300}"
            assert MARKER not in text
    assert outside.connections == 0
    assert site.fetched == []


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("resources/read", {"uri": "file:///etc/passwd"}),
        ("prompts/get", {"name": "x"}),
        ("logging/setLevel", {"level": "debug"}),
        ("tools/call", None),
        ("tools/call", {"name": 5}),
        ("tools/call", {"name": "predict", "arguments": [1]}),
        ("tools/call", {"name": "predict_batch", "arguments": {"images": ["x"] * 2001}}),
        ("tools/call", {"name": "predict", "arguments": {str(n): "x" for n in range(9)}}),
        (5, None),
    ],
)
def test_other_messages_are_refused(site: Site, method: Any, params: Any) -> None:
    answer = _posted(site, method, params)
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_only_the_route_of_messages_is_open(site: Site) -> None:
    assert site.http.get("/mcp").status_code == 405
    for method, path in (
        ("GET", "/mcp/sse"),
        ("GET", "/mcp/schema"),
        ("POST", "/mcp/messages"),
        ("POST", "/mcp/http"),
        ("DELETE", "/mcp"),
    ):
        assert site.http.request(method, path).status_code == 404, path
    assert site.http.post("/mcp", content=b"[" * 30_000).status_code == 400
    assert site.http.post("/mcp", content=b" " * (17 * 2**20)).status_code == 413
