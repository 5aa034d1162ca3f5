"""A journal on disk beside the table: what is answered, and what is still to be delivered.

An answer enters the journal before the table, and leaves it when the table and every channel have
it. So a kill at any moment, or a power failure, loses no row and writes none twice.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from trainer.config.paths import shown
from trainer.prediction.journal.database import Database
from trainer.prediction.row import Row

SUFFIX = ".journal"
SCHEMA = """
CREATE TABLE IF NOT EXISTS answered (
    path BLOB PRIMARY KEY, size INTEGER, changed_ns INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT, fields TEXT);
CREATE TABLE IF NOT EXISTS deliveries (
    channel TEXT, number INTEGER, received INTEGER DEFAULT 0, PRIMARY KEY (channel, number)
    ) WITHOUT ROWID;
"""
# The table is a channel, too: its deliveries are rows that it may not have.
TABLE = "table"


class Stamp(NamedTuple):
    """What changes when a file does: its size in bytes, and the time of its last change."""

    size: int
    changed_ns: int


@dataclass(frozen=True)
class Entry:
    """A row that waits for its delivery.

    Attributes:
        number: of the row, from 1 on, without gaps.
        fields: of the row, as JSON has them, and `id`, which no other row has.
        received: whether the receiver has confirmed it, but not the end of the exchange.
    """

    number: int
    fields: dict[str, Any]
    received: bool


def journal_path(table: Path) -> Path:
    """Return the file of the journal beside a table."""
    return table.with_name(table.name + SUFFIX)


class Journal:
    """What is answered and what is to be delivered, for any number of threads; a context.

    Args:
        table: file of the rows; None keeps the journal in a temporary file.
        channels: that get each row, besides the table.

    Attributes:
        id: of this journal; no other one has it.
        more: is set when rows were added.

    Raises:
        UserError: another process uses the journal, or the file is none.
    """

    def __init__(self, table: Path | None, channels: Sequence[str]) -> None:
        self._channels = channels
        self.more = threading.Condition()
        self._database = Database(
            journal_path(table) if table else None,
            SCHEMA,
            {"id": uuid.uuid4().hex, "table_bytes": 0},
            in_use=f"Another predict.py writes {shown(table or Path())}. Stop it, or name another "
            "file with --output.",
        )
        self.id: str = self._database.fact("id")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def used_by(self, model: str) -> str | None:
        """Record the model of the next rows; return the one before, if it was another.

        Args:
            model: its fingerprint.
        """
        with self._database.changed():
            self._database.set_default("model", model)
            former = str(self._database.fact("model"))
            self._database.set("model", model)
        return None if former == model else former

    @property
    def table_bytes(self) -> int:
        """The length of the table up to which its rows are known to be on disk."""
        return int(self._database.fact("table_bytes"))

    def answered(self, path: str, stamp: Stamp) -> bool:
        """Return whether an image has an answer; if it has changed since, it has none."""
        found = self._database.rows(
            "SELECT size, changed_ns FROM answered WHERE path = ?", _key(path)
        )
        return bool(found) and found[0] in ((None, None), tuple(stamp))

    def adopt(self, rows: Sequence[Row], table_bytes: int) -> None:
        """Count the images of a table that was written without a journal as answered."""
        with self._database.changed():
            for row in rows:
                self._database.execute(
                    "INSERT OR IGNORE INTO answered VALUES (?, NULL, NULL)", _key(row.path)
                )
            self._database.set("table_bytes", table_bytes)

    def add(
        self, answered: Sequence[tuple[str, Stamp]], rows: Sequence[Row], lines: Sequence[str]
    ) -> None:
        """Store answers; they are on disk when this returns.

        Args:
            answered: path and stamp of each image.
            rows: of those images whose rows are written.
            lines: these rows as text of the table.
        """
        with self._database.changed():
            self._database.execute_all(
                "INSERT OR REPLACE INTO answered VALUES (?, ?, ?)",
                [(_key(path), *stamp) for path, stamp in answered],
            )
            for row, line in zip(rows, lines, strict=True):
                number = self._database.execute(
                    "INSERT INTO rows (line, fields) VALUES (?, ?)",
                    *(line, json.dumps(row.as_json())),
                )
                self._database.execute_all(
                    "INSERT INTO deliveries (channel, number) VALUES (?, ?)",
                    [(channel, number) for channel in (TABLE, *self._channels)],
                )
        with self.more:
            self.more.notify_all()

    def text_to_write(self) -> str:
        """Return the rows that the table may not have, as its text."""
        lines = self._database.rows(
            "SELECT line FROM rows JOIN deliveries USING (number) WHERE channel = ? "
            "ORDER BY number",
            TABLE,
        )
        return "".join(line for (line,) in lines)

    def written(self, table_bytes: int) -> None:
        """Record that the table has all rows.

        Args:
            table_bytes: its length.
        """
        with self._database.changed():
            self._database.execute("DELETE FROM deliveries WHERE channel = ?", TABLE)
            self._database.set("table_bytes", table_bytes)
            self._forget_delivered()

    def to_deliver(self, channel: str, most: int, after: int = 0) -> list[Entry]:
        """Return rows that a channel has not delivered, in order.

        Args:
            channel: one of them.
            most: rows to return.
            after: the number of a row that is not asked for, nor those before it.
        """
        found = self._database.rows(
            "SELECT number, fields, received FROM rows JOIN deliveries USING (number) "
            "WHERE channel = ? AND number > ? ORDER BY number LIMIT ?",
            *(channel, after, most),
        )
        return [
            Entry(number, json.loads(fields) | {"id": f"{self.id}-{number}"}, bool(received))
            for number, fields, received in found
        ]

    def waiting(self, channel: str) -> int:
        """Return the number of rows that a channel has not delivered."""
        [(count,)] = self._database.rows(
            "SELECT count(*) FROM deliveries WHERE channel = ?", channel
        )
        return int(count)

    def other_channels(self) -> list[tuple[str, int]]:
        """Return the channels of former commands that still have rows to deliver."""
        found = self._database.rows("SELECT channel, count(*) FROM deliveries GROUP BY channel")
        return [(name, count) for name, count in found if name not in (TABLE, *self._channels)]

    def received(self, channel: str, number: int) -> None:
        """Record that the receiver has a row, before it is asked to pass it on."""
        with self._database.changed():
            self._database.execute(
                "UPDATE deliveries SET received = 1 WHERE channel = ? AND number = ?",
                *(channel, number),
            )

    def none_received(self, channel: str) -> None:
        """Record that the receiver has forgotten which rows it has."""
        with self._database.changed():
            self._database.execute(
                "UPDATE deliveries SET received = 0 WHERE channel = ? AND received", channel
            )

    def delivered(self, channel: str, number: int) -> None:
        """Record that a channel has delivered a row."""
        with self._database.changed():
            self._database.execute(
                "DELETE FROM deliveries WHERE channel = ? AND number = ?", *(channel, number)
            )
            self._forget_delivered()

    def _forget_delivered(self) -> None:
        self._database.execute(
            "DELETE FROM rows WHERE number < (SELECT ifnull(min(number), 1 << 62) FROM deliveries)"
        )


def _key(path: str) -> bytes:
    """Return the name of an image in the journal, which no working directory changes."""
    return os.fsencode(Path(path).absolute())
