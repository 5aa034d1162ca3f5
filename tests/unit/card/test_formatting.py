"""Numbers are never rounded to more than they are, and names are shown as they are."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from model_card import formatting
from model_card.schema.base import Score
from tests.support.drawn_text import CHARACTERS

NO_BREAK = "\u00a0"
names = st.text(CHARACTERS, min_size=1).filter(lambda text: formatting.one_line(text) != "")


class ShownText(HTMLParser):
    """What a reader of a page sees, and the tags around it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.alternatives = "", [], []
        self.feed(page)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.alternatives += [value for name, value in attrs if name == "alt"]

    text: str
    tags: list[str]
    alternatives: list[str | None]


def rendered(markdown: str) -> ShownText:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return ShownText(parser.render(markdown))


@pytest.mark.parametrize(
    ("fraction", "decimals", "shown"),
    [
        (0.5, 1, "50.0"),
        (47 / 48, 1, "97.9"),
        (1.0, 1, "100"),
        (0.0, 1, "0"),
        (0.9997, 1, "99.9"),
        (0.9997, 2, "99.97"),
        (0.00001, 1, "0.1"),
        (0.99949, 1, "99.9"),
    ],
)
def test_percentages(fraction: float, decimals: int, shown: str) -> None:
    assert formatting.number(fraction, decimals) == shown
    assert formatting.percent(fraction, decimals) == f"{shown}{NO_BREAK}%"


@given(st.floats(0, 1), st.integers(1, 3))
def test_only_exact_values_look_exact(fraction: float, decimals: int) -> None:
    shown = formatting.number(fraction, decimals)
    assert ("." not in shown) == (100 * fraction in (0, 100))
    assert float(shown) == pytest.approx(100 * fraction, abs=10**-decimals)


def test_more_decimals_for_many_images() -> None:
    assert (formatting.decimals_for(9_999), formatting.decimals_for(10_000)) == (1, 2)


def test_intervals_stay_on_one_line() -> None:
    score = Score(value=0.5, low=0.25, high=1)
    assert formatting.percent_interval(score) == f"25.0–\u2060100{NO_BREAK}%"
    assert formatting.interval(score) == "25.0–\u2060100"
    assert formatting.area_interval(score) == "0.250–\u20601"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59.4 s"), (59.6, "1 min 0 s"), (3725, "1 h 2 min")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert formatting.duration(seconds) == shown.replace(" ", NO_BREAK)


def test_counts_and_lists() -> None:
    assert formatting.counted(1, "image") == "1 image"
    assert formatting.counted(1440, "image") == "1,440 images"
    assert formatting.counted(2, "class", "classes") == "2 classes"
    assert formatting.enumeration(["a"]) == "a"
    assert formatting.enumeration(["a", "b", "c"]) == "a, b and c"
    assert formatting.megabytes(13_527_152) == "13.5 MB"


@given(names)
@example("a|b")
@example("1. one")
@example("- - -")
@example("__init__")
@example("--")
@example("a\n\n# b\r\n---\n")
@example("![x](javascript:alert(1)) [y]: z")
@example("<script>alert(1)</script>")
@example("`code` *bold* ~~gone~~ \\* &amp; $$x$$")
def test_a_name_is_shown_as_it_is(name: str) -> None:
    expected = formatting.one_line(name)
    shown = str(formatting.escaped(name))

    in_list = rendered(f"- {shown}")
    assert in_list.text.strip("\n") == expected
    assert in_list.tags == ["ul", "li"]

    in_table = rendered(f"| head | b |\n| --- | --- |\n| {shown} | end |\n")
    assert [line for line in in_table.text.split("\n") if line] == ["head", "b", expected, "end"]

    in_html = rendered(f"a <code>{shown}</code> z")
    assert in_html.text == f"a {expected} z\n"
    assert in_html.tags == ["p", "code"]

    as_alternative = rendered(f"![{shown}](figures/a.png)")
    assert as_alternative.alternatives == [expected]


@given(
    st.text(CHARACTERS).filter(lambda code: code.strip() and "\r" not in code and "\0" not in code)
)
@example("```\nrm -rf\n```")
def test_code_stays_in_its_block(code: str) -> None:
    [block] = MarkdownIt("commonmark").parse(f"{formatting.fenced(code, 'bash')}\n")
    assert (block.type, block.info) == ("fence", "bash")
    assert block.content == code.strip() + "\n"


@given(names)
def test_a_name_becomes_one_encodable_line(name: str) -> None:
    line = formatting.one_line(name)
    line.encode("utf-8")
    assert not re.search(r"[\n\r\t\x00-\x1f\u2028]", line)


def test_a_shortlist_ends_with_the_number_of_the_others() -> None:
    words = [f"w{i}" for i in range(1041)]
    assert formatting.shortlist(words[:3]) == "w0, w1 and w2"
    assert formatting.shortlist(words[:40]).endswith("w38 and w39")
    assert formatting.shortlist(words).endswith("w39 and 1,001 more")


@pytest.mark.parametrize(
    ("title", "inside"),
    [("Error rate", "error rate"), ("AUC", "AUC"), ("F1", "F1"), ("F", "F"), ("", "")],
)
def test_a_title_inside_a_sentence(title: str, inside: str) -> None:
    assert formatting.mid_sentence(title) == inside
