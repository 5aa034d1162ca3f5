"""Numbers and names as the card and its figures write them."""

from __future__ import annotations

import re
import unicodedata
from string import digits

from markupsafe import Markup

from model_card.schema.base import Score

# Numbers stay on one line, however narrow the column of a table.
_NO_BREAK_SPACE, _WORD_JOINER = "\u00a0", "\u2060"
_RANGE = f"–{_WORD_JOINER}"
# With this many images, a hundredth of a per cent is one image.
_IMAGES_FOR_TWO_DECIMALS = 10_000
# Characters with a meaning in Markdown, HTML or the formulas of the Hub ($$…$$, \\(…\\)).
_SPECIAL = re.compile(r"""[&<>"`*\[\]|\\$~]|(?<![^\W_])_|_(?![^\W_])""")
# At the start of a line these would open a list or a heading, draw a rule or underline a heading.
_LINE_START = re.compile(r"^(?:[-+](?=\s|$)|-(?=[-\s]*$)|[=#]|[0-9]+[.)](?=\s|$))")


def decimals_for(images: int) -> int:
    """Return the number of decimals for a percentage of `images` images."""
    return 2 if images >= _IMAGES_FOR_TWO_DECIMALS else 1


def rounded(value: float, decimals: int, whole: int) -> str:
    """Round `value` (0 to `whole`), but never up to `whole` or down to 0: 99.97 becomes 99.9.

    An exact 0 or `whole` has no decimals.
    """
    if value in (0, whole):
        return f"{value:.0f}"
    step = 10.0**-decimals
    return f"{min(max(value, step), whole - step):.{decimals}f}"


def number(fraction: float, decimals: int = 1) -> str:
    """Write a fraction of 1 as a percentage without the percent sign."""
    return rounded(100 * fraction, decimals, 100)


def percent(fraction: float, decimals: int = 1) -> str:
    """Write a fraction of 1 as a percentage."""
    return f"{number(fraction, decimals)}{_NO_BREAK_SPACE}%"


def interval(score: Score, decimals: int = 1) -> str:
    """Write the 95 % interval of a proportion in percent, without the sign: “89.1–99.6”."""
    return f"{number(score.low, decimals)}{_RANGE}{number(score.high, decimals)}"


def percent_interval(score: Score, decimals: int = 1) -> str:
    """Write the 95 % interval of a proportion, as in “89.1–99.6 %”."""
    return f"{interval(score, decimals)}{_NO_BREAK_SPACE}%"


def area(fraction: float) -> str:
    """Write an area under a curve with three decimals."""
    return rounded(fraction, 3, 1)


def area_interval(score: Score) -> str:
    """Write the 95 % interval of an area under a curve."""
    return f"{area(score.low)}{_RANGE}{area(score.high)}"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write a count and its noun: “1 image”, “1,440 images”."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def mid_sentence(title: str) -> str:
    """Write a title inside a sentence: “error rate”, but “AUC” and “F1”."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def enumeration(words: list[str]) -> str:
    """Join words: “a, b and c”."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def shortlist(words: list[str], most: int = 40) -> str:
    """Join words, but of more than `most` only the first: “a, b and 98 more”."""
    if len(words) <= most:
        return enumeration(words)
    return f"{', '.join(words[:most])} and {len(words) - most:,} more"


def duration(seconds: float) -> str:
    """Write a time in its two largest units."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        words = f"{hours} h {minutes_left} min"
    elif minutes:
        words = f"{minutes} min {rest_s} s"
    else:
        words = f"{seconds:.1f} s"
    return words.replace(" ", _NO_BREAK_SPACE)


def megabytes(size: int) -> str:
    """Write a number of bytes in megabytes."""
    return f"{size / 1e6:,.1f} MB"


def one_line(text: str) -> str:
    """Put a name on one line and replace characters that can't be displayed or encoded."""
    words = re.sub(rf"[^\S{_NO_BREAK_SPACE}]+", " ", text).strip()
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") else c for c in words)


def escaped(text: str) -> Markup:
    """Return Markdown that displays `text` literally, in a paragraph, a table or an attribute.

    Character references work in all of them; a backslash does not work inside HTML.
    """

    def reference(match: re.Match[str]) -> str:
        return "".join(c if c in digits else f"&#{ord(c)};" for c in match[0])

    shown = _LINE_START.sub(reference, _SPECIAL.sub(reference, one_line(text)))
    return Markup(shown)  # noqa: S704 -- this function escapes


def fenced(code: str, language: str) -> Markup:
    """Return a Markdown code block; its fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    block = f"{fence}{language}\n{code.strip()}\n{fence}"
    return Markup(block)  # noqa: S704 -- only its fence ends the block
