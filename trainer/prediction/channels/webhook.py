"""Post each row to a web server until it takes it: at least once, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx2

from trainer.prediction.channels.addresses import WebhookAddress
from trainer.prediction.channels.channel import Channel
from trainer.prediction.journal.journal import Entry, Journal

CONNECT_S, ANSWER_S = 5.0, 10.0
AT_ONCE = 16
# Of an answer; it is read only so that the connection can be used again.
MOST_BYTES = 65_536


class Webhook(Channel):
    """A server that takes each row as a JSON object.

    `Idempotency-Key` is the `id` of the row: a server that got it before, but whose answer was
    lost, can ignore it.
    """

    def __init__(self, address: WebhookAddress) -> None:
        super().__init__("webhook", f"The webhook {address.shown}")
        self._url = address.url

    def deliver(self, journal: Journal, failed: Callable[[BaseException], None]) -> None:
        """Post rows until `stopping` is set."""
        timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
        with httpx2.Client(timeout=timeout) as client:
            while entries := self.next_rows(journal, AT_ONCE):
                for entry in entries:
                    while not self._post(client, entry):
                        if self.stopping.is_set():
                            return
                    journal.delivered(self.name, entry.number)
                    if self.stopping.is_set():
                        return

    def _post(self, client: httpx2.Client, entry: Entry) -> bool:
        """Return whether the server took a row; if not, wait as long as is polite."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": entry.fields["id"]}
        content = json.dumps(entry.fields).encode()
        try:
            with client.stream("POST", self._url, content=content, headers=headers) as answer:
                if answer.is_success:
                    self.outage.ended()
                    _read_rest(answer)
                    return True
                wait_s = self.outage.failed(
                    f"it answers {answer.status_code} {answer.reason_phrase}".strip(), refused=True
                )
        except httpx2.TimeoutException:
            wait_s = self.outage.failed("it does not answer in time")
        except httpx2.ConnectError as error:
            wait_s = self.outage.failed(f"it can't be reached ({error})")
        except httpx2.HTTPError as error:
            # Other messages may quote the address.
            wait_s = self.outage.failed(f"the connection failed ({type(error).__name__})")
        self.stopping.wait(wait_s)
        return False


def _read_rest(answer: httpx2.Response) -> None:
    """Read the body of an answer, if it is short and comes soon; its row is delivered anyway."""
    size, deadline = 0, time.monotonic() + ANSWER_S
    try:
        for chunk in answer.iter_raw():
            size += len(chunk)
            if size > MOST_BYTES or time.monotonic() > deadline:
                return
    except httpx2.HTTPError:
        return
