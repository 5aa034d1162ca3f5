"""How much one visitor may send, so that none fills the folder for all others."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

DAY_S = 24 * 3600.0
# Of one visit of the page, and of one address, from which many may visit.
VISIT_CORRECTIONS, VISIT_SHARE = 1000, 1 / 10
ADDRESS_CORRECTIONS, ADDRESS_SHARE = 4000, 1 / 2


USED_UP = (
    "You have sent as many corrections as one visitor may in a day. Send the next ones tomorrow, "
    "or ask the operator of this page."
)


class Visitor(NamedTuple):
    """Who sends; none of it is stored.

    Attributes:
        visit: the name that the browser gives to its visit of the page.
        address: on the network.
    """

    visit: str
    address: str


@dataclass
class _Used:
    corrections: int = 0
    content_bytes: int = 0


class QuotaError(Exception):
    """A visitor has sent as much as one may in a day; the message says so."""

    def __init__(self) -> None:
        super().__init__(USED_UP)


class Quota:
    """Counts what each visitor sends, in this process and for a day.

    Args:
        most_bytes: limit of the whole folder.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._used: dict[tuple[str, str], _Used] = defaultdict(_Used)
        self._began_s = time.monotonic()
        self._lock = threading.Lock()

    def is_used_up(self, visitor: Visitor) -> bool:
        """Return whether a visitor may send nothing more today."""
        limits = {
            ("visit", visitor.visit): (VISIT_CORRECTIONS, VISIT_SHARE),
            ("address", visitor.address): (ADDRESS_CORRECTIONS, ADDRESS_SHARE),
        }
        with self._lock:
            if time.monotonic() - self._began_s > DAY_S:
                self._used.clear()
                self._began_s = time.monotonic()
            return any(
                used.corrections >= most or used.content_bytes >= share * self.most_bytes
                for key, (most, share) in limits.items()
                if key[1] and (used := self._used.get(key, _Used()))
            )

    def add(self, visitor: Visitor, content_bytes: int) -> None:
        """Count one correction."""
        with self._lock:
            for key in (("visit", visitor.visit), ("address", visitor.address)):
                self._used[key].corrections += 1
                self._used[key].content_bytes += content_bytes
