"""One batch: its images are answered one after another, and each answer is stored at once.

The answers lie in a folder of their own among the uploads. Its name can't be guessed, so whoever
knows it started the batch. It is deleted with the uploads.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Self

from .examination import Examination
from .items import Contents, Item
from .row import Row

if TYPE_CHECKING:
    from PIL import Image

    from space.inference.core.arrays import Floats

# In a Space on the Hub, `inference` is a sibling of this package.
if TYPE_CHECKING or __package__.startswith("space"):
    from space.inference.core.errors import ModelError
    from space.inference.images.reader import ImageError
    from space.server.uploads import UploadFolder
else:
    from inference.core.errors import ModelError
    from inference.images.reader import ImageError
    from server.uploads import UploadFolder

logger = logging.getLogger("space")

PREFIX = "batch-"
ANSWERS_FILE = "answers.jsonl"
TOKEN_BYTES = 24
TOKEN = re.compile(r"[\w-]{32}")
UNEXPECTED = "Something went wrong on the server. Try this image alone."

# Decodes an image; raises ImageError.
Read = Callable[[Path | IO[bytes]], "Image.Image"]
Examine = Callable[["Image.Image"], Examination]


class Answered(NamedTuple):
    """One answered file.

    Attributes:
        row: the answer, or why there is none.
        image: decoded; None if the file can't be used.
        statistics: of the image; see `Examination`.
    """

    row: Row
    image: Image.Image | None = None
    statistics: Floats | None = None


class Batch:
    """The stored answers of a batch.

    Args:
        folder: of the answers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = folder.name.removeprefix(PREFIX)

    @classmethod
    def create(cls, uploads: UploadFolder) -> Self:
        """Return a batch without answers.

        Raises:
            OSError: its folder can't be written.
        """
        folder = uploads.path / f"{PREFIX}{secrets.token_urlsafe(TOKEN_BYTES)}"
        folder.mkdir()
        (folder / ANSWERS_FILE).touch()
        return cls(folder)

    @classmethod
    def find(cls, uploads: UploadFolder, token: object) -> Self | None:
        """Return the batch with this token; None if there is none, or it was deleted."""
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            return None
        file = uploads.find(str(uploads.path / f"{PREFIX}{token}" / ANSWERS_FILE))
        return None if file is None else cls(file.parent)

    def run(self, items: Sequence[Item], read: Read, examine: Examine) -> Generator[Answered]:
        """Answer images in order; yield each answer after it was stored.

        Raises:
            OSError: an answer can't be stored.
        """
        with (
            Contents() as contents,
            (self.folder / ANSWERS_FILE).open("a", buffering=1, encoding="utf-8") as file,
        ):
            for item in items:
                answered = _answer(item, contents, read, examine)
                fields = asdict(item) | {"path": str(item.path)}
                file.write(json.dumps({"row": answered.row.as_json(), "item": fields}) + "\n")
                yield answered

    def answers(self) -> Iterator[tuple[Row, Item]]:
        """Yield the stored answers, and the image of each, in order.

        Raises:
            OSError: they can't be read, or were deleted.
        """
        with (self.folder / ANSWERS_FILE).open(encoding="utf-8") as file:
            for line in file:
                # The last line of a batch that still runs may be incomplete.
                if line.endswith("\n"):
                    fields = json.loads(line)
                    item = fields["item"]
                    item["path"] = Path(item["path"])
                    yield Row.from_json(fields["row"]), Item(**item)


def _answer(item: Item, contents: Contents, read: Read, examine: Examine) -> Answered:
    try:
        image = read(contents.open(item))
        prediction, statistics = examine(image)
    except (ImageError, ModelError) as error:
        return Answered(Row(item.name, error=str(error)))
    # One image must not end the batch: the operator gets the traceback.
    except Exception:
        logger.exception("An image of a batch could not be predicted")
        return Answered(Row(item.name, error=UNEXPECTED))
    return Answered(Row.of(item.name, prediction), image, statistics)
