"""The output of benchmarks: a heading with machine, versions and date, and a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

import torch

from trainer.runtime import system

NOTHING: Mapping[str, str] = MappingProxyType({})


def heading(what: str, others: Mapping[str, str] = NOTHING) -> str:
    """Return the line above a table; `others` are versions of further packages."""
    versions = system.versions()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    named = {name: versions[name] for name in ("python", "torch", "timm")} | dict(others)
    return (
        f"{system.accelerator_name(device) or system.processor_name()}, "
        f"{system.core_count()} cores, {time.strftime('%d %B %Y')}; "
        f"{', '.join(f'{name} {number}' for name, number in named.items())}; {what}.\n"
    )


def head(*columns: str, texts: int = 1) -> str:
    """Return the first two lines of a table; all columns after the first `texts` hold numbers."""
    marks = ["---"] * texts + ["--:"] * (len(columns) - texts)
    return f"{row(*columns)}\n{row(*marks)}"


def row(*cells: str) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def times(ratio: float) -> str:
    """Return a ratio with three digits: 1.15 ×, 12.3 ×, 104 ×."""
    digits = 2 if ratio < 10 else 1 if ratio < 100 else 0
    return f"{ratio:,.{digits}f} ×"
