"""The table of a watched folder: it grows with the journal, and is completed from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Self

from trainer.config.paths import shown
from trainer.errors import UserError
from trainer.prediction.journal.journal import Journal, journal_path
from trainer.prediction.row_file import RowFile


class WatchedTable:
    """A table whose rows the journal has first; a context.

    Args:
        path: of the table; None writes to stdout.
        rows: how its rows are written.
        journal: of the table.

    Raises:
        UserError: the table to continue is not the one that the journal describes.
    """

    def __init__(self, path: Path | None, rows: RowFile, journal: Journal) -> None:
        self._path, self._rows, self._journal = path, rows, journal
        self._file: IO[bytes] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._complete(path)

    def __enter__(self) -> Self:
        if self._path is not None:
            self._file = self._path.open("ab")
            if self._file.tell() == 0:
                self._file.write(self._rows.header().encode())
        else:
            self._rows.print(self._rows.header())
        self.append()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def append(self) -> None:
        """Write the rows of the journal that the table does not have; then they are on disk."""
        text = self._journal.text_to_write()
        if self._file is None:
            self._rows.print(text)
            self._journal.written(0)
            return
        self._file.write(text.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._journal.written(self._file.tell())

    def _complete(self, path: Path) -> None:
        """Cut off what a kill or a power failure left of rows that the journal has."""
        size, known = path.stat().st_size if path.exists() else 0, self._journal.table_bytes
        if known == 0 and not self._journal.text_to_write():
            self._journal.adopt(self._rows.saved_rows(), path.stat().st_size if size else 0)
            return
        header, rest = self._rows.header().encode(), self._journal.text_to_write().encode()
        content = b""
        if size >= known:
            with path.open("ab+") as file:
                file.seek(0)
                content = file.read(len(header))
                file.seek(known)
                tail = file.read(len(header) + len(rest) + 1)
        if not header.startswith(content):
            raise UserError(
                f"{shown(path)} can't be continued: its model had other classes. Name another "
                "file with --output."
            )
        if size < known or not (rest if known else header + rest).startswith(tail):
            raise UserError(
                f"{shown(path)} can't be continued: it was changed since predict.py wrote it. "
                f"Name another file with --output, or remove {shown(journal_path(path))} to "
                "continue with the rows that the table has."
            )
        os.truncate(path, known)
