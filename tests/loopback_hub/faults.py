"""Faults that a test orders from the loopback hub: refusals, and connections that break."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.loopback_hub.messages import Response

Moment = Literal["before", "instead", "during upload", "before answer"]


@dataclass
class Fault:
    """What happens to the next requests that match.

    `before`: `action` happens first. `instead`: `response` is sent and nothing is done.
    `during upload`: the connection ends when half of the body was read. `before answer`: the work
    is done, but no answer arrives.
    """

    method: str
    path: re.Pattern[str]
    moment: Moment
    response: Response | None
    times: int
    action: Callable[[], object] | None = None


class Faults:
    """The faults that are still to come, the oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        request: str,
        moment: Moment,
        response: Response | None = None,
        times: int = 1,
        action: Callable[[], object] | None = None,
    ) -> None:
        """Order a fault for the next `times` requests like `request`: `METHOD path-pattern`."""
        method, _, pattern = request.partition(" ")
        self._faults.append(Fault(method, re.compile(pattern), moment, response, times, action))

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that was ordered for this request, and use it up."""
        for fault in self._faults:
            if fault.method == method and fault.path.search(path):
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return None

    @property
    def pending(self) -> bool:
        """Whether a fault was ordered and never met."""
        return bool(self._faults)
