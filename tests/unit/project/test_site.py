"""The site of docs/ builds, and a dead link stops it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = """# Start

[a page](gone.md), [a heading](other.md#gone), ![a picture](gone.png), [a file](../gone.py)

[this code](../LICENSE) and [this page](other.md#here) are there.
"""


def build(config: Path, site: Path) -> tuple[int, str]:
    """Build a site as `make docs` does; return exit code and messages."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", site],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_the_site_builds_without_a_dead_link(tmp_path: Path) -> None:
    code, messages = build(ROOT / "mkdocs.yml", tmp_path)
    assert code == 0, messages
    page = (tmp_path / "architecture" / "index.html").read_text(encoding="utf-8")
    assert "https://fonts." not in page, "nothing is loaded from elsewhere"
    assert list(tmp_path.rglob("*.py")) == []


@pytest.mark.slow
def test_dead_links_are_named_and_links_to_code_become_text(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "LICENSE").touch()
    (docs / "index.md").write_text(PAGE, encoding="utf-8")
    (docs / "other.md").write_text("# Other\n\n## Here\n", encoding="utf-8")
    hook = ROOT / "docs" / "outside_links.py"
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = config.replace("docs/outside_links.py", str(hook))
    (tmp_path / "mkdocs.yml").write_text(config, encoding="utf-8")
    code, messages = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert code != 0
    for dead in ("gone.md", "#gone", "gone.png", "../gone.py"):
        assert f"'{dead}'" in messages or f"{dead}'" in messages
    assert "LICENSE" not in messages
    assert "Aborted with 4 warnings" in messages

    (docs / "index.md").write_text(PAGE.rpartition("\n\n")[2], encoding="utf-8")
    code, messages = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert code == 0, messages
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "<p>this code and <a" in page
