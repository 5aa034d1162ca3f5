"""Rows survive their file: any text, torn ends, formulas, other models."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from space.inference.core.decision import Prediction
from trainer.errors import UserError
from trainer.prediction.options import Format, format_of
from trainer.prediction.row import Row, columns
from trainer.prediction.row_file import RowFile

LABELS = ["A; B", "A", "=B", 'C"\n']
GOOD = Row.measured(
    "in/=1+1.png",
    Prediction(dict(zip(LABELS, (0.7, 0.2, 0.1, 0.0), strict=True)), ("A; B", "A"), "unsure", 0.25),
    bit_depth=12,
    milliseconds=3.14159,
    model="1a2b3c4d5e6f",
)
BAD = Row('line\nbreak,"quoted".png', error="It can't be read: the file is empty.", milliseconds=1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], Row]:
    labels = draw(st.lists(text.filter(bool), min_size=1, max_size=4, unique=True))
    shares = [draw(st.floats(0, 1)) for _ in labels]
    row = Row(
        path=draw(text.filter(bool)),
        label=draw(st.sampled_from(labels)),
        confidence=draw(st.floats(0, 1)),
        verdict=draw(st.sampled_from(("class", "unsure", "unknown"))),
        prediction_set=tuple(draw(st.permutations(labels))),
        novelty=draw(st.none() | st.floats(0, 9)),
        probabilities=dict(zip(labels, shares, strict=True)),
        bit_depth=8,
        milliseconds=draw(st.floats(0, 9)),
        model=draw(st.none() | st.just("1a2b3c4d5e6f")),
    )
    return labels, row


@given(tables())
def test_rows_come_back_from_json_and_from_cells(table: tuple[list[str], Row]) -> None:
    labels, row = table
    assert Row.from_json(json.loads(json.dumps(row.as_json()))) == row
    cells = row.as_cells(labels)
    assert len(cells) == len(columns(labels))
    back = Row.from_cells(cells, labels)
    # A joined set is ambiguous only where one label is several others joined.
    if not any("; " in label for label in labels):
        assert back == row


def test_a_row_rounds_what_it_is_given() -> None:
    assert GOOD.confidence == 0.7
    assert GOOD.milliseconds == 3.14
    assert GOOD.as_cells(LABELS) == [
        *("in/=1+1.png", "A; B", "0.7", "unsure", "A; B; A", "0.25"),
        *("0.7", "0.2", "0.1", "0.0", "12", "3.14", "", "1a2b3c4d5e6f"),
    ]
    assert BAD.as_cells(LABELS)[1:] == [*[""] * 5, *[""] * 4, "", "1", BAD.error, ""]


SEVERAL = Row.measured(
    "a.png",
    Prediction(
        dict(zip(LABELS, (0.7, 0.9, 0.2, 0.0), strict=True)),
        ("A", "A; B", "=B"),
        "unsure",
        defects=("A", "A; B"),
    ),
    bit_depth=8,
    milliseconds=1,
)
NOTHING = replace(SEVERAL, defects=())


@pytest.mark.parametrize("row", [SEVERAL, NOTHING])
def test_several_defects_come_back(row: Row) -> None:
    assert Row.from_json(json.loads(json.dumps(row.as_json()))) == row
    cells = row.as_cells(LABELS, several=True)
    header = columns(LABELS, several=True)
    assert len(cells) == len(header)
    assert header[3:6] == ["verdict", "defects", "prediction_set"]
    assert cells[4:6] == ["A; A; B" if row.defects else "", "A; A; B; =B"]
    assert Row.from_cells(cells, LABELS, several=True) == row


def test_a_row_of_one_class_is_written_as_before() -> None:
    assert "defects" not in GOOD.as_json()
    assert "defects" not in columns(LABELS)
    assert (GOOD.named, BAD.named) == (("A; B",), ())
    assert (SEVERAL.named, NOTHING.named) == (("A", "A; B"), ("A",))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_of_several_defects_can_be_continued(kind: Format, tmp_path: Path) -> None:
    file = tmp_path / f"out.{kind}"
    rows = [SEVERAL, BAD, NOTHING]
    with RowFile(file, kind, LABELS, io.StringIO(), several=True) as table:
        table.write(rows)
        table.finish()
    assert RowFile(file, kind, LABELS, io.StringIO(), several=True).saved_rows() == rows
    if kind == "csv":
        with pytest.raises(UserError, match="does not hold rows of this model"):
            saved(file, kind)


def write(path: Path | None, kind: Format, rows: list[Row], labels: list[str] = LABELS) -> str:
    stdout = io.StringIO()
    with RowFile(path, kind, labels, stdout) as table:
        for row in rows:
            table.write([row])
        table.finish()
    return stdout.getvalue()


def saved(path: Path, kind: Format, labels: list[str] = LABELS) -> list[Row]:
    return RowFile(path, kind, labels, io.StringIO()).saved_rows()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_file_torn_at_any_byte_keeps_its_whole_rows(kind: Format, tmp_path: Path) -> None:
    file = tmp_path / f"out.{kind}"
    rows = [GOOD, BAD, GOOD]
    write(file, kind, rows)
    whole = file.read_bytes()
    assert saved(file, kind) == rows
    counts = set()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        found = saved(file, kind)
        assert found == rows[: len(found)]
        counts.add(len(found))
        # What comes next completes the same file.
        write(file, kind, rows[len(found) :])
        assert file.read_bytes() == whole
    assert counts == {0, 1, 2}


def test_csv_holds_no_formula(tmp_path: Path) -> None:
    write(tmp_path / "out.csv", "csv", [GOOD, BAD], ["=B"])
    with (tmp_path / "out.csv").open(newline="") as file:
        header, first, _ = csv.reader(file)
    assert header[6] == "p(=B)"
    assert first[0] == "in/=1+1.png"
    evil = Row("=cmd|' /C calc'!A0.png", error="@SUM(1)")
    write(tmp_path / "evil.csv", "csv", [evil], ["=B"])
    with (tmp_path / "evil.csv").open(newline="") as file:
        cells = list(csv.reader(file))[1]
    assert cells[0] == "'=cmd|' /C calc'!A0.png" and cells[-2] == "'@SUM(1)"
    assert saved(tmp_path / "evil.csv", "csv", ["=B"]) == [evil]


def test_stdout_gets_the_same_lines_as_a_file(tmp_path: Path) -> None:
    write(tmp_path / "out.csv", "csv", [GOOD, BAD])
    assert write(None, "csv", [GOOD, BAD]) == (tmp_path / "out.csv").read_bytes().decode()


def test_parquet_is_written_whole_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    with RowFile(file, "parquet", LABELS, io.StringIO()) as table:
        table.write([GOOD])
        assert not file.exists()
    assert saved(file, "parquet") == [GOOD]
    write(file, "parquet", [BAD])
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    rows = parquet.read_table(file).to_pylist()
    assert rows[0] == {
        **{"path": "in/=1+1.png", "label": "A; B", "confidence": 0.7, "verdict": "unsure"},
        **{"prediction_set": ["A; B", "A"], "novelty": 0.25, "bit_depth": 12},
        **{"p(A; B)": 0.7, "p(A)": 0.2, "p(=B)": 0.1, 'p(C"\n)': 0.0},
        **{"milliseconds": 3.14, "error": None, "model": "1a2b3c4d5e6f"},
    }
    assert rows[1]["error"] == BAD.error and rows[1]["p(A)"] is None
    # A finished table is continued with the rows that it has, not from the beginning.
    assert saved(file, "parquet") == [GOOD, BAD]
    write(file, "parquet", [GOOD])
    assert saved(file, "parquet") == [GOOD, BAD, GOOD]
    write(file, "parquet", [])
    for labels in (["A"], [*LABELS, "new"]):
        with pytest.raises(UserError, match="classes"):
            saved(file, "parquet", labels)
    assert parquet.read_table(file).num_rows == 3
    file.write_bytes(b"no table")
    with pytest.raises(UserError, match="can't be continued"):
        saved(file, "parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("csv", "a,b\n1,2\n"),
        ("csv", ",".join(columns(["X"])) + "\n"),
        ("csv", ",".join(columns(["A"])) + "\nx.png\n"),
        ("jsonl", '{"path": 1}\n'),
        ("jsonl", "[]\n"),
        ("jsonl", "no json\n"),
        ("csv", "notes that end without a line end"),
        ("csv", "path,other\nx.png,a\nlast"),
        ("jsonl", "notes"),
        ("jsonl", '{"path": 1}\n{"path'),
    ],
)
def test_other_files_are_not_continued(kind: Format, content: str, tmp_path: Path) -> None:
    file = tmp_path / f"out.{kind}"
    file.write_text(content)
    with pytest.raises(UserError, match="can't be continued"):
        saved(file, kind, ["A"])
    assert file.read_text() == content


def test_rows_of_a_model_with_other_classes_are_not_continued(tmp_path: Path) -> None:
    write(tmp_path / "out.jsonl", "jsonl", [GOOD])
    with pytest.raises(UserError, match="classes"):
        saved(tmp_path / "out.jsonl", "jsonl", [*LABELS, "new"])


def test_the_suffix_names_the_format() -> None:
    assert format_of(None) == "csv"
    assert format_of(Path("a/b.JSONL")) == "jsonl"
    assert format_of(Path("b.xlsx")) is None
