"""A receiver of rows besides the table, served by a thread of its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from trainer.prediction.channels.outage import Outage
from trainer.prediction.journal.journal import Entry, Journal

# How long a row may take that is being sent when the process ends. It is sent again by --resume.
LAST_ROW_S = 2.0


class Channel(ABC):
    """Delivers the rows of a journal.

    Args:
        name: of its deliveries in the journal.
        receiver: its name in messages, without secrets.

    Attributes:
        outage: whether the receiver can be reached.
    """

    def __init__(self, name: str, receiver: str) -> None:
        self.name, self.outage = name, Outage(receiver)
        self.stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._journal: Journal | None = None

    def start(self, journal: Journal, failed: Callable[[BaseException], None]) -> None:
        """Deliver from now on.

        Args:
            journal: of the rows.
            failed: is called with an error that ends the deliveries.
        """

        def run() -> None:
            try:
                self.deliver(journal, failed)
            except BaseException as error:
                failed(error)

        self._journal = journal
        # A receiver that hangs must not keep the process alive.
        self._thread = threading.Thread(target=run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the deliveries; what is not delivered stays in the journal."""
        self.stopping.set()
        if self._journal is not None and self._thread is not None:
            with self._journal.more:
                self._journal.more.notify_all()
            self._thread.join(LAST_ROW_S)

    def next_rows(self, journal: Journal, most: int, after: int = 0) -> list[Entry]:
        """Return the next rows to deliver; wait until there are some; none at the end."""
        with journal.more:
            while not self.stopping.is_set():
                if found := journal.to_deliver(self.name, most, after):
                    return found
                journal.more.wait()
        return []

    @abstractmethod
    def deliver(self, journal: Journal, failed: Callable[[BaseException], None]) -> None:
        """Deliver rows until `stopping` is set."""
