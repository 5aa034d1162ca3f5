"""Images that appear in folders, each reported once it is complete.

A file is complete when the program that writes it has closed or renamed it, which Linux reports for
local disks. Where no such event comes (network shares, Windows, macOS, links, files that were there
at the start), it is complete when its size and time of change have stayed the same for `SETTLE_S`.
Events only make a search of the folders prompt; the searches alone find everything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.folders.entries import File, Folder, is_ignored, trouble_of
from trainer.prediction.image_files import ImageFile
from trainer.prediction.journal.journal import Stamp
from trainer.text.names import as_text

Event = Literal["found", "written", "closed"]

SETTLE_S = 0.2
# A program may keep a file open after its last write; then this is taken for its end.
OPEN_LIMIT_S = 60.0
# An image that can't be read may be unfinished: it is an error once it has not changed for so long.
UNREADABLE_S = 2.0
# Searches take at most a twentieth of the time of one core.
SHORTEST_INTERVAL_S, REST = 0.1, 20


@dataclass(frozen=True)
class Arrival:
    """A complete image, its stamp before it was read, and since when it has had that stamp."""

    file: ImageFile
    stamp: Stamp
    since_s: float


@dataclass
class _Candidate:
    """An image that may be incomplete.

    Attributes:
        found: the file.
        stamp: that it had last.
        since_s: when it had this stamp first, on the monotonic clock.
        writing: it was written to, and not closed since.
        closed: it was closed, or renamed to this name.
        unreadable: it was read and could not be.
    """

    found: File
    stamp: Stamp
    since_s: float
    writing: bool = False
    closed: bool = False
    unreadable: bool = False

    def due_s(self) -> float:
        """Return when the file counts as complete, if it does not change."""
        if self.unreadable:
            return self.since_s + UNREADABLE_S
        if self.writing:
            return self.since_s + OPEN_LIMIT_S
        return self.since_s + (0 if self.closed else SETTLE_S)


def stamp_of(path: str) -> Stamp | None:
    """Return the stamp of a file, of the link if it leads nowhere; None if there is nothing."""
    for look in (os.stat, os.lstat):
        try:
            found = look(path)
        except OSError:
            continue
        return Stamp(found.st_size, found.st_mtime_ns)
    return None


class Arrivals:
    """The images of folders that have no answer yet.

    Args:
        folders: to search, with all folders below.
        answered: returns whether the image with a path and a stamp has an answer.
        now: seconds of a monotonic clock.

    Attributes:
        gone: the number of images that disappeared before they were read.
        next_search_s: when to search the folders again.
        troubles: why a folder can't be searched, by its path.
    """

    def __init__(
        self,
        folders: Sequence[str],
        answered: Callable[[str, Stamp], bool],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders, self._answered, self._now = folders, answered, now
        self._candidates: dict[str, _Candidate] = {}
        # Answered files that are in the folders; a lookup costs less than `answered`.
        self._known: dict[str, Stamp] = {}
        self.gone = 0
        self.next_search_s = now()
        self.troubles: dict[str, str] = {}

    def search_now(self) -> None:
        """Ask for a search before its time."""
        self.next_search_s = self._now()

    def search_is_due(self) -> bool:
        """Return whether to search."""
        return self._now() >= self.next_search_s

    def search(self) -> None:
        """Find new and changed images in the folders."""
        started = self._now()
        self.troubles, seen = {}, set()
        for path in self._folders:
            if not Path(path).is_dir():
                self.troubles[path] = "it is not there"
            for folder in Folder(path).folders_below():
                if folder.trouble:
                    self.troubles[folder.path] = folder.trouble
                for found in folder.images:
                    seen.add(found.path)
                    self._consider(found)
        for path in self._known.keys() - seen:
            del self._known[path]
        ended = self._now()
        self.next_search_s = ended + max(SHORTEST_INTERVAL_S, REST * (ended - started))

    def note(self, path: str, event: Event) -> None:
        """Take an event of the operating system into account, if it is about an image."""
        found = self._image(path)
        if found is None:
            return
        stamp = self._consider(found)
        if stamp is not None and event == "written":
            # An answered image is written again; it is read when that is done.
            del self._known[path]
            self._candidates[path] = _Candidate(found, stamp, self._now())
        candidate = self._candidates.get(path)
        if candidate and event != "found":
            candidate.writing, candidate.closed = event == "written", event == "closed"

    def complete(self, most: int) -> list[Arrival]:
        """Take images that are complete, the first found first.

        Args:
            most: images to take.
        """
        now, taken = self._now(), list[Arrival]()
        for path, candidate in list(self._candidates.items()):
            if len(taken) == most:
                break
            stamp = stamp_of(path)
            if stamp is None:
                del self._candidates[path]
                self.gone += 1
                continue
            if stamp != candidate.stamp:
                candidate.stamp, candidate.since_s, candidate.unreadable = stamp, now, False
            if candidate.due_s() > now:
                continue
            del self._candidates[path]
            if self._answered(path, stamp):
                self._known[path] = stamp
                continue
            found = candidate.found
            file = ImageFile(path, as_text(path), found.name, trouble_of(Path(path)))
            taken.append(Arrival(file, stamp, candidate.since_s))
        return taken

    def take_back(self, arrival: Arrival, *, unreadable: bool) -> bool:
        """Return whether an answer does not count, since its image changed or may be incomplete.

        The image is read again later, unless it is gone. Otherwise it counts as answered.

        Args:
            arrival: that was read.
            unreadable: whether it could not be.
        """
        path, now = arrival.file.path, self._now()
        stamp = stamp_of(path)
        if stamp is None and unreadable:
            self.gone += 1
            return True
        new = unreadable and now - arrival.since_s < UNREADABLE_S
        if stamp in (None, arrival.stamp) and not new:
            self._known[path] = arrival.stamp
            return False
        found = File(path, arrival.file.place, None)
        if path not in self._candidates and stamp is not None:
            changed = stamp != arrival.stamp
            since_s = now if changed else arrival.since_s
            self._candidates[path] = _Candidate(found, stamp, since_s, unreadable=not changed)
        return True

    def wait_s(self) -> float:
        """Return the seconds until an image may be complete or a search is due."""
        moments = [each.due_s() for each in self._candidates.values()]
        return max(0.0, min([self.next_search_s, *moments]) - self._now())

    def _consider(self, found: File) -> Stamp | None:
        """Make a file a candidate; return its stamp if it is answered already."""
        if found.path in self._candidates:
            return None
        stamp = stamp_of(found.path)
        if stamp is None:
            return None
        if self._known.get(found.path) == stamp or self._answered(found.path, stamp):
            self._known[found.path] = stamp
            return stamp
        self._candidates[found.path] = _Candidate(found, stamp, self._now())
        return None

    def _image(self, path: str) -> File | None:
        """Return the image with a path, if a search would find it."""
        for folder in self._folders:
            if Path(path).is_relative_to(folder):
                names = Path(path).relative_to(folder).parts
                found = File(path, as_text("/".join(names)), None)
                return found if found.is_image and not any(map(is_ignored, names)) else None
        return None
