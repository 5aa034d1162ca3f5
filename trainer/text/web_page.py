"""Templates of self-contained web pages: one style, everything escaped."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup, escape

from model_card import formatting


@cache
def environment(package: str) -> Environment:
    """Return the templates of a package; `text/page.css` is the style of all pages."""
    own, style = (PackageLoader(name, package_path="") for name in (package, __package__))
    environment = Environment(
        loader=ChoiceLoader([own, PrefixLoader({"text": style, package.rpartition(".")[2]: own})]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        function.__name__: function
        for function in (
            breakable,
            with_flags,
            formatting.counted,
            formatting.enumeration,
            formatting.percent,
        )
    }
    return environment


def breakable(name: str) -> Markup:
    """Allow line breaks in a long file name after a slash or an underscore."""
    return Markup(re.sub("([/_])", r"\1<wbr>", str(escape(name))))  # noqa: S704 -- escaped before


def with_flags(text: str) -> Markup:
    """Format the flags in a sentence as code, without line breaks after hyphens."""
    return Markup(re.sub(r"(--\w[\w-]*)", r"<code>\1</code>", str(escape(text))))  # noqa: S704
