"""Write the answers as one self-contained web page: counts, and a gallery to filter and sort."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space.inference.images.decoding import Decoder
from space.inference.predictor import ImageError
from trainer.prediction.image_files import ImageFile
from trainer.prediction.row import OUTCOMES, Row
from trainer.runtime.files import replaced_whole
from trainer.runtime.system import core_count
from trainer.text.web_page import environment

if TYPE_CHECKING:
    # Imports PyTorch and captum, which takes seconds.
    from trainer.prediction.coil.view import Coil

THUMBNAIL_PX = 160
JPEG_QUALITY = 75
# Pictures that are made ahead of the file.
AHEAD = 64


@dataclass(frozen=True)
class Source:
    """What the page states above the answers.

    Attributes:
        model_id: of the model.
        bit_depth: of its images.
        labels: its classes.
    """

    model_id: str
    bit_depth: int
    labels: Sequence[str]


def write(
    page: Path,
    source: Source,
    rows: Sequence[Row],
    files: Mapping[str, ImageFile],
    heatmaps: Mapping[str, Path],
    coil: Coil | None = None,
    *,
    compared: Sequence[str] = (),
) -> None:
    """Write the page, whole or not at all.

    Args:
        page: its file.
        source: of the answers.
        rows: the answers.
        files: the images, by the path in a row.
        heatmaps: pictures of images under their heatmaps, by the same; may be empty.
        coil: the strips that the images form; None if overlaps were not merged.
        compared: sentences on the comparison with a baseline.
    """
    template = environment("trainer.prediction").get_template("page.html.jinja")
    counts = Counter((row.outcome, label) for row in rows for label in row.named)
    totals = Counter(row.outcome for row in rows)
    page.parent.mkdir(parents=True, exist_ok=True)
    with (
        replaced_whole(page) as partial_page,
        partial_page.open("w", encoding="utf-8") as file,
        Decoder(core_count()) as decoder,
    ):
        parts = template.generate(
            source=source,
            date=datetime.now(UTC).date().isoformat(),
            images=len(rows),
            verdicts={key: name.title for key, name in OUTCOMES.items()},
            totals=totals,
            counts=counts,
            cards=_cards(decoder, source, rows, files, heatmaps),
            coil=coil,
            compared=compared,
            **(_strips(decoder, source, rows, coil) if coil else {"strips": [], "strip_cards": []}),
        )
        for part in parts:
            file.write(part)


def _strips(
    decoder: Decoder, source: Source, rows: Sequence[Row], coil: Coil
) -> dict[str, Iterable[Any]]:
    """Return the strips to show, and their pictures, by their names in the template."""
    from trainer.prediction.coil.pictures import shown_pieces, strip_cards  # noqa: PLC0415

    orders = {row.path: order for order, row in enumerate(rows)}
    return {
        "strips": shown_pieces(coil),
        "strip_cards": strip_cards(coil, lambda path: decoder.read(path, source.bit_depth), orders),
    }


def _cards(
    decoder: Decoder,
    source: Source,
    rows: Sequence[Row],
    files: Mapping[str, ImageFile],
    heatmaps: Mapping[str, Path],
) -> Iterator[dict[str, Any]]:
    """Yield the rows with their pictures, in order."""
    with ThreadPoolExecutor(core_count()) as pool:

        def pictures(row: Row) -> dict[str, str | None]:
            if row.error is not None:
                return {"picture": None, "heatmap": None}
            heatmap = heatmaps.get(row.path)
            return {
                "picture": _thumbnail(decoder, files[row.path].path, source.bit_depth),
                "heatmap": _thumbnail(decoder, heatmap, source.bit_depth) if heatmap else None,
            }

        for first in range(0, len(rows), AHEAD):
            some = rows[first : first + AHEAD]
            for row, shown in zip(some, pool.map(pictures, some), strict=True):
                yield row.as_json() | shown


def _thumbnail(decoder: Decoder, file: str | Path, bit_depth: int) -> str | None:
    """Return a small picture as a data URL; None where the image can't be read."""
    try:
        image = decoder.read(file, bit_depth)
    except ImageError:
        # The file was removed or changed after it was predicted; its row stays.
        return None
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
