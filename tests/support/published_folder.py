"""A small finished model on disk, as training leaves it, for tests that publish or serve one."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import resolve_model_data_config

from model_card.card import write_card
from model_card.schema.report import REPORT_FILE, Report
from space.inference.core.decision import Costs, Decision, Rules
from space.inference.core.fingerprint import fingerprint
from space.inference.decision_file import save_decision
from space.inference.predictor import Predictor
from tests.support.reports import LABELS, example_report
from trainer.decision.novelty import fit_detector
from trainer.model.export import write_model

ARCHITECTURE = "test_convnext"
STAGES = [0, 1, 2]
# By so much its logit, over the temperature, must lead that the others' share is below a tenth.
SURE_LEAD = 3.0
# By the fingerprint of the model.
_DECISIONS: dict[str, Decision] = {}


def write_published_folder(
    folder: Path,
    seed: int = 0,
    architecture: str = ARCHITECTURE,
    bit_depth: int = 16,
    *,
    tile: bool = False,
) -> torch.nn.Module:
    """Write a model with random weights, its report, its card and its figures into `folder`.

    Args:
        folder: does not exist yet.
        seed: of the random weights.
        architecture: timm's name; the report names another anyway.
        bit_depth: of the data set that the model was trained on.
        tile: whether it cuts long images into squares, none of which is cropped then.

    Returns:
        The model, ready to compare with what others load.
    """
    template, model = _template(seed, architecture, bit_depth, tile)
    shutil.copytree(template, folder)
    return deepcopy(model)


@cache
def _template(
    seed: int, architecture: str, bit_depth: int, tile: bool
) -> tuple[Path, torch.nn.Module]:
    """Write the folder of `write_published_folder` once a process, to be copied."""
    temporary = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    folder = Path(temporary) / "published"
    (folder / "figures").mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: torch.nn.Module = timm.create_model(architecture, num_classes=len(LABELS)).eval()
    data_config = resolve_model_data_config(model)
    if tile:
        data_config |= {"crop_mode": "squash", "crop_pct": 1.0}
    write_model(model, data_config, LABELS, folder, bit_depth=bit_depth, tile=tile)
    report = example_report()
    for number, figure in enumerate(report.figures):
        Image.new("L", (8, 8), 40 * number).save(folder / figure.file)
    report.write(folder)
    write_card(folder)
    return folder, model


def noise(seed: int) -> Image.Image:
    """Return what counts as a known surface to the decision that `write_decision` writes."""
    gray = np.random.default_rng(seed).integers(0, 256, (80, 60), np.uint8)
    return Image.fromarray(gray).convert("RGB")


def write_decision(folder: Path) -> None:
    """Write a decision to which noise is known and flat gray is not, now sure and now unsure."""
    model = fingerprint([folder / "model.safetensors", folder / "config.json"])
    if model not in _DECISIONS:
        _DECISIONS[model] = _decision(folder)
    save_decision(_DECISIONS[model], folder)
    if (folder / REPORT_FILE).exists():
        # It lists what lies beside it.
        Report.read(folder).write(folder)


def _decision(folder: Path) -> Decision:
    predictor = Predictor(folder)
    seen = predictor.observe([noise(seed) for seed in range(24)], STAGES)
    detector = fit_detector(STAGES, seen.statistics, np.arange(24) % 2)
    least, most = np.sort(seen.logits, axis=1)[:, -2:].T
    rules = Rules(
        labels=LABELS,
        # The middle one of the images is as sure as it must be for its answer to be taken.
        temperature=float(np.median(most - least)) / SURE_LEAD,
        coverage=0.9,
        least_probability=0.05,
        costs=Costs(missed=8, false_alarm=2, review=1, no_defect=None),
        novelty_limit=9 * float(detector.novelty(seen.statistics).max()),
    )
    return Decision(rules, detector)
