"""A hook of mkdocs: links to files outside docs/, which the site does not hold, become text.

On GitHub they open the file. The site has no address of a repository to lead to. A link to a file
that does not exist is left alone: mkdocs reports it.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

# [text](target), and no picture.
LINK = re.compile(r"(?<!!)\[([^\]\[]+)\]\(([^)\s]+)\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace links that lead out of docs/ by their text."""
    docs = Path(config.docs_dir).resolve()
    folder = Path(page.file.abs_src_path or docs).parent

    def replaced(link: re.Match[str]) -> str:
        target = link[2].partition("#")[0]
        if not target or "://" in target:
            return link[0]
        path = (folder / target).resolve()
        return link[1] if path.exists() and not path.is_relative_to(docs) else link[0]

    return LINK.sub(replaced, markdown)
