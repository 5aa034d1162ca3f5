"""Watch folders: each complete image becomes a row of the table, and of each channel."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_card.formatting import counted
from space.inference.core.classifier import Classifier
from space.inference.engines.names import EngineName
from space.inference.images.decoding import Decoder
from space.inference.predictor import ModelError
from trainer.errors import UserError
from trainer.prediction.channels.addresses import BrokerAddress, WebhookAddress
from trainer.prediction.channels.channel import Channel
from trainer.prediction.channels.webhook import Webhook
from trainer.prediction.journal.journal import Journal
from trainer.prediction.journal.table import WatchedTable
from trainer.prediction.pipeline import Pipeline
from trainer.prediction.row import Row
from trainer.prediction.row_file import RowFile
from trainer.prediction.run.delivery import Delivery, Outcome
from trainer.prediction.run.model import load_predictor
from trainer.prediction.sorted_copies import SortedCopies
from trainer.prediction.watching.arrivals import Arrival, Arrivals
from trainer.prediction.watching.events import FolderEvents
from trainer.runtime.files import disk_errors_explained
from trainer.runtime.interruption import stop_signals_noted

if TYPE_CHECKING:
    # Imports PyTorch and captum, which takes seconds.
    from trainer.prediction.heatmaps import Heatmaps

logger = logging.getLogger(__name__)

ADVICE = "Then start the command again with --resume."
# How long the channels may take for their last rows; the others wait in the journal.
LAST_ROWS_S = 5.0
# Batches between two looks at events and signals: the second is decoded during the first.
AT_ONCE = 4


def channels_of(webhook: str | None, mqtt: str | None) -> list[Channel]:
    """Return the receivers that options name.

    Raises:
        ConfigError: an address is none.
    """
    channels: list[Channel] = []
    if webhook:
        channels.append(Webhook(WebhookAddress.read(webhook)))
    if mqtt:
        # Its library is an extra.
        from trainer.prediction.channels.broker import Broker  # noqa: PLC0415

        channels.append(Broker(BrokerAddress.read(mqtt)))
    return channels


@dataclass
class _Folders:
    """Reports folders that can't be searched: once, and again when they can.

    Attributes:
        troubles: that were reported.
    """

    troubles: dict[str, str] = field(default_factory=dict)

    def report(self, troubles: dict[str, str]) -> None:
        """Report what is new."""
        for path in troubles.keys() - self.troubles.keys():
            logger.warning("The folder %s is left out: %s.", path, troubles[path])
        for path in self.troubles.keys() - troubles.keys():
            logger.warning("The folder %s can be read again.", path)
        self.troubles = troubles


def watch(
    model_id: str,
    folders: Sequence[str],
    delivery: Delivery,
    channels: Sequence[Channel],
    *,
    engine: EngineName,
    batch_size: int,
) -> Outcome:
    """Load a model and predict images as they appear, until a stop signal arrives.

    Args:
        model_id: `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        folders: that are watched, with all folders below.
        delivery: where the answers go; a table with its journal is continued.
        channels: that get each row, besides the table.
        engine: what runs the network.
        batch_size: images in one forward pass, at most.

    Raises:
        UserError: the model or the table can't be used, or the disk failed.
    """
    with ExitStack() as stack:
        for folder in delivery.folders():
            stack.enter_context(disk_errors_explained(folder, ADVICE))
        try:
            predictor = load_predictor(model_id, engine, delivery.selection)
            return _watch(predictor, folders, delivery, channels, batch_size, stack)
        except ModelError as error:
            raise UserError(str(error)) from error


def _watch(
    predictor: Classifier,
    folders: Sequence[str],
    delivery: Delivery,
    channels: Sequence[Channel],
    batch_size: int,
    stack: ExitStack,
) -> Outcome:
    """Watch with a loaded model."""
    if delivery.output:
        delivery.output.parent.mkdir(parents=True, exist_ok=True)
    journal = stack.enter_context(Journal(delivery.output, [each.name for each in channels]))
    several = predictor.facts.multi_label
    rows = RowFile(delivery.output, delivery.kind, predictor.labels, sys.stdout, several=several)
    table = stack.enter_context(WatchedTable(delivery.output, rows, journal))
    pictures = _pictures(predictor, delivery, stack)
    pipeline = stack.enter_context(Pipeline(predictor))
    if former := journal.used_by(pipeline.model):
        logger.warning(
            "The table continues with another model: %s after %s, as its last column says.",
            pipeline.model,
            former,
        )
    events = stack.enter_context(FolderEvents(folders))
    stop = stack.enter_context(stop_signals_noted(events.wake))
    arrivals = Arrivals(folders, journal.answered)
    answers = _Answers(arrivals, delivery, journal, table, rows, pictures)
    errors: list[BaseException] = []

    def failed(error: BaseException) -> None:
        errors.append(error)
        events.wake()

    for name, count in journal.other_channels():
        logger.warning(
            "%s for the former %s: add --%s again to deliver them.", _waiting(count), name, name
        )
    for channel in channels:
        channel.start(journal, failed)
        stack.callback(channel.stop)
    logger.info("Watching %s; stop with Ctrl-C or SIGTERM.", ", ".join(folders))
    state = _Folders()
    while not stop.is_set() and not errors:
        for notice in events.wait(arrivals.wait_s()):
            if notice is None:
                arrivals.search_now()
            else:
                arrivals.note(*notice)
        if arrivals.search_is_due():
            arrivals.search()
            state.report(arrivals.troubles)
        _answer(pipeline, arrivals.complete(AT_ONCE * batch_size), answers, batch_size)
    if errors:
        raise errors[0]
    _finish(channels, journal, arrivals, answers.outcome)
    return answers.outcome


def _pictures(
    predictor: Classifier, delivery: Delivery, stack: ExitStack
) -> list[SortedCopies | Heatmaps]:
    """Return what adds a picture of each answer to a folder: heatmaps, sorted copies."""
    pictures: list[SortedCopies | Heatmaps] = []
    if delivery.heatmaps:
        from trainer.prediction.heatmaps import Heatmaps  # noqa: PLC0415

        decoder = stack.enter_context(Decoder(1))
        pictures.append(Heatmaps(delivery.heatmaps, predictor, decoder, growing=True))
    if delivery.copy_to:
        labels = predictor.labels
        copies = SortedCopies(delivery.copy_to, labels, link=delivery.link, growing=True)
        pictures.append(copies)
    return pictures


def _answer(
    pipeline: Pipeline, arrived: Sequence[Arrival], answers: _Answers, batch_size: int
) -> None:
    """Predict images and deliver their answers."""
    at = 0
    for batch in pipeline.batches([each.file for each in arrived], batch_size):
        answers.deliver(list(zip(arrived[at : at + len(batch)], batch, strict=True)))
        at += len(batch)


@dataclass
class _Answers:
    """Takes the answers of images to the journal, the table and the folders of pictures."""

    arrivals: Arrivals
    delivery: Delivery
    journal: Journal
    table: WatchedTable
    rows: RowFile
    pictures: Sequence[SortedCopies | Heatmaps]
    outcome: Outcome = field(default_factory=Outcome)

    def deliver(self, answered: Sequence[tuple[Arrival, Row]]) -> None:
        """Deliver answers whose images have not changed since they were read."""
        final = [
            (arrival, row)
            for arrival, row in answered
            if not self.arrivals.take_back(arrival, unreadable=row.error is not None)
        ]
        if not final:
            return
        taken = [each for each in final if self.delivery.selection.takes(each[1])]
        # Pictures first: after a kill, an image without an answer is predicted again, and a
        # picture that is there already is not made twice.
        for arrival, row in taken:
            for each in self.pictures:
                each.add(arrival.file, row)
        self.journal.add(
            [(arrival.file.path, arrival.stamp) for arrival, _ in final],
            [row for _, row in taken],
            [self.rows.line(row) for _, row in taken],
        )
        self.table.append()
        for _, row in taken:
            self.outcome.add(row, collect=False)


def _finish(
    channels: Sequence[Channel], journal: Journal, arrivals: Arrivals, outcome: Outcome
) -> None:
    """Give the channels time for their last rows, and report what was done."""
    waiting = threading.Event()
    for _ in range(int(LAST_ROWS_S / 0.1)):
        busy = [each for each in channels if journal.waiting(each.name)]
        if all(each.outage.lasts for each in busy):
            break
        waiting.wait(0.1)
    logger.info("Stopped. %s", outcome.summary())
    if arrivals.gone:
        logger.warning("%s disappeared before it could be read.", counted(arrivals.gone, "image"))
    for channel in channels:
        if count := journal.waiting(channel.name):
            logger.warning(
                "%s for the %s in the journal; --resume delivers them.",
                _waiting(count),
                channel.name,
            )


def _waiting(rows: int) -> str:
    return f"{counted(rows, 'row')} {'waits' if rows == 1 else 'wait'}"
