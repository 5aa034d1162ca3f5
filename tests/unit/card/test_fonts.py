"""Names in any script: an installed font that covers them is used, or one line says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from model_card.figures import fonts
from model_card.figures.fonts import BASE, families_for
from model_card.figures.style import save_figure, styled

# Tangut and Nushu letters, which hardly any machine has a font for.
TANGUT, NUSHU = "\U00017000", "\U0001b170"


@pytest.fixture(autouse=True)
def _own_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only matplotlib's own fonts, and nothing reported yet."""
    own = [e for e in font_manager.fontManager.ttflist if "mpl-data" in e.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    monkeypatch.setattr(fonts, "_reported", set())
    fonts._fallbacks.cache_clear()
    yield
    fonts._fallbacks.cache_clear()


def font_with(characters: str, family: str, folder: Path) -> str:
    """Write a font of solid squares."""
    pen = TTGlyphPen(None)
    for place, point in enumerate([(100, 0), (100, 800), (900, 800), (900, 0)]):
        (pen.lineTo if place else pen.moveTo)(point)
    pen.closePath()
    square, names = pen.glyph(), [".notdef", *(f"g{i}" for i in range(len(characters)))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, characters), names[1:], strict=True)))
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    file = folder / f"{family}.ttf"
    builder.save(file)
    return str(file)


@styled
def figure_of(name: str) -> Figure:
    figure = Figure(figsize=(2, 1))
    axes = figure.subplots()
    axes.set_xticks([0, 1], [name, "Scratch"])
    axes.set_title(name)
    return figure


def test_latin_names_need_no_other_font(caplog: pytest.LogCaptureFixture) -> None:
    assert families_for("Kratzer, Éraflure, царапина µ ✓ → \n\t") == [BASE]
    assert not caplog.messages


def test_the_font_that_covers_a_name_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = [
        font_with(NUSHU, "Aaa", tmp_path),
        font_with(TANGUT + NUSHU + "\U00017001", "Zzz", tmp_path),
    ]
    # As if installed after matplotlib made its list.
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    assert families_for("a" + TANGUT + NUSHU) == [BASE, "Zzz"]
    figure = figure_of(TANGUT)
    save_figure(figure, tmp_path / "with.png")
    drawn = [text for text in figure.findobj(Text) if TANGUT in text.get_text()]
    assert len(drawn) == 3
    assert all("Zzz" in text.get_fontfamily() for text in drawn)
    assert not caplog.messages
    # Solid squares are drawn, no boxes of the last resort.
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    monkeypatch.setattr(
        font_manager.fontManager,
        "ttflist",
        [e for e in font_manager.fontManager.ttflist if e.name != "Zzz"],
    )
    fonts._fallbacks.cache_clear()
    save_figure(figure_of(TANGUT), tmp_path / "without.png")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "without.png").read_bytes()


def test_what_no_font_covers_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, name in enumerate(["划痕", "夹杂", "划痕 夹杂"]):
        save_figure(figure_of(name), tmp_path / f"{number}.png")
    [message] = caplog.messages
    assert message.startswith("No installed font has the characters 划痕: ")
    assert "Debian and Ubuntu: fonts-noto-cjk;" in message
    save_figure(figure_of(TANGUT), tmp_path / "other.png")
    assert "fonts-noto-core" in caplog.messages[1]
