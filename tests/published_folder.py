"""A small finished model on disk, as training leaves it, for tests that publish or serve one."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from PIL import Image
from timm.data import resolve_model_data_config

from model_card.card import write_card
from tests.reports import LABELS, example_report
from trainer.export import write_model

ARCHITECTURE = "test_convnext"


def write_published_folder(folder: Path, seed: int = 0) -> torch.nn.Module:
    """Write a model with random weights, its report, its card and its figures into `folder`.

    Args:
        folder: does not exist yet.
        seed: of the random weights.

    Returns:
        The model, ready to compare with what others load.
    """
    (folder / "figures").mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: torch.nn.Module = timm.create_model(ARCHITECTURE, num_classes=len(LABELS)).eval()
    write_model(model, resolve_model_data_config(model), LABELS, folder)
    report = example_report()
    for number, figure in enumerate(report.figures):
        Image.new("L", (8, 8), 40 * number).save(folder / figure.file)
    report.write(folder)
    write_card(folder)
    return model
