"""The table of what searches gained."""

from __future__ import annotations

from benchmarks.tuned_recipe import table
from model_card.schema.base import Score
from model_card.schema.comparison import Difference
from trainer.tuning.report import LossGain, TuningReport


def test_a_search_is_a_row_with_the_gain_on_unseen_folds() -> None:
    report = TuningReport(
        ended_because="10 trials are done",
        trials=10,
        pruned=4,
        best_loss=0.21,
        preset_loss=0.32,
        parameters={"lr": 0.0061, "epochs": 28},
        tuning_folds=2,
        check_folds=3,
        images=1568,
        preset=Score(value=0.811, low=0.712, high=0.913),
        tuned=Score(value=0.824, low=0.725, high=0.926),
        difference=Difference(value=0.013, low=-0.004, high=0.027, p_value=0.083),
        loss_gain=LossGain(value=0.05, low=0.01, high=0.09),
    )
    found = table([report], ["python x"])
    assert found.commands == ("python x",)
    assert found.markdown().splitlines()[2] == (
        "| epochs 28, lr 0.0061 | 10 (4) | 1,568 | 81.1% (71.2%–91.3%) | 82.4% (72.5%–92.6%) "
        "| +1.30 (-0.40 to +2.70), p = 0.083 | +0.0500 (+0.0100 to +0.0900) |"
    )
