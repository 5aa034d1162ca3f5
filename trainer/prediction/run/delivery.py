"""Where the answers go, and what they were."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from model_card.formatting import counted
from trainer.prediction.coil.output import CoilOutput
from trainer.prediction.options import Format, Selection
from trainer.prediction.row import Row, outcomes_in_words


@dataclass(frozen=True)
class Delivery:
    """Where the answers go.

    Attributes:
        output: file of the rows; None writes them to stdout.
        kind: format of the rows.
        selection: the rows to write; only their images are copied and shown.
        copy_to: folder of sorted copies; None makes none.
        link: whether to make symbolic links instead.
        heatmaps: folder of pictures under heatmaps; None makes none.
        report: file of the web page; None writes none.
        coil: where the coil view goes; None merges no overlaps.
    """

    output: Path | None
    kind: Format
    selection: Selection = Selection()  # noqa: RUF009 -- frozen
    copy_to: Path | None = None
    link: bool = False
    heatmaps: Path | None = None
    report: Path | None = None
    coil: CoilOutput | None = None

    @property
    def collects(self) -> bool:
        """Whether all rows are needed after the last one is written."""
        return self.report is not None or self.coil is not None

    def folders(self) -> list[Path]:
        """Return the folders that are written to."""
        strips = self.coil.strips if self.coil else None
        files = [file.absolute().parent for file in (self.output, self.report, strips) if file]
        return files + [folder for folder in (self.copy_to, self.heatmaps) if folder]


@dataclass
class Outcome:
    """What was predicted.

    Attributes:
        rows: the written rows, if they are needed after the last one.
        verdicts: the number of these rows by verdict, "error" among them.
        labels: the number of accepted images by class; one of several defects counts for each.
    """

    rows: list[Row] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, *, collect: bool) -> None:
        """Add the row of an image."""
        if collect:
            self.rows.append(row)
        self.verdicts[row.outcome] += 1
        if row.verdict == "class":
            self.labels.update(row.named)

    def summary(self) -> str:
        """Return the counts in two lines."""
        classes = [f"{label} {count:,}" for label, count in sorted(self.labels.items())]
        lines = [f"{counted(self.verdicts.total(), 'image')}: {outcomes_in_words(self.verdicts)}."]
        return "\n".join(lines + ([f"Accepted: {', '.join(classes)}."] if classes else []))
