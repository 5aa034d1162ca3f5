"""README and docs: generated pages, links, options that they name, words, length."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from docs.reference_pages import FOLDER
from docs.reference_pages import pages as generated_pages
from tests.support.readme_commands import REPOSITORY, pages

PAGES = pages()
GENERATED = ("cli.md", "report.md")
WRITTEN = {name: text for name, text in PAGES.items() if name.rpartition("/")[2] not in GENERATED}
MOST_LINES_OF_README = 200
# Words of an earlier vocabulary, which the field does not use.
OLD_WORDS = (
    r"told|tells?|telling|anew|bears?|borne|mends?|rightly|strange\w*|foreign|judge[sd]?|befalls"
)
# Options of accelerate, timm, transformers and tensorboard.
OF_OTHERS = {
    "num_processes", "multi_gpu", "num_machines", "machine_rank", "main_process_ip",
    "main_process_port", "channels-last", "color-jitter", "amp", "dataloader_num_workers",
    "dataloader_persistent_workers", "logdir", "repo-type", "local-dir",
}  # fmt: skip


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """What `python -m docs.reference_pages` writes today."""
    return generated_pages()


@pytest.mark.parametrize("name", GENERATED)
def test_generated_page_is_up_to_date(name: str, generated: dict[str, str]) -> None:
    """Else run `python -m docs.reference_pages`."""
    assert (FOLDER / name).read_text(encoding="utf-8") == generated[name]


def test_reference_names_options_and_fields(generated: dict[str, str]) -> None:
    """What the generator reads is all there: groups, a switch, a choice, a wrapped sentence."""
    cli, report = generated["cli.md"], generated["report.md"]
    assert "### train.py: training options\n\nThe training recipe.\n\n| Option" in cli
    assert "| `--tile` | Cut long images into squares" in cli
    assert "| `--tune {all,head}` | " in cli
    assert "with --no-pretrained; 0 uses the network's default. (default: 0.0) |" in cli
    # Of push.py and push_data.py.
    assert cli.count("`--repo-id USER/NAME`") == 2
    assert cli.count("`--label-smoothing FLOAT`") == 1
    assert "| `scores` | object: string → [Score](#score) | of all classes" in report
    assert "| `metrics` | list of [Metric](#metric) (optional) | the metrics of" in report
    assert "| `confusion` | list of list of integer | rows: true class" in report
    assert "| `division` | `given` or `file` or `grouped` or `random` |" in report


def test_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= MOST_LINES_OF_README


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_start_page_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w/-]+\.md)", PAGES["docs/index.md"]))
    folder = REPOSITORY / "docs"
    pages = {str(page.relative_to(folder)) for page in folder.rglob("*.md")} - {"index.md"}
    assert linked == pages


@pytest.mark.parametrize("page", WRITTEN)
def test_options_exist(page: str, generated: dict[str, str]) -> None:
    """A renamed option is renamed in the pages, too."""
    known = set(re.findall(r"`--([\w-]+)", generated["cli.md"])) | {"help", "version"}
    known |= {f"no-{name}" for name in known} | OF_OTHERS
    for benchmark in (REPOSITORY / "benchmarks").glob("*.py"):
        # Parameters of their `main`, from which tyro makes options.
        annotated = re.findall(r"\b(\w+): ", benchmark.read_text(encoding="utf-8"))
        known |= {name.replace("_", "-") for name in annotated}
    named = set(re.findall(r"(?<![\w-])--([a-z][\w-]*)", WRITTEN[page]))
    assert named - known == set()


@pytest.mark.parametrize("page", WRITTEN)
def test_programs_exist(page: str) -> None:
    """Those inside a sentence, too."""
    for module in re.findall(r"python -m ((?:benchmarks|docs)\.[a-z_]+)", WRITTEN[page]):
        assert (REPOSITORY / f"{module.replace('.', '/')}.py").is_file(), module
    for script in re.findall(r"python ((?:trainer|space)/\S+?\.py)", WRITTEN[page]):
        assert (REPOSITORY / PurePosixPath(script)).is_file(), script


@pytest.mark.parametrize("page", WRITTEN)
def test_words_are_those_of_the_field(page: str) -> None:
    assert re.findall(rf"\b(?:{OLD_WORDS})\b", WRITTEN[page], re.IGNORECASE) == []
