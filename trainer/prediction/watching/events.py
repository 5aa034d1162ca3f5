"""Events of the operating system about files in folders.

watchdog is used, not watchfiles: it alone reports that a program has closed a file it wrote to.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
from collections.abc import Sequence
from typing import Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers.api import BaseObserver

from trainer.prediction.watching.arrivals import Event

logger = logging.getLogger(__name__)

KINDS: dict[str, Event] = {"created": "found", "modified": "written", "closed": "closed"}
# None wakes up who waits.
Notice = tuple[str, Event] | None


class FolderEvents(FileSystemEventHandler):
    """A queue of what happens in folders; a context.

    Args:
        folders: with all that lies below.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._queue: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._observer: BaseObserver | None = None

    def __enter__(self) -> Self:
        try:
            self._observer = _observer()
            for folder in self._folders:
                self._observer.schedule(self, folder, recursive=True)
            self._observer.start()
        except OSError as error:
            # On Linux, a user may watch only so many folders.
            logger.warning(
                "The system reports no events of files (%s): the folders are searched repeatedly.",
                error.strerror or error,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Put an event into the queue."""
        if event.is_directory:
            # New folders bring images without events of their own.
            if event.event_type in ("created", "moved"):
                self._queue.put(None)
        elif event.event_type == "moved":
            self._queue.put((os.fsdecode(event.dest_path), "closed"))
        elif event.event_type in KINDS:
            self._queue.put((os.fsdecode(event.src_path), KINDS[event.event_type]))

    def wake(self) -> None:
        """End a call of `wait`."""
        self._queue.put(None)

    def wait(self, seconds: float) -> list[Notice]:
        """Return the events since the last call; wait for one, but not longer than `seconds`."""
        found: list[Notice] = []
        try:
            found.append(self._queue.get(timeout=seconds))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            return found


def _observer() -> BaseObserver:
    # Each exists on its system only.
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver  # noqa: PLC0415

        # Files that are moved in from elsewhere, too, are reported as moved.
        return InotifyObserver(generate_full_events=True)
    from watchdog.observers import Observer  # noqa: PLC0415

    return Observer()
