"""What docs/architecture.md and CONTRIBUTING.md say of extensions is what the code costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.project.test_layout import PACKAGES, PAGE, ROOT

GUIDES = (PAGE, ROOT / "CONTRIBUTING.md")


def costs() -> dict[str, tuple[int, list[str]]]:
    """Return, for each thing to add, the number of files and their paths in the table."""
    table = PAGE.read_text(encoding="utf-8").partition("## How to add")[2].partition("\n|")[2]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    found = {}
    for what, count, files in rows[2:]:
        # Behind this, files that are needed in some cases only.
        always = files.partition("; if ")[0]
        found[what] = int(count), re.findall(r"`([^`]+/[^`]+)`", always)
    return found


def files_that_say(word: str) -> set[str]:
    """Return the product's files that hold a word, or are called so."""
    found = (file for package in PACKAGES for file in (ROOT / package).rglob("*.*"))
    return {
        str(file.relative_to(ROOT))
        for file in found
        if file.suffix in (".py", ".jinja")
        and (word == file.stem or word in file.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_each_named_file_exists(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text))
    named |= set(re.findall(r"\]\(([^):#]+)\)", text))
    assert len(named) > 10
    for path in named:
        example = "NAME" in path
        places = (ROOT / path, guide.parent / path)
        assert any((place.parent if example else place).exists() for place in places) or (
            example and (ROOT / path).parents[1].is_dir()
        ), path


def test_costs_are_the_number_of_named_files() -> None:
    assert {"a metric", "a corruption", "a tab of the Space"} <= costs().keys()
    for what, (count, files) in costs().items():
        assert count == len(set(files)), what


def test_a_metric_costs_the_files_that_name_one() -> None:
    _, files = costs()["a metric"]
    # The Space names the metrics of reports that do not describe them.
    earlier = {"space/inference/migration.py"}
    assert files_that_say("specificity") == set(files) | earlier


def test_a_section_with_facts_of_its_own_costs_the_files_that_name_one() -> None:
    _, files = costs()["a card section, with facts of its own"]
    naming = files_that_say("localization")
    # Its facts have a module of their own, as have other facts on boxes; earlier versions spelled
    # them in British English.
    beside = {"model_card/schema/localization.py", "space/inference/migration.py"}
    beside |= {"trainer/evaluation/checks/boxed_mistakes.py"}
    assert naming - beside == {file.replace("NAME", "localization") for file in files}


def test_a_corruption_costs_the_file_that_names_one() -> None:
    _, files = costs()["a corruption"]
    assert files_that_say("Dead pixels") == set(files)


def test_a_data_source_costs_the_files_that_list_the_kinds() -> None:
    _, files = costs()["a kind of data source"]
    listing = files_that_say('Literal["folder", "hub", "drawn", "several"]')
    reading = files_that_say("dict[SourceKind, ")
    assert listing | reading == {file for file in files if "NAME" not in file}
