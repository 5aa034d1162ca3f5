"""Tables of results: pages show the JSON that benchmarks write, and nothing else."""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.measurement import Measurement, command, number_column, text_column
from benchmarks.table import Column, Table, text
from docs.result_tables import BLOCK, FOLDER, MEASUREMENTS, README, REPOSITORY, measured, pages
from tests.support.drawn_text import CHARACTERS

# What pages show without a benchmark: where the data come from.
EXPLAINED = {"data.md"}
NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
CELLS = st.none() | st.text(CHARACTERS, max_size=8) | NUMBERS | st.tuples(NUMBERS, NUMBERS)
EXAMPLE = Table(
    commands=("python -m benchmarks.steps --models a b" + " --image-size 64" * 12,),
    machine="two cores",
    dates=(datetime.date(2026, 11, 4), datetime.date(2026, 11, 3)),
    versions={"torch": "2.15.0"},
    conditions="batches of 16",
    columns=(text_column("Step"), number_column("Rate", "{:.1f} ({:,.0f})")),
    rows=(("float32", (12.34, 1234)), ("bf16", None), ("total", "**2 ×**")),
)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_tables_are_those_of_the_measurements(page: Path) -> None:
    """Else run `python -m docs.result_tables`."""
    assert page.read_text(encoding="utf-8") == pages()[page]


def test_every_table_of_a_result_is_generated_and_every_measurement_shown() -> None:
    shown = set()
    for page in FOLDER.glob("*.md"):
        written = page.read_text(encoding="utf-8")
        shown |= {name for _, name in BLOCK.findall(written)}
        if page.name not in EXPLAINED:
            assert re.findall(r"^\|.*", BLOCK.sub("", written), re.MULTILINE) == [], page
    assert shown == {file.stem for file in MEASUREMENTS.iterdir()}
    assert "<!-- table: summary -->" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(MEASUREMENTS.iterdir()), ids=lambda file: file.stem)
def test_a_measurement_states_command_machine_and_date(file: Path, tmp_path: Path) -> None:
    table = measured(file.stem)
    assert table.rows
    assert table.machine
    for line in table.commands:
        assert re.match(r"python (trainer/\w+\.py|-m benchmarks\.\w+)", line)
        assert not re.search(r"[ =]/", line), "no path of one machine"
    # The file is as a benchmark would write it.
    table.write(tmp_path / file.name)
    assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_a_table_in_markdown() -> None:
    first, *lines = EXAMPLE.markdown().partition("```")[0].splitlines()
    assert first == "| Step | Rate |"
    assert lines == [
        "| --- | --: |",
        "| float32 | 12.3 (1,234) |",
        "| bf16 | |",
        "| total | **2 ×** |",
        "",
        "Measured: two cores, 3 and 4 November 2026; torch 2.15.0; batches of 16.",
        "",
    ]
    shell = EXAMPLE.markdown().partition("```bash\n")[2].partition("\n```")[0]
    assert max(map(len, shell.splitlines())) <= 112
    assert len(shell.splitlines()) >= 2
    assert shell.replace(" \\\n  ", " ") == EXAMPLE.commands[0]
    unknown = EXAMPLE.model_copy(update={"commands": ()}).markdown()
    assert "```" not in unknown
    assert "the command was not recorded" in unknown


def test_a_cell_is_found_by_its_titles() -> None:
    assert EXAMPLE.cell("float32", "Rate") == (12.34, 1234)
    for titles in (("float16", "Rate"), ("float32", "Time")):
        with pytest.raises(KeyError):
            EXAMPLE.cell(*titles)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=4))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[object]
) -> None:
    file = tmp_path_factory.getbasetemp() / "table.json"
    table = Table.model_validate(EXAMPLE.model_dump() | {"rows": rows})
    table.write(file)
    assert Table.read(file) == table


def test_a_row_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="2 cells"):
        Table.model_validate(EXAMPLE.model_dump() | {"rows": [("float32",)]})


@given(st.floats(-1e6, 1e6), st.integers(0, 3))
def test_numbers_have_the_digits_of_their_column(value: float, digits: int) -> None:
    column = Column(title="Rate", format=f"{{:.{digits}f}}")
    assert float(text(value, column.format)) == pytest.approx(value, abs=10.0**-digits)


def test_a_benchmark_prints_and_writes_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(REPOSITORY / "benchmarks" / "steps.py")
    file = tmp_path / "steps.json"
    monkeypatch.setattr(sys, "argv", [script, "--json", str(file), "--train-flags", "--lr 1"])
    measurement = Measurement(EXAMPLE.columns, "batches of 16", {"other": "1.2"})
    for cells in EXAMPLE.rows:
        measurement.add(*cells)
    measurement.write(None)
    measurement.write(file)
    table = Table.read(file)
    assert table.rows == EXAMPLE.rows
    assert table.commands == ("python -m benchmarks.steps --train-flags '--lr 1'",)
    assert (table.transcribed, table.versions["other"]) == (False, "1.2")
    printed = capsys.readouterr().out
    assert "| --- | --: |\n| float32 | 12.3 (1,234) |\n| bf16 | |\n| total | **2 ×** |" in printed
    assert printed.startswith(f"{table.measured()}\n")
    assert command([script]) == "python -m benchmarks.steps"
    assert (
        command([script, f"--json={file}", "--steps", "2"])
        == "python -m benchmarks.steps --steps 2"
    )


def test_every_benchmark_writes_json() -> None:
    written = {}
    for file in (REPOSITORY / "benchmarks").glob("*.py"):
        source = file.read_text(encoding="utf-8")
        if "Measurement(" in source and file.stem != "measurement":
            written[file.stem] = "    json: Path | None = None\n" in source and (
                "measurement.write(settings.json)" in source
            )
    assert len(written) >= 13
    assert all(written.values()), written
