"""Requests that no page sends: nothing is served, fetched, noted or deleted, and nothing breaks."""

from __future__ import annotations

import itertools
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from space.app import QUEUE_SIZE
from tests.support.published_folder import noise
from tests.support.served_page import MARKER, MAX_FILE_BYTES, Site, served_page

# Gradio and pandas warn of themselves, and leave event loops open.
pytestmark = pytest.mark.filterwarnings("ignore")
FILE_EVENTS = ("show_upload", "show_heatmap", "predict")
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_page(tmp_path_factory.mktemp("site")) as site:
        yield site


def _spellings(site: Site, own: str) -> list[object]:
    """Return paths that are not the plain name of an upload."""
    inside, secret = Path(own), site.secret
    folder = inside.parent
    (folder / "link.png").symlink_to(secret)
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    figure = site.model / "figures" / "confusion_matrix.png"
    outside = ["/etc/passwd", "/proc/self/environ", "/dev/zero", str(secret), str(figure)]
    tricks = [
        f"/{own}",
        f"//{own}",
        f"/proc/self/root{own}",
        f"{folder}/./{inside.name}",
        f"{folder}/../{folder.name}/{inside.name}",
        f"{folder}//{inside.name}",
        f"{own}/",
        f"{own}\0.png",
        f"file://{own}",
        f"{folder}/%2e%2e/{inside.name}",
        str(folder / "link.png"),
        str(folder / "folder.png"),
        str(folder / "pipe.png"),
        str(folder),
        str(site.uploads.path),
        str(site.uploads.path.parent / "lock"),
        f"{folder}/../../../secret.png",
        f"/proc/self/root{secret}",
        f"/{secret}",
        f"/{figure}",
        inside.name,
        os.path.relpath(own),
        "~/secret.png",
        "",
        ".",
        "/",
        "x" * 5000,
        f"{folder}/{'y' * 300}.png",
        "\ud800",
    ]
    addresses = [
        f"{scheme}{host}/x.png"
        for scheme in ("http://", "https://", "HTTP://", "//")
        for host in ("127.0.0.1:9", "example.org", "169.254.169.254", "[::1]")
    ]
    others: list[object] = [None, 5, True, 1.5, [], {}, [own], {"path": own}]
    return [*outside, *tricks, *addresses, *others]


def _forged(path: object) -> Iterator[object]:
    """Return ways to name a file in a request."""
    yield {"path": path, "meta": META}
    yield {"path": path}
    yield {"path": path, "url": "http://example.org/y.png", "meta": META, "is_stream": True}
    yield {"path": path, "meta": {"_type": "other"}, "orig_name": ["odd"]}
    yield {"url": path, "meta": META}


def test_forged_files_are_neither_served_nor_fetched_nor_deleted(
    site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    own = site.upload()
    before = site.snapshot()
    tried = 0
    events = itertools.cycle(FILE_EVENTS)
    for path in _spellings(site, own):
        for forged in _forged(path):
            text = site.ask(next(events), [forged])
            tried += 1
            said = f"{forged!r:.200}: {text:.500}"
            assert "No file was sent" in text or "sends no such request" in text, said
            assert "probabilities" not in text, said
            assert MARKER not in text
    for event in FILE_EVENTS:
        odd: list[object] = [own, [own], {"path": None, "meta": META}, 7, True, [[]]]
        for value in odd:
            text = site.ask(event, [value])
            tried += 1
            assert "No file was sent" in text, f"{event} {value!r:.100}: {text:.300}"
    assert tried >= 300
    assert site.fetched == []
    # Two hours later only the uploads are gone.
    (site.uploads.path / "partial").write_bytes(b"half an upload")
    site.uploads.clean(now=time.time() + 7200)
    assert site.snapshot() == before
    assert list(site.uploads.path.iterdir()) == []
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


def test_an_honest_request_is_answered_and_its_address_is_dropped(site: Site) -> None:
    """Otherwise the test above could not fail."""
    own = site.upload(2)
    file = {"path": own, "url": "http://example.org/x.png", "meta": META, "orig_name": "a.png"}
    assert "probabilities" in site.ask("predict", [file])
    assert "badge" in site.ask("show_upload", [file])
    assert "data:image/webp" in site.ask("show_heatmap", [file])
    assert site.fetched == []
    named = site.http.post("/call/v2/predict", json={"image": file}).json()["event_id"]
    assert "probabilities" in site.http.get(f"/call/predict/{named}").text


BODIES: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b"[" * 30_000,
    b'{"data": null}',
    b'{"data": {}}',
    b'{"data": [], "fn_index": 99}',
    b'{"data": [], "fn_index": -1}',
    b'{"data": [], "fn_index": "0"}',
    b'{"data": [], "fn_index": 0, "session_hash": "../../x"}',
    b'{"data": [], "fn_index": 0, "session_hash": 5}',
    b'{"data": [1,2,3,4,5,6,7,8,9], "fn_index": 0, "session_hash": "s"}',
    b'{"data": [], "fn_index": 0, "session_hash": "s", "event_data": {"index": -1}}',
    b'{"data": [], "fn_index": 0, "session_hash": "s", "event_data": {"index": "0"}}',
    b'{"data": [], "fn_index": 0, "session_hash": "s", "event_data": [1]}',
    b'{"data": ["' + b"x" * 70_000 + b'"]}',
]


def test_bodies_that_are_none_of_the_pages_are_refused_in_words(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("queue/join", "call/predict", "run/predict", "api/predict", "cancel", "reset"):
        for body in BODIES:
            # These ask for nothing but an end.
            if name in ("cancel", "reset") and body.startswith(b'{"data"'):
                continue
            answer = site.http.post(f"/{name}", content=body)
            refused = answer.status_code in (400, 413)
            assert refused, f"{name} {body[:60]!r}: {answer.status_code} {answer.text[:200]}"
            assert answer.json()["detail"]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_each_example_that_exists_is_shown_and_no_other(site: Site) -> None:
    count = len(site.demo.examples)
    assert count == 6
    text = site.ask("show_example", [], event_data={"index": count - 1})
    assert "probabilities" in text
    for index in (-1, -6, count, 1000):
        text = site.ask("show_example", [], event_data={"index": index})
        assert "no such example" in text or "sends no such request" in text, text[:300]
    assert "no such example" in site.ask("show_example", [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/file=/etc/passwd"),
        ("GET", "/file=http://example.org/x.png"),
        ("GET", "/file=https%3A%2F%2Fexample.org/x.png"),
        ("GET", "/file/etc/passwd"),
        ("HEAD", "/file=http://example.org/x.png"),
        ("GET", "/proxy=https://example.hf.space/x"),
        ("GET", "/dev/reload"),
        ("GET", "/vibe-code"),
        ("POST", "/vibe-edit"),
        ("POST", "/process_recording"),
        ("POST", "/component_server"),
        ("POST", "/call/show_upload"),
        ("POST", "/stream/abc"),
        ("PUT", "/upload"),
        ("DELETE", "/upload"),
    ],
)
def test_what_the_page_does_not_need_is_closed(site: Site, method: str, path: str) -> None:
    answer = site.http.request(method, path)
    assert answer.status_code in (403, 404, 405)
    assert site.fetched == []


def test_only_uploads_can_be_downloaded(site: Site) -> None:
    own = site.upload(4)
    assert site.http.get(f"/file={own}").status_code == 200
    for alias in (f"/{own}", f"/proc/self/root{own}", f"%2F{own}"):
        assert site.http.get(f"/file={alias}").status_code == 404
    for path in (site.model / "model.safetensors", site.secret):
        assert site.http.get(f"/file={path}").status_code == 404


def test_an_upload_has_a_limit_whatever_its_headers_say(site: Site) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(MAX_FILE_BYTES // 2**20 + 2):
            yield bytes(2**20)

    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert site.http.post("/upload", content=endless(), headers=kind).status_code == 413
    for size, status in ((MAX_FILE_BYTES, 200), (MAX_FILE_BYTES + 1, 413)):
        files = {"files": ("large.png", bytes(size))}
        assert site.http.post("/upload", files=files).status_code == status
    two = {f"f{number}": (f"{number}.png", bytes(MAX_FILE_BYTES // 2 + 2**15)) for number in (1, 2)}
    assert site.http.post("/upload", files=two).status_code == 413
    for odd in (b"", b"--b", b"--b\r\n\r\nx\r\n--b--", b"--b\r\nContent-Disposition: x\r\n\r\n"):
        assert site.http.post("/upload", content=odd, headers=kind).status_code in range(200, 500)


def test_answers_carry_headers_and_the_server_listens_here_alone(site: Site) -> None:
    for path in ("/", "/config", "/gradio_api/info"):
        headers = httpx.get(f"{site.url}{path}").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]
    assert site.app.server_name == "127.0.0.1"


def test_secrets_and_paths_of_figures_are_not_in_the_page(site: Site) -> None:
    page = httpx.get(f"{site.url}/config").text
    assert MARKER not in page
    assert "figures/" not in page
    assert page.count("data:image/webp") >= 6 + 4


def test_a_full_queue_says_that_the_page_is_busy(site: Site) -> None:
    queue = site.app._queue
    assert queue.max_size == QUEUE_SIZE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "max_size", 0)
        answer = site.http.post("/call/predict", json={"data": [None]})
    assert answer.status_code == 503


def test_a_full_disk_costs_the_preview_and_not_the_answer(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    path = site.folder / "photo.tiff"
    noise(5).save(path)
    files = {"files": ("photo.tiff", path.read_bytes())}
    [own] = site.http.post("/upload", files=files).json()
    monkeypatch.setattr("space.demo.Image.Image.save", full)
    with caplog.at_level(logging.WARNING, "space"):
        shown, panel = site.demo.show_upload({"path": own})
    assert "probabilities" in panel
    assert json.dumps(shown) == json.dumps(gr.skip())
    assert "No space left" in caplog.text
