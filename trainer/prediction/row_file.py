"""Files of rows that grow as images are predicted, and can be continued after a kill."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa
from pyarrow import parquet

from space.inference.text.spreadsheet import from_text_cells, table_lines, whole_records
from trainer.config.paths import shown
from trainer.errors import UserError
from trainer.prediction.options import Format, growing_path
from trainer.prediction.row import Row, columns
from trainer.runtime.files import replaced_whole

ROWS_AT_ONCE = 5000
# Of each row in JSON.
JSON_BEGIN = '{"path": '


class RowFile:
    """A table of answers, one row for each image, written row by row.

    Args:
        path: of the file; None writes to stdout.
        kind: its format.
        labels: the classes of the model.
        stdout: where rows without a path go.
        several: whether the model names several defects of an image.
    """

    def __init__(
        self,
        path: Path | None,
        kind: Format,
        labels: Sequence[str],
        stdout: IO[str],
        *,
        several: bool = False,
    ) -> None:
        self.path, self.kind, self.labels, self.several = path, kind, labels, several
        self._stdout = stdout
        self._file: IO[bytes] | None = None
        self._growing = growing_path(path, kind) if path else None

    def __enter__(self) -> Self:
        if self._growing is None:
            self._write_text(self.header())
            return self
        self._growing.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._growing.open("ab")
        if self._file.tell() == 0:
            self._write_text(self.header())
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def saved_rows(self) -> list[Row]:
        """Return the rows that an interrupted command wrote; a torn last one is cut off.

        Call it before the file is opened, which adds a missing header.

        Raises:
            UserError: the file is none of this command, or of a model with other classes.
        """
        path = self._growing
        if path is None:
            return []
        if self.kind == "parquet" and not path.exists() and self.path and self.path.exists():
            try:
                self._take_apart(self.path, path)
            except (ValueError, TypeError, KeyError) as error:
                raise self._other(self.path) from error
        if not path.exists():
            return []
        content = path.read_bytes()
        try:
            rows, whole = self._rows(content)
        except (ValueError, TypeError, KeyError) as error:
            raise self._other(path) from error
        # Only a file that is ours is changed.
        if whole < len(content):
            os.truncate(path, whole)
        return rows

    def read(self, path: Path) -> list[Row]:
        """Return the complete rows of another table of this format, which is not changed.

        Raises:
            UserError: it can't be read, or holds no rows of this model's classes.
        """
        try:
            return self._rows(path.read_bytes())[0]
        except OSError as error:
            raise UserError(f"{shown(path)} can't be read: {error.strerror}.") from error
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{shown(path)} is no table of predict.py with this model's classes."
            ) from error

    def _rows(self, content: bytes) -> tuple[list[Row], int]:
        """Return the complete rows and the length of their text.

        Raises:
            ValueError, TypeError, KeyError: they are none of this model.
        """
        whole = whole_records(content, quoted=self.kind == "csv")
        begin = (self.header() or JSON_BEGIN).encode()
        if not begin.startswith(content[: len(begin)]):
            raise ValueError("another beginning")
        return list(self._parsed(content[:whole].decode())), whole

    def _take_apart(self, finished: Path, growing: Path) -> None:
        """Turn a final file back into the rows that it was made of.

        Raises:
            ValueError: they are not rows of this model's classes.
        """
        with replaced_whole(growing) as partial, partial.open("w", encoding="utf-8") as lines:
            for batch in parquet.ParquetFile(finished).iter_batches(ROWS_AT_ONCE):
                if batch.schema.names != _schema(self.labels, several=self.several).names:
                    raise ValueError("other columns")
                for fields in batch.to_pylist():
                    shares = {label: fields.pop(f"p({label})") for label in self.labels}
                    fields["probabilities"] = shares if fields["verdict"] else None
                    lines.write(self.line(Row.from_json(fields)))

    @staticmethod
    def _other(path: Path) -> UserError:
        return UserError(
            f"{shown(path)} can't be continued: it does not hold rows of this model's "
            "classes. Name another file with --output, or remove it."
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows and hand them to the operating system."""
        self._write_text("".join(map(self.line, rows)))

    def line(self, row: Row) -> str:
        """Return the text of a row."""
        if self.kind == "csv":
            return table_lines([row.as_cells(self.labels, several=self.several)])
        return json.dumps(row.as_json()) + "\n"

    def finish(self) -> None:
        """Turn the rows into the final file, if its format can't grow."""
        if self.kind == "parquet" and self.path and self._growing:
            if self._file:
                self._file.close()
            _write_parquet(self._growing, self.path, self.labels, several=self.several)
            self._growing.unlink()

    def header(self) -> str:
        """Return the text above the rows."""
        header = columns(self.labels, several=self.several)
        return table_lines([header]) if self.kind == "csv" else ""

    def _write_text(self, text: str) -> None:
        if self._file is None:
            self.print(text)
            return
        self._file.write(text.encode())
        self._file.flush()

    def print(self, text: str) -> None:
        """Write text to stdout.

        Raises:
            UserError: it can't be written.
            BrokenPipeError: nobody reads it any more.
        """
        try:
            self._stdout.write(text)
            self._stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            # Python would try again on exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())
            raise UserError(
                f"The rows can't be written to stdout: {error.strerror}. Name a file with "
                "--output: it can be resumed."
            ) from error

    def _parsed(self, text: str) -> Iterator[Row]:
        if self.kind == "csv":
            records = csv.reader(io.StringIO(text, newline=""))
            next(records, None)  # the header, which is checked
            for record in records:
                cells = from_text_cells(record)
                yield Row.from_cells(cells, self.labels, several=self.several)
            return
        for line in text.splitlines():
            row = Row.from_json(json.loads(line))
            if row.probabilities is not None and [*row.probabilities] != [*self.labels]:
                raise ValueError("other classes")
            yield row


def _schema(labels: Sequence[str], *, several: bool) -> pa.Schema:
    text, number = pa.string(), pa.float64()
    return pa.schema(
        [
            *(("path", text), ("label", text), ("confidence", number), ("verdict", text)),
            *([("defects", pa.list_(text))] if several else []),
            *(("prediction_set", pa.list_(text)), ("novelty", number)),
            *((f"p({label})", number) for label in labels),
            *(("bit_depth", pa.int8()), ("milliseconds", number), ("error", text)),
            ("model", text),
        ]
    )


def _write_parquet(rows: Path, path: Path, labels: Sequence[str], *, several: bool) -> None:
    schema = _schema(labels, several=several)

    def flat(fields: dict[str, Any]) -> dict[str, Any]:
        probabilities = fields.pop("probabilities") or {}
        return fields | {f"p({label})": probabilities.get(label) for label in labels}

    with (
        replaced_whole(path) as partial,
        parquet.ParquetWriter(partial, schema) as writer,
        rows.open(encoding="utf-8") as lines,
    ):
        while batch := [flat(json.loads(line)) for line in islice(lines, ROWS_AT_ONCE)]:
            writer.write_table(pa.Table.from_pylist(batch, schema))
