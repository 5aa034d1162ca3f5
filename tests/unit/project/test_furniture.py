"""What a newcomer and a package index read: version, commands, workflows, change log."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.conftest import SCRIPTS
from trainer import __version__
from trainer.cli.flags import Command
from trainer.runtime.invocation import INSTALLED_PREFIX, command_line, space_command_line

ROOT = Path(__file__).parents[3]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMMANDS = PYPROJECT["project"]["scripts"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").iterdir())
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_each_script_is_a_command_of_the_installed_package() -> None:
    scripts = {
        path.stem for path in SCRIPTS.glob("*.py") if "COMMAND = " in path.read_text("utf-8")
    }
    assert len(scripts) >= 4
    assert {
        f"{INSTALLED_PREFIX}{stem.replace('_', '-')}": f"trainer.{stem}:command" for stem in scripts
    } == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_an_installed_command_runs_and_suggests_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module_name, _, function = COMMANDS[name].partition(":")
    module = importlib.import_module(module_name)
    monkeypatch.setattr(sys, "argv", [f"/opt/bin/{name}", "--version"])
    assert getattr(module, function)() == 0
    assert capsys.readouterr().out == f"strip-defect-classifier {__version__}\n"
    shown: Command = module.COMMAND
    assert shown.call == name
    monkeypatch.setattr(sys, "argv", [shown.name])
    assert shown.call == f"python trainer/{shown.name}"
    assert (SCRIPTS / shown.name).is_file()


def test_suggested_commands_fit_how_the_program_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["trainer/train.py"])
    assert command_line("push.py") == "python trainer/push.py"
    assert command_line("train.py", 2) == "accelerate launch --num_processes 2 trainer/train.py"
    assert space_command_line() == "python space/app.py"
    monkeypatch.setattr(sys, "argv", [r"strip-defects-train.exe"])
    assert command_line("inspect_data.py") == "strip-defects-inspect-data"
    assert command_line("train.py", 2) == "accelerate launch --num_processes 2 -m trainer.train"
    assert space_command_line() == "python -m space.app"


def test_the_version_stands_in_one_place() -> None:
    assert "version" not in PYPROJECT["project"]
    assert ROOT / PYPROJECT["tool"]["hatch"]["version"]["path"] == SCRIPTS / "__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", __version__)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    # No release is cited before there is one; the license has one place more, which must agree.
    assert "version" not in citation
    assert citation["license"] == PYPROJECT["project"]["license"]


def test_types_of_each_package_are_published() -> None:
    for package in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / package / "py.typed").is_file()


def made_in(workflow: Path) -> set[str]:
    """Return the targets of make that a workflow asks for."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    lines = "\n".join(step.get("run", "") for step in steps)
    return set(re.findall(r"\bmake ([a-z-]+)", lines))


def test_workflows_run_what_make_offers() -> None:
    made = {workflow.stem: made_in(workflow) for workflow in WORKFLOWS}
    full = {"setup", "test", "test-nightly"}
    assert made == {"docs": {"docs"}, "fast": {"lint", "test-fast"}, "full": full}
    for target in set().union(*made.values()):
        assert re.search(rf"^{target}:.*## ", MAKEFILE, re.MULTILINE), f"make {target}"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_issue_forms_are_complete(form: Path) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.stem == "config":
        assert content["blank_issues_enabled"] is False
        return
    assert {"name", "description", "body"} <= content.keys()
    ids = [field["id"] for field in content["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 1
    if form.stem == "bug":
        assert "python trainer/train.py --version" in str(content)


def test_the_changelog_is_kept_by_release() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert releases[0] == "Unreleased"
    for release in releases[1:]:
        assert re.fullmatch(r"\d+\.\d+\.\d+ – \d{4}-\d\d-\d\d", release)
    kinds = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    body = text.partition("## Unreleased\n")[2]
    before_first_kind = body.partition("### ")[0]
    assert before_first_kind.strip() == "", "each line stands under Added, Changed or Fixed"
