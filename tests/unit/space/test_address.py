"""Whatever address a request names, the page names one of this server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request

from space.server.address import Address, UnknownNameError

if TYPE_CHECKING:
    from starlette.types import Scope

SPACE = Address(("https://ada-steel.hf.space", "https://steel.example.org"))
LOCAL = Address(names=("bench-3", "bench-3.local"))
ARRIVED = ("192.168.1.7", 7860)


def request(*headers: tuple[str, str], server: Any = ARRIVED) -> Scope:
    return {
        "type": "http",
        "scheme": "http",
        "path": "/config",
        "query_string": b"",
        "server": server,
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }


def url(address: Address, scope: Scope) -> str:
    return str(Request(address.applied(scope)).url)


@pytest.mark.parametrize(
    "host",
    (
        "localhost:7860",
        "localhost",
        "127.0.0.1:9000",
        "[::1]:7860",
        "bench-3:7860",
        "BENCH-3.local",
        "192.168.1.7:7860",
        "192.168.1.7",
        "localhost:8888",
    ),
)
def test_names_of_this_machine_stand(host: str) -> None:
    assert url(LOCAL, request(("host", host))) == f"http://{host.lower()}/config"


@pytest.mark.parametrize(
    "host",
    (
        "evil.example",
        "evil.example:7860",
        "192.168.1.8:7860",
        "localhost.evil.example",
        "::1",
        "localhost@evil.example",
        "localhost:7860/x",
        "localhost:evil",
        "localhost:65536",
        "a b",
    ),
)
def test_other_names_are_refused_with_the_address_that_works(host: str) -> None:
    with pytest.raises(UnknownNameError, match=r"http://192\.168\.1\.7:7860.*GRADIO_ROOT_PATH"):
        LOCAL.applied(request(("host", host)))


def test_a_request_without_host_or_port_gets_an_address() -> None:
    assert url(LOCAL, request()) == "http://192.168.1.7:7860/config"
    assert url(LOCAL, request(server=("fd00::7", 7860))) == "http://[fd00::7]:7860/config"
    assert url(LOCAL, request(server=None)) == "http://127.0.0.1/config"


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ([("host", "ada-steel.hf.space")], "ada-steel.hf.space"),
        ([("host", "steel.example.org")], "steel.example.org"),
        ([("host", "10.0.0.9:7860")], "ada-steel.hf.space"),
        ([("host", "10.0.0.9"), ("x-forwarded-host", "Steel.example.org")], "steel.example.org"),
        ([("host", "x"), ("x-forwarded-host", "steel.example.org, x")], "steel.example.org"),
        ([("host", "evil.example"), ("x-forwarded-host", "evil.example")], "ada-steel.hf.space"),
        ([], "ada-steel.hf.space"),
    ],
)
def test_a_space_on_the_hub_is_reached_by_https_under_its_names(
    headers: list[tuple[str, str]], host: str
) -> None:
    assert url(SPACE, request(*headers)) == f"https://{host}/config"


def test_names_of_the_machine_have_no_case() -> None:
    scope = request(("host", "BENCH-4"))
    assert url(Address(names=("Bench-4",)), scope) == "http://bench-4/config"


@pytest.mark.parametrize("address", [Address(names=("bench-3",)), Address(("https://a.hf.space",))])
@pytest.mark.parametrize("header", ["host", "x-forwarded-host"])
def test_a_share_link_is_served_once_it_is_known(address: Address, header: str) -> None:
    shared = request((header, "1f2e.gradio.live"))
    if not address.public and header == "host":
        with pytest.raises(UnknownNameError):
            address.applied(shared)
    address.add_share_link("https://1f2e.gradio.live")
    assert url(address, shared) == "https://1f2e.gradio.live/config"
    if not address.public:
        assert url(address, request(("host", "localhost"))) == "http://localhost/config"
        with pytest.raises(UnknownNameError):
            address.applied(request(("host", "2f2e.gradio.live")))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["host", "x-forwarded-host", "x-gradio-server", "x-forwarded-proto", "accept"]
            ),
            st.text(st.characters(max_codepoint=255)).map(lambda text: f"evil{text}"),
        ),
        max_size=6,
    ),
    st.sampled_from([SPACE, LOCAL]),
)
def test_forged_headers_name_no_other_server(
    headers: list[tuple[str, str]], address: Address
) -> None:
    scope = request(*headers)
    try:
        passed = Headers(scope=address.applied(scope))
    except UnknownNameError as error:
        assert "evil" not in str(error)
        assert address is LOCAL
        return
    assert passed["host"] in {"ada-steel.hf.space", "192.168.1.7:7860"}
    assert passed.getlist("accept") == Headers(scope=scope).getlist("accept")
    assert {*passed} <= {"host", "accept"}


def test_the_environment_names_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_HOST", "ada-steel.hf.space, steel.example.org")
    assert [*Address.configured().public] == ["ada-steel.hf.space", "steel.example.org"]
    monkeypatch.setenv("GRADIO_ROOT_PATH", "http://bench.lan:8080/steel")
    configured = Address.configured()
    assert url(configured, request(("host", "other"))) == "http://bench.lan:8080/config"
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/steel")
    monkeypatch.delenv("SPACE_HOST")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "bench.lan")
    configured = Address.configured()
    assert not configured.public
    assert url(configured, request(("host", "bench.lan:7860"))) == "http://bench.lan:7860/config"
