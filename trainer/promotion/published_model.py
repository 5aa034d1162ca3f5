"""The published model that a new one would replace, downloaded and read as untrusted input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from model_card.schema.checksums import file_checksum
from model_card.schema.report import REPORT_FILE
from space.inference.core.model_id import CONFIG_FILE
from space.inference.decision_file import DETECTOR_FILE, RULES_FILE
from space.inference.model_config import WEIGHTS_FILE
from space.inference.model_folder import ModelFolder
from space.inference.predictor import ModelError, Predictor, find_model_folder
from trainer.errors import HubError

# They determine each prediction.
MODEL_FILES = (WEIGHTS_FILE, CONFIG_FILE, RULES_FILE, DETECTOR_FILE)
MOST_FINGERPRINTS = 10_000_000


class _Split(BaseModel):
    name: str
    images: int
    fingerprints: list[int] | None = Field(None, max_length=MOST_FINGERPRINTS)


class _Facts(BaseModel):
    """What a report says about the images, as far as it matters here."""

    class Data(BaseModel):
        """The splits, and how the images are read."""

        splits: list[_Split]
        bit_depth: int = 16

    data: Data


@dataclass(frozen=True)
class PublishedModel:
    """A model at one commit of its repository.

    Attributes:
        repo_id: of the model.
        revision: the commit.
        folder: where it was downloaded to.
    """

    repo_id: str
    revision: str
    folder: Path

    @classmethod
    def download(cls, repo_id: str, revision: str) -> PublishedModel:
        """Download a model.

        Raises:
            HubError: the download failed.
        """
        try:
            return cls(repo_id, revision, find_model_folder(f"hf-hub:{repo_id}@{revision}"))
        except ModelError as error:
            raise HubError(str(error)) from error

    def is_model_of(self, folder: Path) -> bool:
        """Return whether a published folder holds this model; its card may differ."""
        return _digests(ModelFolder(self.folder)) == _digests(ModelFolder(folder))

    def load(self) -> Predictor:
        """Return the model; see `Predictor`."""
        return Predictor.load(f"local-dir:{self.folder}", engine="pytorch")

    def trained_on(self, bit_depth: int) -> frozenset[int] | None:
        """Return the fingerprints of its training and validation images.

        Args:
            bit_depth: of the images to compare them with: fingerprints depend on it.

        Returns:
            None if its report does not hold comparable fingerprints.

        Raises:
            ModelError: the report is damaged.
        """
        files = ModelFolder(self.folder)
        if not files.has(REPORT_FILE):
            return None
        data = files.read_json(REPORT_FILE, _Facts).data
        seen: list[Literal["train", "validation"]] = ["train", "validation"]
        splits = [split for split in data.splits if split.name in seen]
        if data.bit_depth != bit_depth or len(splits) != len(seen):
            return None
        found: set[int] = set()
        for split in splits:
            if split.fingerprints is None or len(split.fingerprints) != split.images:
                return None
            found.update(split.fingerprints)
        return frozenset(found)


def _digests(files: ModelFolder) -> dict[str, str | None]:
    return {
        name: file_checksum(files.file(name)) if files.has(name) else None for name in MODEL_FILES
    }
