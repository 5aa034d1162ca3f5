"""Predict many images: processes decode and scale them, the network runs on batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from space.inference.core.arrays import Pixels
from space.inference.core.classifier import Classifier
from space.inference.core.fingerprint import fingerprint
from space.inference.images.decoding import Decoder, ImageProperties
from space.inference.images.reader import ImageError
from trainer.prediction.row import Row
from trainer.runtime.system import core_count

if TYPE_CHECKING:
    # Its libraries are not there where exported files run without PyTorch.
    from trainer.data.folders.entries import File
    from trainer.prediction.image_files import ImageFile

# Batches that are prepared while the network runs on others; they bound the memory.
BATCHES_AHEAD = 2
BITS = 8
# Times to read a file that changes meanwhile.
ATTEMPTS = 3


@dataclass(frozen=True)
class _Prepared:
    """An image that is ready for the network, or why it is not."""

    file: ImageFile | File
    inputs: Pixels | None
    bit_depth: int
    seconds: float
    error: str | None = None


class Pipeline:
    """Processes that decode and threads that prepare, for any number of lists; a context.

    Args:
        predictor: the model.
        examine: gets the name of each image and what the network sees of it, from any thread.

    Attributes:
        model: fingerprint of its files.
    """

    def __init__(
        self, predictor: Classifier, examine: Callable[[str, Pixels], None] | None = None
    ) -> None:
        self._predictor, self._examine = predictor, examine
        self.model = model_fingerprint(predictor)
        workers = core_count()
        self._decoder = Decoder(workers)
        self._pool = ThreadPoolExecutor(workers)
        # Beside the thread that takes the rows: the network never waits for it.
        self._network = ThreadPoolExecutor(predictor.engine.batches_at_once)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # After an error or a signal, nothing more is decoded.
        for each in (self._network, self._pool):
            each.shutdown(wait=False, cancel_futures=True)
        self._decoder.close()

    def batches(self, files: Iterable[ImageFile | File], batch_size: int) -> Iterator[list[Row]]:
        """Yield the rows of the images, a batch at a time, in order.

        Raises:
            ModelError: the network computes non-finite outputs.
        """
        upcoming, running = iter(files), deque[Future[list[Row]]]()
        most = self._predictor.engine.batches_at_once + BATCHES_AHEAD
        while True:
            while len(running) < most and (batch := list(islice(upcoming, batch_size))):
                prepared = [self._pool.submit(self._prepare, file) for file in batch]
                running.append(self._network.submit(self._answer, prepared))
            if not running:
                return
            yield running.popleft().result()

    def _answer(self, prepared: Sequence[Future[_Prepared]]) -> list[Row]:
        return _predict(self._predictor, [each.result() for each in prepared], self.model)

    def _prepare(self, file: ImageFile | File) -> _Prepared:
        prepared = _prepare(self._predictor, self._decoder, file)
        if self._examine and prepared.inputs is not None:
            self._examine(file.name, prepared.inputs)
        return prepared


def model_fingerprint(predictor: Classifier) -> str:
    """Return the fingerprint of the files that decide what a model answers."""
    return fingerprint(predictor.files)


def _prepare(predictor: Classifier, decoder: Decoder, file: ImageFile | File) -> _Prepared:
    started = time.perf_counter()
    try:
        if file.trouble:
            raise ImageError(f"It can't be read: {file.trouble}.")
        inputs, facts = _read(predictor, decoder, file.path)
    except ImageError as error:
        return _Prepared(file, None, 0, time.perf_counter() - started, str(error))
    return _Prepared(file, inputs, facts.bit_depth or BITS, time.perf_counter() - started)


def _read(predictor: Classifier, decoder: Decoder, path: str) -> tuple[Pixels, ImageProperties]:
    """Return what the network sees of a file that did not change while it was read.

    Raises:
        ImageError: it can't be read, or changes all the time.
    """
    for _ in range(ATTEMPTS):
        before = _state(path)
        try:
            found = decoder.prepare(
                path, predictor.bit_depth, predictor.facts.preprocessing, tile=predictor.tile
            )
        except ImageError:
            if _state(path) == before:
                raise
            continue
        if _state(path) == before:
            return found
    raise ImageError("It changes while it is read. Predict it when it is complete.")


def _state(path: str) -> tuple[int, int] | None:
    """Return what changes when a file does; None if it can't be seen."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _predict(predictor: Classifier, batch: list[_Prepared], model: str) -> list[Row]:
    started = time.perf_counter()
    inputs = [each.inputs for each in batch if each.inputs is not None]
    predictions = iter(predictor.predict_from(predictor.observe_prepared(inputs)) if inputs else [])
    share = (time.perf_counter() - started) / max(1, len(inputs))
    return [
        Row(
            each.file.name,
            error=each.error,
            milliseconds=round(1000 * each.seconds, 2),
            model=model,
        )
        if each.inputs is None
        else Row.measured(
            each.file.name, next(predictions), each.bit_depth, 1000 * (each.seconds + share), model
        )
        for each in batch
    ]
