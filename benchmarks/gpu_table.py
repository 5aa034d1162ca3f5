"""The training steps of a GPU as a table: `python -m benchmarks.gpu_table CHECK.json`.

`benchmarks/gpu_check.sh` writes that file, on a machine that may have nothing else.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.measurement import number_column, text_column, times_column
from benchmarks.table import Table

KINDS = {
    "plain": "plain (`--no-graphs`)",
    "recorded": "recorded",
    "compiled": "recorded, blocks compiled (`--compile`)",
}


@dataclass(frozen=True)
class Settings:
    """The training steps of a GPU as a table."""

    check: tyro.conf.Positional[Path]
    """What gpu_check wrote."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the table as JSON, too."""


def main(settings: Settings) -> None:
    """Print the table, and write it as JSON."""
    found = table(json.loads(settings.check.read_text(encoding="utf-8")))
    print(found.markdown())
    if settings.json:
        found.write(settings.json)


def table(check: dict[str, Any]) -> Table:
    """Return a row for each batch size and kind of step."""
    rows = []
    for size, batch in check["batches"].items():
        for kind, title in KINDS.items():
            rate, plain = (batch[f"{each}_images_per_s"] for each in (kind, "plain"))
            share, start_s = batch[f"{kind}_share_of_floor"], batch[f"{kind}_start_s"]
            rows.append((int(size), title, rate, rate / plain, share, start_s))
    return Table(
        commands=(check["command"],),
        machine=check["machine"],
        dates=(datetime.date.fromisoformat(check["date"]),),
        versions={name: check["versions"][name] for name in ("python", "torch", "timm")},
        conditions=f"`{check['model']}` at {check['image_size']} px in bf16, whole steps with "
        "augmentation, clipping, AdamW and moving average; the floor is three forward passes at "
        f"the {check['floor_tflops']:.0f} TFLOP/s of a large bf16 matrix product",
        columns=(
            number_column("Batch", "{}"),
            text_column("Steps"),
            number_column("Images/s", "{:,.0f}"),
            times_column("÷ plain"),
            number_column("Share of the floor", "{:.1%}"),
            number_column("Before the first step", "{:.1f} s"),
        ),
        rows=tuple(rows),
    )


if __name__ == "__main__":
    main(tyro.cli(Settings))
