"""Tables of pieces of surface, of their images and of their defects: CSV or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainer.prediction.coil.output import table_paths
from trainer.prediction.coil.view import Coil, Piece
from trainer.runtime.files import replaced_whole
from trainer.text.spreadsheet import write_table

VERDICTS = ("unsure", "unknown")


def write_strips(coil: Coil, path: Path) -> None:
    """Write the tables, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pieces = [_piece(coil, piece) for piece in coil.pieces]
    if path.suffix.lower() != ".csv":
        text = json.dumps({"classes": coil.labels, "strips": pieces}, indent=1)
        with replaced_whole(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
        return
    strips, images, defects = table_paths(path)
    columns = ["strip", "images", "width_px", "height_px", "defects", "images_with_defect"]
    write_table(
        strips,
        [
            [
                *columns,
                *(f"defects({label})" for label in coil.labels),
                *(f"images({label})" for label in coil.labels),
                *VERDICTS,
            ],
            *(_cells(coil, piece) for piece in coil.pieces),
        ],
    )
    for file, key, columns in (
        (images, "images", ["path", "strip", "x", "y", "turn"]),
        (defects, "defects", ["strip", "label", "x", "y", "width_px", "height_px", "images"]),
    ):
        rows = [each | {"strip": piece["strip"]} for piece in pieces for each in piece[key]]
        for row in rows:
            if key == "defects":
                row["images"] = len(row["images"])
        write_table(file, [columns, *([str(row[name]) for name in columns] for row in rows)])


def _cells(coil: Coil, piece: Piece) -> list[str]:
    numbers = [
        *(piece.number, len(piece.strip.places), piece.strip.width, piece.strip.height),
        *(piece.once.total(), piece.by_crop.total()),
        *(piece.once[label] for label in coil.labels),
        *(piece.by_crop[label] for label in coil.labels),
        *(piece.outcomes[verdict] for verdict in VERDICTS),
    ]
    return [str(number) for number in numbers]


def _piece(coil: Coil, piece: Piece) -> dict[str, Any]:
    """Return a piece of surface as JSON has it."""
    return {
        "strip": piece.number,
        "width_px": piece.strip.width,
        "height_px": piece.strip.height,
        "defects_once": dict(piece.once),
        "images_by_defect": dict(piece.by_crop),
        **{verdict: piece.outcomes[verdict] for verdict in VERDICTS},
        "images": [
            {
                "path": coil.crops[place.image].name,
                "x": place.x,
                "y": place.y,
                "turn": place.turn,
            }
            for place in piece.strip.places
        ],
        "defects": [
            {
                "label": defect.label,
                "x": defect.x,
                "y": defect.y,
                "width_px": defect.width,
                "height_px": defect.height,
                "images": [coil.crops[image].name for image in defect.images],
            }
            for defect in piece.defects
        ],
    }
