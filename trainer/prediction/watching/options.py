"""The options of --watch, checked before anything is loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trainer.config.paths import folder_problems, shown
from trainer.errors import ConfigError
from trainer.prediction.channels.addresses import BrokerAddress, WebhookAddress
from trainer.prediction.journal.journal import journal_path
from trainer.prediction.options import Format


def channel_problems(
    webhook: str | None, mqtt: str | None, watch: bool, output: Path | None
) -> Iterator[str]:
    """Yield what is wrong with --webhook and --mqtt."""
    for flag, value, read in (
        ("--webhook", webhook, WebhookAddress.read),
        ("--mqtt", mqtt, BrokerAddress.read),
    ):
        if value is None:
            continue
        try:
            read(value)
        except ConfigError as error:
            yield str(error)
        if not watch:
            yield f"{flag} needs --watch."
        elif output is None:
            yield f"{flag} needs --output: rows that wait for it are in a journal beside the table."
    if mqtt is not None and importlib.util.find_spec("paho") is None:
        yield "--mqtt needs the package paho-mqtt: pip install '.[mqtt]'."


def watch_problems(
    paths: Sequence[str],
    output: Path | None,
    kind: Format | None,
    *,
    resume: bool,
    pictures: Mapping[str, Path | None],
    finite: Mapping[str, object],
) -> Iterator[str]:
    """Yield what is wrong with the options of --watch.

    Args:
        paths: operands; they must be folders.
        output: the table.
        kind: its format.
        resume: whether to continue it.
        pictures: folders that are written to, by their options.
        finite: values of options that only a finished list of images can have.
    """
    for path in paths:
        yield from folder_problems("--watch needs folders:", Path(path))
    for flag, value in finite.items():
        if value is not None:
            yield f"{flag} needs a finished list of images: leave it out, or --watch."
    if kind == "parquet":
        yield "A Parquet file can't grow: with --watch, --output ends in .csv or .jsonl."
    watched = [Path(path).resolve() for path in paths]
    for flag, folder in pictures.items():
        if folder and any(folder.resolve().is_relative_to(path) for path in watched):
            yield f"{flag} {shown(folder)} is in a watched folder: its images would be predicted."
    if output and not resume and not output.exists() and journal_path(output).exists():
        yield (
            f"{shown(journal_path(output))} exists without its table. Remove it, or name another "
            "file with --output."
        )
