"""The notebook runs from its first cell to its last, on drawn images, and publishes if asked."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import clean_hub
from tests.loopback_hub import LoopbackHub
from tests.support.running_space import free_port

REPOSITORY = Path(__file__).parents[2]
SMALL = """
DRAWN_TRAIN, DRAWN_TEST = 8, 3
OPTIONS = (
    "--model test_convnext --no-pretrained --image-size 32 --epochs 1 --mixed-precision no "
    "--reference-images 0 --robustness-images 0"
)
RUN_DIR = "runs/a run"
"""
ASKED = """
SERVE = True
REPO_ID = "ada/quickstart"
"""


class Notebook:
    """The notebook's kernel, its cells by id, and what they showed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notebook = nbformat.read(REPOSITORY / "docs" / "quickstart.ipynb", as_version=4)
        self.cells = {cell.id: cell for cell in self.notebook.cells}
        self.client = NotebookClient(self.notebook, timeout=300)

    def run(self, cell_id: str) -> None:
        cell = self.cells[cell_id]
        self.client.execute_cell(cell, self.notebook.cells.index(cell))

    def set(self, values: str) -> None:
        cell = nbformat.v4.new_code_cell(values)
        self.notebook.cells.append(cell)
        self.client.execute_cell(cell, len(self.notebook.cells) - 1)

    def printed(self, cell_id: str) -> str:
        outputs = self.cells[cell_id].outputs
        return "".join(each.text for each in outputs if each.get("name") == "stdout")

    def shown(self, cell_id: str, kind: str) -> list[Any]:
        outputs = self.cells[cell_id].outputs
        return [output.data[kind] for output in outputs if kind in output.get("data", {})]


@pytest.fixture(scope="module")
def hub() -> Iterator[LoopbackHub]:
    with clean_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def executed(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """Every cell, executed with its defaults but for a small training."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_TOKEN", hub.add_token("ada"))
        environment.setenv("PYTHONPATH", str(REPOSITORY))
        environment.setenv("OMP_NUM_THREADS", "1")
        environment.setenv("GRADIO_SERVER_PORT", str(free_port()))
        environment.setenv("IPYTHONDIR", str(folder / "ipython"))
        notebook = Notebook(folder)
        with notebook.client.setup_kernel(cwd=str(folder)):
            for cell_id, cell in notebook.cells.items():
                if cell.cell_type == "code":
                    notebook.run(cell_id)
                    if cell_id == "parameters":
                        notebook.set(SMALL)
            yield notebook


@pytest.fixture(scope="module")
def published(executed: Notebook) -> Path:
    return executed.folder / "runs" / "a run" / "published"


def test_the_shown_accuracy_is_that_of_the_report(executed: Notebook, published: Path) -> None:
    report = json.loads((published / "report.json").read_text(encoding="utf-8"))
    accuracy = report["test"]["scores"]["accuracy"]["value"]
    assert f"Accuracy {accuracy:.1%} on 18 test images" in executed.printed("card")
    [card] = executed.shown("card", "text/markdown")
    # The spaces of the card do not break.
    assert re.search(rf"\| Accuracy \| \*\*{100 * accuracy:.1f}\s%\*\* \| 18\stest", card)
    assert "library_name" not in card, "the front matter is not shown"


def test_all_figures_of_the_report_are_shown(executed: Notebook, published: Path) -> None:
    report = json.loads((published / "report.json").read_text(encoding="utf-8"))
    files = [
        figure["file"] for figure in report["figures"] if (published / figure["file"]).exists()
    ]
    assert len(files) >= 2
    assert len(executed.shown("figures", "image/png")) == len(files)


def test_the_predicted_image_is_a_test_image(executed: Notebook, published: Path) -> None:
    with (published.parent / "split.csv").open(encoding="utf-8", newline="") as opened:
        tested = [row["file"] for row in csv.DictReader(opened) if row["split"] == "test"]
    file, verdict, label, confidence = executed.printed("predict").strip().split(", ")
    assert file == f"drawn_images/{tested[0]}"
    assert verdict in ("class", "unsure", "unknown")
    assert label in {path.name for path in (executed.folder / "drawn_images/train").iterdir()}
    assert 1 / 6 <= float(confidence.rstrip("%")) / 100 <= 1


def test_a_failed_command_stops_the_notebook(executed: Notebook) -> None:
    with pytest.raises(Exception, match=r"The command failed\."):
        executed.set("run(sys.executable, '-m', 'trainer.train', '--data-dir', 'missing')")


def test_it_serves_and_publishes_only_if_asked(
    executed: Notebook, published: Path, hub: LoopbackHub
) -> None:
    assert executed.printed("serve") == executed.printed("publish") == ""
    assert [request for request in hub.requests if request.method != "GET"] == []
    executed.set(ASKED)
    executed.run("serve")
    [address] = re.findall(r"^Open (\S+)", executed.printed("serve"), re.MULTILINE)
    assert address == f"http://127.0.0.1:{os.environ['GRADIO_SERVER_PORT']}"
    assert "Which surface defect is this?" in httpx.get(address, trust_env=False).text
    executed.run("publish")
    weights = published / "model.safetensors"
    assert hub.read("model", "ada/quickstart", "model.safetensors") == weights.read_bytes()
    executed.run("stop")
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
