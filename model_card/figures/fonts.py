"""Fonts for names that matplotlib's own font can't write, chosen by the characters they cover."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

logger = logging.getLogger(__name__)

# Part of matplotlib.
BASE = "DejaVu Sans"
# Preferred among fonts that cover equally much.
_PREFERRED = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "Malgun Gothic",
    "Nirmala UI",
)
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH")
# Covers everything, with boxes.
_LAST_RESORT = "Last Resort"
_NORMAL_WEIGHT, _LISTED = 400, 12
_EAST_ASIAN_PACKAGES = "Debian and Ubuntu: fonts-noto-cjk; Fedora: google-noto-sans-cjk-fonts"
_ALL_PACKAGES = "Debian and Ubuntu: fonts-noto-core, fonts-noto-cjk; Fedora: google-noto-fonts-all"
_reported: set[str] = set()


def families_for(text: str) -> list[str]:
    """Return the font families that together cover a text, as far as installed fonts can.

    Characters that no font covers are reported once, with the package to install.
    """
    uncovered = frozenset(c for c in text if ord(c) not in _covered(_base_file()) and _is_shown(c))
    if not uncovered:
        return [BASE]
    families, left = _fallbacks(uncovered)
    if left:
        _report_missing(left)
    return [BASE, *families]


def _is_shown(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


def _is_no_missing_weight(record: logging.LogRecord) -> bool:
    return "Failed to find font weight" not in str(record.msg)


# A title in regular letters, where a font has no bold ones, is nothing to report.
logging.getLogger("matplotlib.font_manager").addFilter(_is_no_missing_weight)


@cache
def _base_file() -> str:
    return str(font_manager.findfont(BASE))


@cache
def _covered(file: str) -> frozenset[int]:
    """Return the code points that the first face of a font file has glyphs for."""
    return frozenset(FT2Font(file).get_charmap())


@cache
def _fallbacks(characters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return fonts that cover characters, the best first, and the characters that none covers."""
    _add_new_fonts()
    fonts = {
        entry.name: entry.fname
        for entry in sorted(font_manager.fontManager.ttflist, key=_rank, reverse=True)
        if entry.style == "normal" and not entry.name.startswith(_LAST_RESORT)
    }
    # The last one of a name wins: the one of the best rank.
    left, chosen = set(characters), []
    found = {name: _coverage(file, characters) for name, file in reversed(fonts.items())}
    while left and found:
        best = max(found, key=lambda name: len(found[name] & left))
        if not found[best] & left:
            break
        chosen.append(best)
        left -= found.pop(best)
    return tuple(chosen), frozenset(left)


def _coverage(file: str, characters: Iterable[str]) -> set[str]:
    return {c for c in characters if ord(c) in _covered(file)}


def _rank(entry: font_manager.FontEntry) -> tuple[int, int, str]:
    """Order fonts: preferred families, then regular weights, then by name."""
    known = _PREFERRED.index(entry.name) if entry.name in _PREFERRED else len(_PREFERRED)
    weight = entry.weight if isinstance(entry.weight, int) else _NORMAL_WEIGHT
    return known, abs(weight - _NORMAL_WEIGHT), entry.name


def _add_new_fonts() -> None:
    """Let matplotlib know fonts that were installed after it made its list."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in known:
            try:
                manager.addfont(file)
            except (OSError, RuntimeError) as error:
                logger.info("The font %s can't be read: %s", file, error)


def _report_missing(characters: frozenset[str]) -> None:
    """Say once a process, and package, what to install."""
    east_asian = all(unicodedata.name(c, "").startswith(_EAST_ASIAN) for c in characters)
    packages = _EAST_ASIAN_PACKAGES if east_asian else _ALL_PACKAGES
    if packages in _reported:
        return
    _reported.add(packages)
    listed = "".join(sorted(characters)[:_LISTED]) + ("…" if len(characters) > _LISTED else "")
    logger.warning(
        "No installed font has the characters %s: figures show boxes in their place. Install a "
        "font that has them (%s).",
        listed,
        packages,
    )
