"""Rows enter the journal before the table, and leave it when everybody has them."""

from __future__ import annotations

import io
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.prediction.test_rows import BAD, GOOD, LABELS
from trainer.errors import UserError
from trainer.prediction.journal.journal import Journal, Stamp, journal_path
from trainer.prediction.journal.table import WatchedTable
from trainer.prediction.row import Row
from trainer.prediction.row_file import RowFile

STAMP = Stamp(7, 123_456_789_012_345_678)


def rows_of(path: Path | None) -> RowFile:
    return RowFile(path, "csv", LABELS, io.StringIO())


def add(journal: Journal, *rows: Row) -> None:
    lines = [rows_of(None).line(row) for row in rows]
    journal.add([(row.path, STAMP) for row in rows], rows, lines)


def numbered(*numbers: int) -> list[Row]:
    return [Row(f"{number}.png", error='"quoted"\nline') for number in numbers]


def test_an_answer_counts_until_the_image_changes(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.csv", []) as journal:
        add(journal, GOOD)
    with Journal(tmp_path / "out.csv", []) as journal:
        assert journal.answered(GOOD.path, STAMP)
        assert not journal.answered(GOOD.path, Stamp(8, STAMP.changed_ns))
        assert not journal.answered(GOOD.path, Stamp(7, STAMP.changed_ns + 1))
        assert not journal.answered(BAD.path, STAMP)
        journal.add([(GOOD.path, Stamp(8, 9))], [], [])
        assert journal.answered(GOOD.path, Stamp(8, 9))


def test_rows_wait_for_each_channel(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.csv", ["a", "b"]) as journal:
        add(journal, *numbered(1, 2))
        journal.written(99)
        assert [entry.number for entry in journal.to_deliver("a", 10)] == [1, 2]
        journal.received("a", 2)
        journal.delivered("a", 1)
    with Journal(tmp_path / "out.csv", ["a"]) as journal:
        assert journal.table_bytes == 99
        [entry] = journal.to_deliver("a", 10)
        assert (entry.number, entry.received) == (2, True)
        assert entry.fields["path"] == "2.png"
        assert entry.fields["id"] == f"{journal.id}-2"
        assert journal.other_channels() == [("b", 2)]
        add(journal, *numbered(3))
        assert [entry.number for entry in journal.to_deliver("a", 10, after=2)] == [3]
        assert journal.waiting("a") == 2
        for number in (3, 2):
            journal.delivered("a", number)
        assert journal.waiting("a") == 0
    with Journal(tmp_path / "out.csv", ["b"]) as journal:
        # Of channels that are not named, nothing is lost.
        assert [entry.number for entry in journal.to_deliver("b", 10)] == [1, 2]
        for number in (1, 2):
            journal.delivered("b", number)
        journal.written(99)
        assert journal._database.rows("SELECT count(*) FROM rows") == [(0,)]


@settings(max_examples=20)
@given(cut=st.floats(0, 1), first=st.integers(0, 2))
def test_a_table_torn_at_any_byte_is_completed(
    cut: float, first: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    path = folder / "out.csv"
    rows = numbered(1, 2, 3)
    whole = rows_of(None).header() + "".join(map(rows_of(None).line, rows))
    with Journal(path, []) as journal:
        if first:
            with WatchedTable(path, rows_of(path), journal) as table:
                add(journal, *rows[:first])
                table.append()
        size = journal.table_bytes
        # The process ends after this, or while the table is written.
        add(journal, *rows[first:])
    end = size + round(cut * (len(whole.encode()) - size))
    path.write_bytes(whole.encode()[:end])
    with (
        Journal(path, []) as journal,
        WatchedTable(path, rows_of(path), journal),
    ):
        assert path.read_text() == whole
        assert journal.text_to_write() == ""
        assert journal.table_bytes == len(whole.encode())


def test_a_table_that_somebody_changed_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with Journal(path, []) as journal:
        with WatchedTable(path, rows_of(path), journal) as table:
            add(journal, GOOD)
            table.append()
        whole = path.read_bytes()
        for content, words in (
            (whole + b"x.png,note\n", "changed since"),
            (whole[:-1], "changed since"),
            (b"other,columns\n" + whole, "other classes"),
        ):
            path.write_bytes(content)
            with pytest.raises(UserError, match=words):
                WatchedTable(path, rows_of(path), journal)
            assert path.read_bytes() == content
        path.unlink()
        with pytest.raises(UserError, match="changed since"):
            WatchedTable(path, rows_of(path), journal)
        assert not path.exists()


def test_rows_are_on_disk_before_the_journal_forgets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.csv"
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_bytes()))
    with Journal(path, []) as journal, WatchedTable(path, rows_of(path), journal) as table:
        written = journal.written

        def forget(table_bytes: int) -> None:
            assert synced[-1] == path.read_bytes()
            written(table_bytes)

        monkeypatch.setattr(journal, "written", forget)
        add(journal, GOOD)
        table.append()
        assert len(synced[-1]) == journal.table_bytes
        assert journal._database.rows("PRAGMA synchronous") == [(2,)], "each commit is synced, too"


def test_a_row_that_everybody_has_leaves_the_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.csv", ["a"]) as journal:
        add(journal, *numbered(1, 2))
        journal.written(99)
        journal.delivered("a", 1)
        assert journal._database.rows("SELECT number FROM rows") == [(2,)]


def test_an_image_is_the_same_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(None, []) as journal:
        monkeypatch.chdir(tmp_path)
        journal.add([("line/1.png", STAMP)], [], [])
        (tmp_path / "line").mkdir()
        monkeypatch.chdir(tmp_path / "line")
        assert journal.answered("1.png", STAMP)
        assert not journal.answered("line/1.png", STAMP)


def test_images_of_a_finished_list_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with rows_of(path) as finished:
        finished.write([GOOD])
    before = path.read_text()
    with (
        Journal(path, []) as journal,
        WatchedTable(path, rows_of(path), journal) as table,
    ):
        assert journal.answered(GOOD.path, STAMP)
        add(journal, BAD)
        table.append()
    assert path.read_text() == before + rows_of(path).line(BAD)


def test_stdout_gets_rows_once(tmp_path: Path) -> None:
    out = io.StringIO()
    rows = RowFile(None, "csv", LABELS, out)
    with Journal(None, []) as journal, WatchedTable(None, rows, journal) as table:
        for row in (GOOD, BAD):
            add(journal, row)
            table.append()
        assert journal.answered(GOOD.path, STAMP)
    assert out.getvalue() == rows.header() + rows.line(GOOD) + rows.line(BAD)


def test_one_process_writes_a_table(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "out.csv", []),
        pytest.raises(UserError, match=r"Another predict\.py writes"),
    ):
        Journal(tmp_path / "out.csv", [])
    with Journal(tmp_path / "out.csv", []):
        pass


def test_other_files_are_no_journal(tmp_path: Path) -> None:
    journal_path(tmp_path / "out.csv").write_bytes(b"notes" * 1000)
    with pytest.raises(UserError, match="not a journal"):
        Journal(tmp_path / "out.csv", [])


def test_a_full_disk_is_an_error_of_the_disk(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.csv", []) as journal:
        pages = journal._database.rows("PRAGMA page_count")[0][0]
        journal._database.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="full") as error:
            add(journal, *(Row(f"{n}.png", error="x" * 5000) for n in range(9)))
        assert isinstance(error.value.__cause__, sqlite3.OperationalError)
        assert not journal.answered("1.png", STAMP)
