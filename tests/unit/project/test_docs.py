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
    "dataloader_persistent_workers", "logdir", "repo-type", "local-dir", "amp-dtype", "openvino",
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
    assert "| `division` | `given` or `partly given` or `file` or `grouped` or `random` |" in report


def test_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= MOST_LINES_OF_README


def test_links_lead_somewhere() -> None:
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith("https://"):
                continue
            path, _, anchor = target.partition("#")
            linked = (REPOSITORY / page).parent / path if path else REPOSITORY / page
            assert linked.exists(), f"{page}: {target}"
            if anchor:
                found = anchors(linked.read_text(encoding="utf-8"))
                assert anchor in found, f"{page}: {target}"


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_start_page_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w/-]+\.md)", PAGES["docs/index.md"]))
    folder = REPOSITORY / "docs"
    pages = {str(page.relative_to(folder)) for page in folder.rglob("*.md")} - {"index.md"}
    assert linked == pages


@pytest.fixture(scope="module")
def known_options(generated: dict[str, str]) -> set[str]:
    """Options of our commands and benchmarks, and those of others that pages name."""
    known = set(re.findall(r"`--([\w-]+)", generated["cli.md"])) | {"help", "version"}
    known |= {f"no-{name}" for name in known} | OF_OTHERS
    for benchmark in (REPOSITORY / "benchmarks").glob("*.py"):
        # Parameters of their `main`, from which tyro makes options.
        source = benchmark.read_text(encoding="utf-8")
        known |= {name.replace("_", "-") for name in re.findall(r"\b(\w+): ", source)}
        known |= {f"no-{name.replace('_', '-')}" for name in re.findall(r"\b(\w+): bool", source)}
    return known


def test_options_exist(known_options: set[str]) -> None:
    """A renamed option is renamed in the pages, too."""
    for page, text in WRITTEN.items():
        named = set(re.findall(r"(?<![\w-])--([a-z][\w-]*)", text))
        assert named - known_options == set(), page


def test_programs_exist() -> None:
    """Those inside a sentence, too."""
    for page, text in WRITTEN.items():
        for module in re.findall(r"python -m ((?:benchmarks|docs)\.[a-z_]+)", text):
            file = REPOSITORY / f"{module.replace('.', '/')}.py"
            assert file.is_file(), f"{page}: {module}"
        for script in re.findall(r"python ((?:trainer|space)/\S+?\.py)", text):
            assert (REPOSITORY / PurePosixPath(script)).is_file(), f"{page}: {script}"


def test_words_are_those_of_the_field() -> None:
    found = {
        page: re.findall(rf"\b(?:{OLD_WORDS})\b", text, re.IGNORECASE)
        for page, text in WRITTEN.items()
    }
    assert {page: words for page, words in found.items() if words} == {}
