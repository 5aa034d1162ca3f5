"""Time from the trained network to the published folder, of this version and an earlier one.

`python -m benchmarks.after_training RUN --earlier CHECKOUT` resumes copies of a run that the
earlier version trained, without their published folders. It also compares both reports: texts must
be equal, but for those that were reworded, and numbers nearly so. The versions run the network in
batches of other sizes, so its outputs, and all that is fitted to them, differ in their last digits.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import tyro

from benchmarks.measurement import Measurement, number_column, text_column, times_column
from benchmarks.program import ROOT, ProgramError, run

CLOCK = Path(__file__).parent / "tests_clock.py"
# They describe this run of the tests, or the options of a version.
OWN = ("sha256", "test.images_per_second", "training.settings", "machine", "training.command")
# Checksums of files that hold the numbers which are compared, or drawings of them, and the texts
# that describe these drawings.
DERIVED = re.compile(r"export\.files\.|figures\.\d+\.alt$")
# Texts that later versions word otherwise.
REWORDED = re.compile(
    r"data\.(source|origin|splits\.\d+\.origin)$|reliability\.ood_detection\.kinds\.\d+\.kind$"
)
# Of a share, or relative to a larger number: one of 120 corrupted images may be answered otherwise.
LARGEST_DIFFERENCE = 0.01


@dataclass(frozen=True)
class Settings:
    """Time of the tests after training, of this version and an earlier one."""

    run: Annotated[Path, tyro.conf.Positional]
    """A run folder of the earlier version, whose training ended; it stays as it is."""
    earlier: Path
    """A checkout of the earlier version."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print a row for each version.

    Raises:
        ProgramError: a version fails, or their reports differ.
    """
    seconds, reports = {}, []
    for version, checkout in (("earlier", settings.earlier.absolute()), ("this", ROOT)):
        print(f"{version} …", file=sys.stderr)
        seconds[version], report = _measured(settings.run, checkout)
        reports.append(report)
    difference = largest_difference(*reports)
    model, images = reports[0]["model"], reports[0]["test"]["images"]
    measurement = Measurement(
        [
            text_column("Version"),
            number_column("Seconds", "{:.0f}"),
            number_column("Processor seconds", "{:.0f}"),
            times_column("Earlier ÷ this, processor seconds"),
            number_column("Largest difference of a number in the report", "{:.2g}"),
        ],
        f"{model['architecture']} at {model['input_size_px']} px, {images} test images; from the "
        "trained network to the published folder, report and card included, nothing in caches",
    )
    for version, each in seconds.items():
        times = seconds["earlier"]["cpu_s"] / each["cpu_s"]
        differs = difference if version == "this" else None
        measurement.add(version, each["wall_s"], each["cpu_s"], times, differs)
    measurement.write(settings.json)


def largest_difference(earlier: Any, this: Any) -> float:
    """Return the largest difference of a number of two reports, relative to those above 1.

    Raises:
        ProgramError: this version lacks a fact, a text differs, or a number differs by more than
            `LARGEST_DIFFERENCE`.
    """
    here, missing = dict(_leaves(this)), object()
    differences = {
        name: _difference(value, here.get(name, missing)) for name, value in _leaves(earlier)
    }
    wrong = [name for name, each in differences.items() if each > LARGEST_DIFFERENCE]
    if wrong:
        raise ProgramError(f"The reports differ: {', '.join(wrong[:20])}")
    some = sum(each > 0 for each in differences.values())
    largest = max(differences.values())
    print(f"{some} of {len(differences)} facts differ, by {largest:.2g} at most", file=sys.stderr)
    return largest


def _difference(one: Any, other: Any) -> float:
    if one == other:
        return 0.0
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    return abs(one - other) / max(1, abs(one), abs(other)) if numbers else float("inf")


def _measured(finished: Path, checkout: Path) -> tuple[dict[str, float], Any]:
    """Resume a copy of a run at its tests; return seconds, and the report."""
    with tempfile.TemporaryDirectory() as temporary:
        again, times = Path(temporary) / "run", Path(temporary) / "seconds.json"
        shutil.copytree(finished, again, ignore=shutil.ignore_patterns("published", "run.lock"))
        train = checkout / "trainer" / "train.py"
        run(
            [sys.executable, CLOCK, times, train, "--run-dir", again, "--resume"],
            Path(temporary),
            PYTHONPATH=str(checkout),
            # Each version converts the network; fonts are not searched again.
            XDG_CACHE_HOME=str(Path(temporary) / "cache"),
            MPLCONFIGDIR=matplotlib.get_cachedir(),
        )
        report = (again / "published" / "report.json").read_text(encoding="utf-8")
        return json.loads(times.read_text(encoding="utf-8")), json.loads(report)


def _leaves(facts: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every single fact that is not a version's own, and does not follow from others."""
    if name.startswith(OWN) or DERIVED.match(name) or REWORDED.match(name):
        return
    if isinstance(facts, dict | list):
        items = facts.items() if isinstance(facts, dict) else enumerate(facts)
        for key, value in items:
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, facts


if __name__ == "__main__":
    try:
        main(tyro.cli(Settings))
    except ProgramError as error:
        sys.exit(str(error))
