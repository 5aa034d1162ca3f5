"""Predict a list of images: rows, copies, progress, and a resumed start."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Classifier
from space.inference.engines.names import EngineName
from space.inference.images.decoding import Decoder
from space.inference.predictor import ModelError
from trainer.errors import ConfigError, UserError
from trainer.prediction.coil.output import CoilOutput
from trainer.prediction.image_files import ImageFile
from trainer.prediction.options import check_model
from trainer.prediction.pipeline import Pipeline
from trainer.prediction.row import Row
from trainer.prediction.row_file import RowFile
from trainer.prediction.run.delivery import Delivery, Outcome
from trainer.prediction.run.model import load_predictor
from trainer.prediction.run.progress import Progress
from trainer.prediction.sorted_copies import SortedCopies
from trainer.runtime.files import disk_errors_explained

if TYPE_CHECKING:
    # Imports PyTorch and captum, which takes seconds.
    from trainer.prediction.coil.view import Coil
    from trainer.prediction.heatmaps import Heatmaps

logger = logging.getLogger(__name__)


class Comparison(Protocol):
    """A comparison of the images with a baseline, as they are predicted."""

    def examine(self, name: str, inputs: Pixels) -> None:
        """Take what the network sees of an image; threads may call it in any order."""

    def add(self, rows: Sequence[Row]) -> None:
        """Take answers, in the order of the images."""

    def sentences(self) -> Sequence[str]:
        """Return the result."""


def run(
    model_id: str,
    files: Sequence[ImageFile],
    delivery: Delivery,
    *,
    engine: EngineName,
    batch_size: int,
    resume: bool,
    compare: Callable[[Classifier], Comparison] | None = None,
) -> Outcome:
    """Load a model, predict images in order and deliver each answer as it comes.

    Args:
        model_id: `hf-hub:USER/NAME`, `local-dir:FOLDER`, or an exported file.
        files: the images.
        delivery: where the answers go.
        engine: what runs the network.
        batch_size: images in one forward pass.
        resume: whether to continue the file of an interrupted command.
        compare: returns the comparison of the images with a baseline; None compares nothing.

    Raises:
        UserError: the model or the baseline can't be used, the file to continue holds other rows,
            or the disk failed.
    """
    files_by_name = {file.name: file for file in files}
    with ExitStack() as stack:
        for folder in delivery.folders():
            stack.enter_context(disk_errors_explained(folder, "Then add --resume to continue."))
        try:
            predictor = load_predictor(model_id, engine, delivery.selection)
            if delivery.coil and predictor.facts.multi_label:
                raise ConfigError(
                    f"--merge-overlaps: {model_id} names several defects of an image; the coil "
                    "view knows one. Leave the option out."
                )
            heatmaps = _heatmaps(predictor, delivery, stack)
            comparison = compare(predictor) if compare else None
            outcome = predict_files(
                *(predictor, files, delivery, heatmaps, comparison),
                batch_size=batch_size,
                resume=resume,
            )
            coil = _merged(predictor, files_by_name, outcome, delivery.coil)
        except ModelError as error:
            raise UserError(str(error)) from error
        compared = comparison.sentences() if comparison else ()
        if delivery.report:
            from trainer.prediction import page  # noqa: PLC0415

            source = page.Source(model_id, predictor.bit_depth, predictor.labels)
            pictures = heatmaps.pictures if heatmaps else {}
            page.write(
                *(delivery.report, source, outcome.rows, files_by_name, pictures, coil),
                compared=compared,
            )
    logger.info("%s", "\n".join([outcome.summary(), *compared]))
    return outcome


def _heatmaps(predictor: Classifier, delivery: Delivery, stack: ExitStack) -> Heatmaps | None:
    """Return what writes heatmaps; None if not asked for."""
    if delivery.heatmaps is None:
        return None
    from trainer.prediction.heatmaps import Heatmaps  # noqa: PLC0415

    return Heatmaps(delivery.heatmaps, predictor, stack.enter_context(Decoder(1)))


def _merged(
    predictor: Classifier, files: Mapping[str, ImageFile], outcome: Outcome, to: CoilOutput | None
) -> Coil | None:
    """Merge the overlaps of the predicted images and write the tables; None if not asked for."""
    if to is None:
        return None
    from trainer.prediction.coil.crop import Crop  # noqa: PLC0415
    from trainer.prediction.coil.tables import write_strips  # noqa: PLC0415
    from trainer.prediction.coil.view import defect_labels, merge_overlaps  # noqa: PLC0415

    defects = defect_labels(predictor)
    crops = [
        Crop(
            path=files[row.path].path,
            name=row.path,
            outcome=row.outcome,
            defect=row.label if row.verdict == "class" and row.label in defects else None,
        )
        for row in outcome.rows
        if row.error is None
    ]
    coil = merge_overlaps(predictor, crops, to.cache_dir)
    if to.strips:
        write_strips(coil, to.strips)
    return coil


def predict_files(
    predictor: Classifier,
    files: Sequence[ImageFile],
    delivery: Delivery,
    heatmaps: Heatmaps | None = None,
    comparison: Comparison | None = None,
    *,
    batch_size: int,
    resume: bool,
) -> Outcome:
    """Predict images with a loaded model; see `run`."""
    outcome = Outcome()
    pictures: list[SortedCopies | Heatmaps] = [heatmaps] if heatmaps else []
    if delivery.copy_to:
        pictures.append(SortedCopies(delivery.copy_to, predictor.labels, link=delivery.link))
    several = predictor.facts.multi_label
    table = RowFile(delivery.output, delivery.kind, predictor.labels, sys.stdout, several=several)
    saved = table.saved_rows() if resume else []
    names = [file.name for file in files]
    done = delivery.selection.done([row.path for row in saved], names, delivery.output)
    # Batches begin where they would have begun: their composition shows in the last digits.
    first = done if done == len(files) else done // batch_size * batch_size

    def deliver(file: ImageFile, row: Row, *, resumed: bool) -> None:
        outcome.add(row, collect=delivery.collects)
        for each in pictures:
            each.add(file, row, resumed=resumed)

    with (
        Pipeline(predictor, comparison.examine if comparison else None) as pipeline,
        table,
        Progress(len(files), first) as progress,
    ):
        check_model({row.model for row in saved}, pipeline.model, delivery.output)
        if comparison:
            comparison.add(saved)
        if done == len(files):
            logger.info("%s is finished: each image has its row.", delivery.output)
        by_name = {file.name: file for file in files[:done]}
        for row in saved:
            deliver(by_name[row.path], row, resumed=True)
        at = first
        for batch in pipeline.batches(files[first:], batch_size):
            answered = list(zip(files[at : at + len(batch)], batch, strict=True))
            new = [
                each for each in answered[max(0, done - at) :] if delivery.selection.takes(each[1])
            ]
            if comparison:
                comparison.add(batch[max(0, done - at) :])
            at += len(batch)
            for file, row in new:
                deliver(file, row, resumed=False)
            table.write([row for _, row in new])
            progress.advance(len(batch))
        table.finish()
    return outcome
