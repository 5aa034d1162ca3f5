"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from trainer.config.groups import RunConfig

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PRODUCT = ("trainer", "model_card", "space")
OWN = {*PRODUCT, "tests", "benchmarks", "docs"}
# Modules of space/ that import each other as siblings where they run alone.
SIBLINGS = {path.stem for path in (ROOT / "space").rglob("*")}
# Used through their command lines, by pytest or by Jupyter, never imported.
TOOLS = {
    "ipykernel",
    "mypy",
    "pre-commit",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "mkdocs-material",
    "uv",
}


@cache
def distributions() -> Mapping[str, list[str]]:
    """Return the installed distributions by the packages that they hold."""
    return packages_distributions()


def names(requirements: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def requirements_of_the_space() -> list[str]:
    lines = (ROOT / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@cache
def imported(*folders: str) -> dict[str, str]:
    """Return the distributions that folders import, each with a file that does."""
    if len(folders) > 1:
        return {name: file for folder in folders for name, file in imported(folder).items()}
    found: dict[str, str] = {}
    for file in (file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            for name in (module.partition(".")[0] for module in modules):
                if name in OWN | sys.stdlib_module_names | SIBLINGS:
                    continue
                # What is not installed is an optional package, which goes by its own name.
                for distribution in distributions().get(name, [name]):
                    found[canonicalize_name(distribution)] = str(file.relative_to(ROOT))
    return found


TRACKERS = set(get_args(get_type_hints(RunConfig)["log_with"])) - {"none"}
DECLARED = names(PROJECT["dependencies"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folders", "declared"),
    [
        (
            PRODUCT,
            DECLARED | TRACKERS | names([*EXTRAS["export"], *EXTRAS["fastervit"], *EXTRAS["mqtt"]]),
        ),
        (("benchmarks",), DECLARED | names(EXTRAS["dev"])),
        (
            ("tests", "docs"),
            DECLARED
            | names(line for extra in ("dev", "docs", "export", "mqtt") for line in EXTRAS[extra])
            | TRACKERS,
        ),
        # Optional packages run exported files and FasterViT; the Space loads none by itself.
        (
            ("space",),
            names([*requirements_of_the_space(), *EXTRAS["export"], *EXTRAS["fastervit"]]),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_imports_are_declared(folders: tuple[str, ...], declared: set[str]) -> None:
    undeclared = {name: file for name, file in imported(*folders).items() if name not in declared}
    assert undeclared == {}


@pytest.mark.slow
def test_declared_packages_are_imported() -> None:
    # torch.onnx imports it.
    assert DECLARED - imported(*PRODUCT).keys() == {"onnx"}
    unused = names(EXTRAS["dev"]) - imported("tests", "docs").keys() - TOOLS
    assert unused == {canonicalize_name(PROJECT["name"])}, "dev includes extras of its own"


def test_each_tracker_has_an_extra() -> None:
    assert EXTRAS.keys() >= TRACKERS
    for tracker in TRACKERS:
        assert names(EXTRAS[tracker]) == {tracker}


def test_declared_versions_admit_the_tested_ones() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {
        canonicalize_name(name): version for name, version in (line.split("==") for line in lines)
    }
    declared = [*PROJECT["dependencies"], *EXTRAS["dev"], *EXTRAS["docs"], *EXTRAS["export"]]
    for requirement in map(Requirement, [*declared, *requirements_of_the_space()]):
        name = canonicalize_name(requirement.name)
        if name != canonicalize_name(PROJECT["name"]):
            assert requirement.specifier.contains(tested[name]), requirement


def test_a_lower_bound_is_named_for_each_package() -> None:
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert re.fullmatch(r">=[\d.]+", str(requirement.specifier)), requirement
