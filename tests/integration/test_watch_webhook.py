"""Rows reach a web server that fails, hangs, drops connections and is away."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.published_folder import noise
from tests.support.watched_line import Line, eventually, names
from trainer.prediction.channels import outage, webhook
from trainer.prediction.channels.addresses import WebhookAddress
from trainer.prediction.channels.webhook import Webhook
from trainer.prediction.journal.journal import Journal
from trainer.prediction.row import Row


class Receiver(ThreadingHTTPServer):
    """A server that handles the first requests badly, as configured, and takes the others.

    Attributes:
        faults: of the next requests: a status, "hang", "drop" or "lose" (takes it without answer).
        taken: keys and rows that were taken.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.faults: list[int | str] = []
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.paths: set[str] = set()
        self.released = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self.server.faults.pop(0) if self.server.faults else 204
        self.server.paths.add(self.path)
        if fault in (204, "lose"):
            self.server.taken.append((self.headers["Idempotency-Key"], content))
        if fault == "hang":
            self.server.released.wait()
        if isinstance(fault, str):
            self.close_connection = True
            return
        self.send_response(fault)
        if fault == 307:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0") if fault != 204 else None
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    server = Receiver(port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in (
        (outage, "FIRST_WAIT_S", 0.01),
        (outage, "LONGEST_WAIT_S", 0.02),
        (webhook, "ANSWER_S", 0.3),
    ):
        monkeypatch.setattr(module, name, seconds)


@pytest.mark.usefixtures("impatient")
def test_a_row_is_posted_until_it_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [Row(f"{number}.png", label="Rolled", verdict="class") for number in range(30)]
    errors: list[BaseException] = []
    with receiving() as server, Journal(tmp_path / "out.csv", ["webhook"]) as journal:
        secret = f"http://ada:pass-word@127.0.0.1:{server.server_port}/hook?token=se-cret"
        server.faults += [500, 404, 307, "hang", "drop", 503, "lose", 500, 500]
        channel = Webhook(WebhookAddress.read(secret))
        channel.start(journal, errors.append)
        journal.add([], rows[:10], ["x"] * 10)
        eventually(lambda: journal.waiting("webhook") == 0, "rows")
        journal.add([], rows[10:], ["x"] * 20)
        eventually(lambda: journal.waiting("webhook") == 0, "more rows")
        channel.stop()
        identifier = journal.id
    assert errors == []
    counts = Counter(content["path"] for _, content in server.taken)
    # Its answer was lost: it is sent again, under the same key.
    assert counts == Counter([row.path for row in rows] + ["0.png"])
    assert {key for key, content in server.taken if content["path"] == "0.png"} == {
        f"{identifier}-1"
    }
    assert [content["path"] for _, content in server.taken[1:]] == [row.path for row in rows]
    assert server.paths == {"/hook?token=se-cret"}
    assert "pass-word" not in caplog.text and "se-cret" not in caplog.text
    assert caplog.text.count("it answers 500") == 1
    assert caplog.text.count("takes rows again") == 1


def test_rows_wait_in_the_journal_for_a_server_that_is_away(tmp_path: Path, package: Path) -> None:
    line = Line(tmp_path, package)
    noise(0).save(line.images / "0.png")
    with receiving() as server:
        port = server.server_port
    options = ("--webhook", f"http://127.0.0.1:{port}/")
    with line.watched(*options):
        line.expect(["0.png"])
        line.said("can't be reached")
    assert "1 row waits for the webhook in the journal" in line.log.read_text()
    with receiving(port) as server, line.watched(*options):
        noise(1).save(line.images / "1.png")
        eventually(lambda: len(server.taken) == 2, "rows")
    assert [Path(content["path"]).name for _, content in server.taken] == names(line.table)


@pytest.mark.usefixtures("impatient")
def test_a_journal_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    with receiving() as server, Journal(tmp_path / "out.csv", ["webhook"]) as journal:
        address = f"http://127.0.0.1:{server.server_port}/"
        channel = Webhook(WebhookAddress.read(address))
        journal.add([], [Row("1.png", error="x")], ["x"])
        journal._database.rows("PRAGMA query_only = ON")
        channel.start(journal, errors.append)
        eventually(lambda: bool(errors), "an error")
        channel.stop()
    assert isinstance(errors[0], OSError)
