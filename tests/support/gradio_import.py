"""Imports of gradio in half the time."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


@contextmanager
def no_type_stubs() -> Iterator[None]:
    """Keep gradio, if the block imports it, from parsing its source to write type stubs.

    It leaves out the stubs of classes whose file it can't find.
    """
    find_file = inspect.getfile

    def getfile(searched: Any) -> str:
        if isinstance(searched, type) and searched.__module__.startswith("gradio."):
            raise OSError(f"{searched} gets no type stubs")
        return find_file(searched)

    with mock.patch.object(inspect, "getfile", getfile):
        yield
