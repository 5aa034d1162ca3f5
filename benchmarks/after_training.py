"""Time from the trained network to the published folder, of this version and an earlier one.

`python -m benchmarks.after_training RUN --earlier CHECKOUT` resumes copies of a run that the
earlier version trained, without their published folders. It also compares both reports: all figures
but rates and settings must be equal.
"""

from __future__ import annotations

import json
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
    model, images = reports[0]["model"], reports[0]["test"]["images"]
    measurement = Measurement(
        [
            text_column("Version"),
            number_column("Seconds", "{:.0f}"),
            number_column("Processor seconds", "{:.0f}"),
            times_column("Earlier ÷ this, seconds"),
        ],
        f"{model['architecture']} at {model['input_size_px']} px, {images} test images; from the "
        "trained network to the published folder, report and card included, nothing in caches",
    )
    for version, each in seconds.items():
        times = seconds["earlier"]["wall_s"] / each["wall_s"]
        measurement.add(version, each["wall_s"], each["cpu_s"], times)
    leaves = [dict(_leaves(report)) for report in reports]
    differing = [name for name in leaves[0] if leaves[0][name] != leaves[1].get(name)]
    if differing:
        raise ProgramError(f"The reports differ: {', '.join(differing[:20])}")
    measurement.write(settings.json)


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
    """Yield every single fact that is not a version's own."""
    if name.startswith(OWN):
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
