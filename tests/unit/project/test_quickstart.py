"""The notebook as it is stored: no outputs, harmless defaults, an address that works everywhere."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[3]
NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
# Until the repository has an address.
PLACEHOLDER = "https://github.com/OWNER/NAME"


def defaults() -> dict[str, object]:
    [cell] = [cell for cell in CELLS if "parameters" in cell.metadata.get("tags", ())]
    values: dict[str, object] = {}
    for node in ast.parse(cell.source).body:
        assert isinstance(node, ast.Assign)
        [target] = node.targets
        if isinstance(target, ast.Tuple):
            assert isinstance(node.value, ast.Tuple)
            pairs = zip(target.elts, node.value.elts, strict=True)
        else:
            pairs = zip([target], [node.value], strict=True)
        values |= {ast.unparse(name): ast.literal_eval(value) for name, value in pairs}
    return values


def test_no_outputs_are_stored() -> None:
    assert len(CELLS) > 10
    for cell in CELLS:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def test_nothing_is_mounted_served_or_published_unless_asked() -> None:
    chosen = defaults()
    assert [chosen[name] for name in ("MOUNT_DRIVE", "SERVE", "SHARE")] == [False] * 3
    assert [chosen[name] for name in ("DATA_DIR", "REPO_ID", "SPACE_ID")] == [""] * 3
    source = "\n".join(cell.source for cell in CELLS if cell.cell_type == "code")
    assert "if IN_COLAB and MOUNT_DRIVE:\n    from google.colab import drive" in source
    assert source.count("drive.mount(") == source.count("space.app") == 1


def test_badges_open_this_notebook() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("urls", {})
    repository = urls.get("Repository", PLACEHOLDER)
    assert defaults()["REPOSITORY"] == repository
    name = repository.removeprefix("https://github.com/")
    address = f"https://colab.research.google.com/github/{name}/blob/main/docs/quickstart.ipynb"
    for page in (NOTEBOOK, ROOT / "README.md", ROOT / "docs" / "index.md"):
        found = re.findall(
            r"https://colab\.research\.google\.com/github/[^)\\\"]+", page.read_text()
        )
        assert found == [address], page
