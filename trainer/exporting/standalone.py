"""The command of `predict.pyz`: exported file and images in, CSV rows out, without PyTorch."""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from space.inference.core.errors import ModelError
from space.inference.engines.names import PRECISIONS
from space.inference.exported.model_file import ExportedClassifier
from space.inference.text.spreadsheet import from_text_cells, table_lines, whole_records
from trainer import __version__
from trainer.data.folders.entries import File, Folder
from trainer.errors import ConfigError, UserError
from trainer.prediction.options import check_model, read_condition
from trainer.prediction.pipeline import Pipeline
from trainer.prediction.row import columns, outcomes_in_words
from trainer.text.names import as_text

EXIT_ERROR = 2


def main(arguments: Sequence[str]) -> int:
    """Predict the images and write their rows; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        _answer(given)
    except FileExistsError:
        return _failed(
            f"{given.output} exists. Add --resume to continue it, or name another file with "
            "--output."
        )
    except BrokenPipeError:
        # The reader closed the pipe; without this, Python prints an error on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except OSError as error:
        return _failed(f"{error.filename or given.output or 'stdout'}: {error.strerror}.")
    except (ModelError, UserError) as error:
        return _failed(str(error))
    return 0


def _answer(given: argparse.Namespace) -> None:
    """Predict the images and write their rows.

    Raises:
        FileExistsError: the table exists, and is not to be continued.
        OSError: the table can't be written.
        ModelError: the model can't be used.
        UserError: there are no images, an option is wrong, or the table can't be continued.
    """
    selection = read_condition(given.where)
    if given.resume and given.output is None:
        raise ConfigError("--resume continues a table: name it with --output.")
    files = list(list_files(given.images))
    if not files:
        raise UserError("There are no images to predict: no file has the suffix of an image.")
    classifier = ExportedClassifier(given.model, given.precision)
    selection.check_labels(classifier.labels)
    print(f"{given.model} by {classifier.engine.name}", file=sys.stderr)  # noqa: T201
    labels, several = classifier.labels, classifier.facts.multi_label
    header = columns(labels, several=several)
    done, out = 0, sys.stdout
    verdicts: Counter[str] = Counter()
    with ExitStack() as stack:
        pipeline = stack.enter_context(Pipeline(classifier))
        if given.resume and given.output.exists():
            saved = _saved_rows(given.output, header)
            check_model({row["model"] for row in saved}, pipeline.model, given.output)
            paths, names = [row["path"] for row in saved], [file.name for file in files]
            done = selection.done(paths, names, given.output)
            out = stack.enter_context(given.output.open("a", encoding="utf-8", newline=""))
        elif given.output is not None:
            # A table that exists may be the answers of another day.
            out = stack.enter_context(given.output.open("x", encoding="utf-8", newline=""))
        if out is sys.stdout or out.tell() == 0:
            out.write(table_lines([header]))
        # Batches begin where they would have begun: their composition shows in the last digits.
        at = done if done == len(files) else done // given.batch_size * given.batch_size
        for rows in pipeline.batches(files[at:], given.batch_size):
            new = rows[max(0, done - at) :]
            at += len(rows)
            taken = filter(selection.takes, new)
            out.write(table_lines(row.as_cells(labels, several=several) for row in taken))
            out.flush()
            verdicts.update(row.outcome for row in new)
            _report(at, len(files), verdicts)


def _report(done: int, files: int, verdicts: Counter[str]) -> None:
    """Show on stderr how far the command is, in a terminal, and at the end what was answered."""
    if done == files:
        print(f"Answered: {outcomes_in_words(verdicts)}.", file=sys.stderr)  # noqa: T201
    elif sys.stderr.isatty():
        print(f"{done:,} of {files:,} images", end="\r", file=sys.stderr, flush=True)  # noqa: T201


def _saved_rows(table: Path, header: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of an interrupted command; a torn last one is cut off.

    Raises:
        UserError: the file holds other columns.
    """
    content = table.read_bytes()
    whole = whole_records(content)
    first = table_lines([header]).encode()
    if not first.startswith(content[: len(first)]):
        raise UserError(
            f"{table} can't be continued: it does not hold rows of this model's classes. Name "
            "another file with --output, or remove it."
        )
    try:
        records = csv.reader(io.StringIO(content[:whole].decode(), newline=""))
        rows = [
            dict(zip(header, from_text_cells(record), strict=True)) for record in list(records)[1:]
        ]
    except ValueError as error:
        raise UserError(f"{table} can't be continued: it is damaged. Remove it.") from error
    # Only a file that is ours is changed.
    os.truncate(table, whole)
    return rows


def list_files(paths: Sequence[str]) -> Iterator[File]:
    """Yield the images that the paths name, in their order; folders are searched by name."""
    for path in paths:
        if Path(path).is_dir():
            yield from (
                File(each.path, as_text(each.path), each.trouble)
                for each in Folder(path).images_below()
            )
        else:
            missing = None if os.path.lexists(path) else "the file does not exist"
            yield File(path, as_text(path), missing)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="predict.pyz",
        description="Predict images with an exported model, without PyTorch. Rows are CSV.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="files and folders")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FILE", help="model.onnx, or .xml with .bin"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="new CSV; default: stdout")
    parser.add_argument(
        "--resume", action="store_true", help="continue the table of an interrupted command"
    )
    parser.add_argument(
        "--where", metavar="CONDITION", help="write only these rows, as in verdict=unsure,unknown"
    )
    parser.add_argument("--batch-size", type=_positive, default=16, metavar="N")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="of OpenVINO, instead of the file's own"
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)


def _failed(message: str) -> int:
    print(f"Error: {message}", file=sys.stderr)  # noqa: T201 – not a log: the user's answer
    return EXIT_ERROR


def command() -> None:
    """Run as a program."""
    sys.exit(main(sys.argv[1:]))
