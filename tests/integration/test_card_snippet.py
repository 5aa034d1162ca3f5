"""The example in the card, copied and pasted, answers as the model does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from timm.data import resolve_model_data_config

from model_card.card import render_card
from space.inference.decision import Costs, Decision, Rules
from space.inference.predictor import Predictor
from tests.reports import LABELS, example_model, example_report
from trainer.model.export import write_model


@pytest.mark.parametrize(
    ("size", "tiled"), [((90, 120), False), ((90, 430), True), ((310, 90), True)]
)
def test_the_example_runs_in_the_published_folder(
    tmp_path: Path, size: tuple[int, int], tiled: bool
) -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_convnext", num_classes=len(LABELS)).eval()
    data_config = resolve_model_data_config(model) | {"crop_mode": "squash", "crop_pct": 1.0}
    write_model(model, data_config, LABELS, tmp_path, tile=tiled)
    pixels = torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=torch.Generator())
    image = Image.fromarray(pixels.numpy())
    image.save(tmp_path / "image.png")

    report = example_report(model=example_model(tiled=tiled))
    assert report.reliability is not None
    rules = Rules(
        labels=LABELS,
        temperature=report.reliability.calibration.temperature,
        coverage=0.9,
        least_probability=0.1,
        costs=Costs(missed=1, false_alarm=1, review=1, no_defect=None),
        novelty_limit=None,
    )
    Decision(rules, None).write(tmp_path)
    card = render_card(report)
    code = card.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    [prediction] = Predictor(tmp_path).predict([image])
    assert done.stdout == f"{prediction.label}: {prediction.confidence:.1%}\n"
