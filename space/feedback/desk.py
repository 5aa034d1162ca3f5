"""Takes corrections: predicts the image again, and stores the answer beside what a person says."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from PIL import Image

from .hub import HubSender
from .quota import Quota, QuotaError, Visitor
from .record import Answer, Correction, Kind, Model
from .store import Store

if TYPE_CHECKING or __package__ == "space.feedback":
    from space.inference.core.fingerprint import fingerprint
    from space.inference.core.model_id import split_model_id
    from space.inference.predictor import Predictor
    from space.server.configuration import FeedbackSettings, StartError
else:
    from inference.core.fingerprint import fingerprint
    from inference.core.model_id import split_model_id
    from inference.predictor import Predictor
    from server.configuration import FeedbackSettings, StartError

COMMIT = re.compile(r"[0-9a-f]{40}")


class UnknownClassError(ValueError):
    """A correction names a class that the model does not have."""


@dataclass(frozen=True)
class Statement:
    """What a person says about an image; see `Correction`."""

    kind: Kind
    label: str | None
    note: str | None


class CorrectionDesk:
    """Takes the corrections of one server.

    Args:
        predictor: the model.
        model_id: its source: `hf-hub:user/name` or `local-dir:path`.
        store: of the corrections.
        to_png: returns a file as PNG of the same samples, without metadata, or raises ImageError.
        sender: to the Hub, if they go there.
    """

    def __init__(
        self,
        predictor: Predictor,
        model_id: str,
        store: Store,
        to_png: Callable[[Path], bytes],
        sender: HubSender | None = None,
    ) -> None:
        self.labels = list(predictor.labels)
        self.store = store
        self.quota = Quota(store.most_bytes)
        self.sender = sender
        self._predictor = predictor
        self._to_png = to_png
        self._model = _described(predictor, model_id)

    @classmethod
    def open(
        cls,
        settings: FeedbackSettings,
        predictor: Predictor,
        model_id: str,
        to_png: Callable[[Path], bytes],
    ) -> Self:
        """Open the folder, and the dataset if there is one.

        Raises:
            StartError: one of them can't be used.
        """
        sender = HubSender(settings.dataset, settings.folder) if settings.dataset else None
        lock = sender.scheduler.lock if sender else threading.Lock()
        try:
            store = Store(settings.folder, settings.most_bytes, lock)
        except OSError as error:
            raise StartError(
                f"FEEDBACK_DIR: {settings.folder} can't be written: {error.strerror}."
            ) from error
        return cls(predictor, model_id, store, to_png, sender)

    def take(self, path: Path, image: Image.Image, said: Statement, visitor: Visitor) -> Correction:
        """Store a correction; when this returns, it is on the disk.

        Args:
            path: of the uploaded file.
            image: the same file, decoded.
            said: by the visitor.
            visitor: who sends it.

        Raises:
            UnknownClassError: the model has no such class.
            ImageError, ModelError: the file can't be used.
            QuotaError: the visitor has sent too much.
            FullError: the folder has reached its limit.
            OSError: a file can't be written.
        """
        if said.label is not None and said.label not in self.labels:
            raise UnknownClassError
        if self.quota.is_used_up(visitor):
            raise QuotaError
        [prediction] = self._predictor.predict([image])
        png = self._to_png(path)
        digest = hashlib.sha256(png).hexdigest()
        correction = Correction(
            thread=self.store.thread(visitor.visit, digest),
            time=datetime.now(UTC),
            image=digest,
            answer=Answer(
                label=prediction.label,
                confidence=prediction.confidence,
                verdict=prediction.verdict,
                candidates=list(prediction.candidates),
                novelty=prediction.novelty,
            ),
            model=self._model,
            kind=said.kind,
            label=said.label,
            note=said.note,
        )
        self.store.add(correction, png)
        self.quota.add(visitor, len(png))
        return correction

    def close(self) -> None:
        """Send to the Hub what is left."""
        if self.sender:
            self.sender.close()


def _described(predictor: Predictor, model_id: str) -> Model:
    """Return the facts by which a correction names a model; the path of a folder is private."""
    kind, place = split_model_id(model_id)
    folder = predictor.folder
    on_hub = kind == "hf-hub"
    return Model(
        id=place.partition("@")[0] if on_hub else folder.resolve().name[:255],
        revision=folder.name if on_hub and COMMIT.fullmatch(folder.name) else None,
        fingerprint=fingerprint(predictor.files),
    )
