"""Tables that come back as they were, and in which no spreadsheet finds a formula."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn_text import CHARACTERS
from trainer.text.spreadsheet import read_table, write_table

SIGNS = "=+-@\t\r\n＝＋－＠"
CELLS = st.text(CHARACTERS | st.sampled_from("'" + SIGNS), max_size=8)


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=3), min_size=1, max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    file = tmp_path_factory.mktemp("table") / "a.csv"
    write_table(file, rows)
    assert read_table(file) == rows
    with file.open(newline="", encoding="utf-8") as opened:
        seen = [cell for row in csv.reader(opened) for cell in row]
    assert not [cell for cell in seen if cell.startswith(tuple(SIGNS))]


def test_cells_of_other_programs_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbffile,split\n=1+1.png,'test'\n'quoted,-\n")
    assert read_table(tmp_path / "a.csv") == [
        ["file", "split"],
        ["=1+1.png", "'test'"],
        ["'quoted", "-"],
    ]


def test_a_failure_leaves_the_former_table(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    write_table(file, [["a", "b"]])
    with pytest.raises(UnicodeEncodeError):
        write_table(file, [["c", "\udcff"]])
    assert read_table(file) == [["a", "b"]]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("quotes", ["", "'", "''"])
def test_each_sign_that_begins_a_formula_is_quoted(tmp_path: Path, sign: str, quotes: str) -> None:
    write_table(tmp_path / "a.csv", [[f"{quotes}{sign}1+1", "b"]])
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as opened:
        assert list(csv.reader(opened)) == [[f"'{quotes}{sign}1+1", "b"]]
