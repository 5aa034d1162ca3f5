"""README's picture shows what card, page and drawings look like today."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from docs import overview
from docs.overview import CARD, FOLDERS, OUTPUT, PANELS, SPACE, outdated_panels
from model_card.card import render_card
from space.ui import page
from space.ui.theme import CSS_FILES


def test_the_picture_is_up_to_date() -> None:
    """Else run `make demo`, then `python -m docs.overview runs/demo`, and look at the picture."""
    assert outdated_panels() == []


def test_a_picture_without_fingerprints_is_outdated(tmp_path: Path) -> None:
    with Image.open(OUTPUT) as image:
        image.save(tmp_path / "plain.png", pnginfo=None)
    assert outdated_panels(tmp_path / "plain.png") == list(PANELS)


@pytest.mark.slow
def test_each_panel_goes_out_of_date_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(page, "TITLE", "What is on this surface?")
        assert outdated_panels() == [SPACE]
    with monkeypatch.context() as changed:
        style = tmp_path / "style.css"
        style.write_text("", encoding="utf-8")
        changed.setattr(overview, "CSS_FILES", [*CSS_FILES[:-1], style])
        assert outdated_panels() == [SPACE]
    with monkeypatch.context() as changed:
        changed.setattr(
            overview, "render_card", lambda report: render_card(report).replace("Accuracy", "Hits")
        )
        assert outdated_panels() == [CARD]
    with monkeypatch.context() as changed:
        changed.setattr(overview, "draw_image", lambda *_: Image.new("L", (200, 200)))
        assert outdated_panels() == [FOLDERS]
