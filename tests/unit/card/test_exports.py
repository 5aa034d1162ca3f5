"""The card's table of exported formats."""

from __future__ import annotations

from model_card.card import render_card
from model_card.schema.base import Score
from model_card.schema.exports import Exports, FormatPassport
from tests.support.reports import example_report


def test_each_number_of_an_exported_format_stands_in_the_table() -> None:
    onnx = FormatPassport(
        format="onnx",
        title="ONNX",
        images=288,
        precision=None,
        slower=None,
        refused=None,
        files=["onnx/model.onnx"],
        engine="ONNX Runtime 1",
        size_bytes=7_000_000,
        ms_one=1.5,
        ms_sixteen=20.25,
        accuracy=Score(value=0.91, low=0.88, high=0.94),
        calibration_error=0.0123,
        coverage=Score(value=0.89, low=0.85, high=0.93),
        ood_auroc=0.975,
        same_decision=0.9975,
        largest_logit_difference=0.031,
    )
    slow = onnx.model_copy(
        update={
            "title": "IR",
            "precision": "mixed",
            "slower": "in bf16, it decides 3 differently",
            "files": ["ir/model.xml", "ir/model.bin"],
        }
    )
    exports = Exports(processor="a processor", cores=2, formats=[onnx, slow])
    text = render_card(example_report(exports=exports)).replace("\u00a0", " ")
    [row] = [line for line in text.splitlines() if line.startswith("| **ONNX**")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "**ONNX**<br>ONNX Runtime 1"
    assert cells[2] == "1.5 / 20.2"
    assert cells[3].startswith("91.0 %<br>88.0")
    assert cells[4:6] == ["1.23 %", "89.0 %"]
    assert cells[6].startswith("0.975")
    assert cells[7:] == ["99.75 %", "0.031"]
    assert "- IR: `ir/model.xml`, `ir/model.bin`\n" in text
    assert "IR computes its first layers in float32: in bf16, it decides 3 differently." in text
