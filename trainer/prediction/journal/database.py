"""The database of a journal: one SQLite file, changed as a whole or not at all, by one process."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.config.paths import shown
from trainer.errors import UserError

ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
}
FACTS = "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
Value = str | int | bytes | None


class Database:
    """Tables and named facts in one file, for any number of threads of one process.

    Args:
        file: of the database; None keeps it in a temporary file.
        schema: statements that create the tables which are missing.
        facts: values of the facts that are missing.
        in_use: the error if another process has opened the file.

    Raises:
        UserError: `in_use`, or the file is no journal.
    """

    def __init__(
        self, file: Path | None, schema: str, facts: dict[str, str | int], in_use: str
    ) -> None:
        self._file = file or Path()
        self._lock = threading.RLock()
        # SQLite keeps a database without a name in a temporary file.
        self._connection = sqlite3.connect(
            str(file) if file else "", timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(schema, facts)
        except sqlite3.OperationalError as error:
            self._connection.close()
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise self._explained(error) from error
            raise UserError(in_use) from error
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise UserError(
                f"{shown(self._file)} is not a journal of predict.py, or it is damaged. Name "
                "another file with --output."
            ) from error

    def _prepare(self, schema: str, facts: dict[str, str | int]) -> None:
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(FACTS + schema)
        with self.changed():
            for name, value in facts.items():
                self.set_default(name, value)

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def changed(self) -> Iterator[None]:
        """Make the changes in a block together, or none of them; they are on disk after it.

        Raises:
            OSError: the disk is full or not writable.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise self._explained(error) from error
                raise

    def execute(self, statement: str, *values: Value) -> int | None:
        """Change the database, in a block of `changed`; return the number of an inserted row."""
        return self._connection.execute(statement, values).lastrowid

    def execute_all(self, statement: str, values: Sequence[tuple[Value, ...]]) -> None:
        """Repeat a statement with each of the values, in a block of `changed`."""
        self._connection.executemany(statement, values)

    def rows(self, query: str, *values: Value) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds.

        Raises:
            OSError: the disk is full or not readable.
        """
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                raise self._explained(error) from error

    def fact(self, name: str) -> Any:
        """Return the value of a fact."""
        [(value,)] = self.rows("SELECT value FROM facts WHERE name = ?", name)
        return value

    def set(self, name: str, value: str | int) -> None:
        """Set a fact, in a block of `changed`."""
        self.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def set_default(self, name: str, value: str | int) -> None:
        """Set a fact that has no value, in a block of `changed`."""
        self.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", name, value)

    def _explained(self, error: sqlite3.OperationalError) -> OSError:
        """Return an error of the database as one of the disk."""
        # An extended code holds the primary one in its last byte.
        number = ERRORS.get(error.sqlite_errorcode & 0xFF, errno.EIO)
        return OSError(number, str(error), str(self._file))
