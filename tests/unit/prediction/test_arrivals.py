"""Files become images to read when they are complete: by events, or because nothing changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.prediction.journal.journal import Stamp
from trainer.prediction.watching.arrivals import (
    OPEN_LIMIT_S,
    SETTLE_S,
    UNREADABLE_S,
    Arrivals,
)


class Watched:
    """A folder, a clock that is set by hand, and the images that were taken as complete."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.time = folder, 1000.0
        self.answered: dict[str, Stamp] = {}
        self.arrivals = Arrivals(
            [str(folder)], lambda path, stamp: self.answered.get(path) == stamp, lambda: self.time
        )

    def write(self, name: str, content: bytes = b"content") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        # The clock of a file system is too coarse to tell quick changes apart.
        self.time += 0.001
        os.utime(path, ns=(0, int(self.time * 1e9)))
        return str(path)

    def taken(self, seconds: float = 0.0, *, search: bool = False) -> list[str]:
        """Let time pass; return the places of what is complete then, and count it as answered."""
        self.time += seconds
        if search:
            self.arrivals.search()
        found = self.arrivals.complete(10)
        for each in found:
            assert not self.arrivals.take_back(each, unreadable=False)
            self.answered[each.file.path] = each.stamp
        return [each.file.place for each in found]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_closed_file_is_complete_at_once(watched: Watched) -> None:
    path = watched.write("coil/1.png")
    watched.arrivals.note(path, "found")
    watched.arrivals.note(path, "written")
    assert watched.taken() == []
    watched.arrivals.note(path, "closed")
    assert watched.taken() == ["coil/1.png"]
    assert watched.taken(100, search=True) == []


def test_a_file_that_is_open_is_not_read_while_its_writer_pauses(watched: Watched) -> None:
    path = watched.write("1.png", b"half")
    watched.arrivals.note(path, "written")
    assert watched.taken(OPEN_LIMIT_S - 1, search=True) == []
    watched.write("1.png", b"whole")
    watched.arrivals.note(path, "written")
    assert watched.taken() == []
    assert watched.taken(OPEN_LIMIT_S - 1, search=True) == []
    # A program that never closes it, or whose event was lost.
    assert watched.taken(2) == ["1.png"]


def test_without_events_a_file_is_complete_when_it_has_not_changed(watched: Watched) -> None:
    watched.write("1.png", b"a third")
    assert watched.taken(search=True) == []
    watched.write("1.png", b"two thirds")
    assert watched.taken(0.9 * SETTLE_S, search=True) == []
    assert watched.taken(0.9 * SETTLE_S, search=True) == []
    assert watched.taken(0.2 * SETTLE_S, search=True) == ["1.png"]


def test_a_changed_image_is_answered_again_and_an_opened_one_is_not(watched: Watched) -> None:
    path = watched.write("1.png")
    watched.arrivals.note(path, "closed")
    assert watched.taken() == ["1.png"]
    # Closed without a change.
    watched.arrivals.note(path, "written")
    watched.arrivals.note(path, "closed")
    assert watched.taken(100, search=True) == []
    watched.write("1.png", b"another content")
    assert watched.taken(search=True) == []
    assert watched.taken(SETTLE_S) == ["1.png"]
    # The folder is cleared, and the same name returns with the same file, then with another one.
    stamp = Path(path).stat()
    Path(path).unlink()
    assert watched.taken(search=True) == []
    assert watched.arrivals._known == {}, "a folder that is cleared each day fills no memory"
    Path(path).write_bytes(b"another content")
    os.utime(path, ns=(0, stamp.st_mtime_ns))
    assert watched.taken(search=True) == watched.taken(SETTLE_S) == []
    watched.write("1.png", b"third content")
    assert watched.taken(search=True) == []
    assert watched.taken(SETTLE_S) == ["1.png"]


def test_other_files_are_no_images(watched: Watched) -> None:
    for name in ("1.txt", ".1.png", ".hidden/1.png", "__MACOSX/1.png", "1.png.tmp"):
        watched.arrivals.note(watched.write(name), "closed")
    watched.arrivals.note(str(watched.folder.parent / "elsewhere.png"), "closed")
    assert watched.taken(100, search=True) == []
    assert watched.taken(100) == []


def test_an_answer_does_not_count_if_its_image_changed_meanwhile(watched: Watched) -> None:
    path = watched.write("1.png")
    watched.arrivals.note(path, "closed")
    [arrival] = watched.arrivals.complete(10)
    watched.write("1.png", b"longer content")
    assert watched.arrivals.take_back(arrival, unreadable=False)
    assert watched.taken() == []
    assert watched.taken(SETTLE_S) == ["1.png"]


def test_a_new_file_gets_time_to_become_readable(watched: Watched) -> None:
    path = watched.write("1.png", b"")
    watched.arrivals.note(path, "closed")
    [arrival] = watched.arrivals.complete(10)
    assert arrival.file.trouble == "the file is empty"
    assert watched.arrivals.take_back(arrival, unreadable=True)
    watched.time += UNREADABLE_S / 2
    assert watched.arrivals.complete(10) == []
    watched.time += UNREADABLE_S / 2
    [arrival] = watched.arrivals.complete(10)
    assert not watched.arrivals.take_back(arrival, unreadable=True)


def test_images_that_disappear_are_counted(watched: Watched) -> None:
    for name in ("1.png", "2.png"):
        watched.arrivals.note(watched.write(name), "closed")
    (watched.folder / "1.png").unlink()
    [arrival] = watched.arrivals.complete(10)
    (watched.folder / "2.png").unlink()
    assert watched.arrivals.take_back(arrival, unreadable=True)
    assert watched.arrivals.gone == 2


def test_the_next_moment_is_known(watched: Watched) -> None:
    watched.arrivals.search()
    pause = watched.arrivals.wait_s()
    assert pause > 0
    watched.arrivals.next_search_s += 100
    watched.arrivals.note(watched.write("1.png"), "found")
    assert watched.arrivals.wait_s() == pytest.approx(SETTLE_S)
    watched.arrivals.note(str(watched.folder / "1.png"), "closed")
    assert watched.arrivals.wait_s() == 0
    assert watched.taken() == ["1.png"]
    assert watched.arrivals.wait_s() > 1
    watched.arrivals.search_now()
    assert watched.arrivals.search_is_due()


def test_a_folder_that_is_gone_is_named(watched: Watched, tmp_path: Path) -> None:
    arrivals = Arrivals([str(tmp_path / "gone")], lambda path, stamp: False)
    arrivals.search()
    assert arrivals.troubles == {str(tmp_path / "gone"): "it is not there"}
    (tmp_path / "gone").mkdir()
    arrivals.search()
    assert arrivals.troubles == {}


def test_files_are_taken_in_the_order_in_which_they_were_found(watched: Watched) -> None:
    names = [f"{number}.png" for number in (3, 1, 2)]
    for name in names:
        watched.arrivals.note(watched.write(name), "closed")
    assert [each.file.place for each in watched.arrivals.complete(2)] == names[:2]
    assert watched.taken() == names[2:]
