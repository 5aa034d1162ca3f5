"""The house rules that a machine can check: imports, names, nothing pickled, nothing heavy.

`python -m tests.unit.project.test_layout` writes the rooms and their docstrings into
docs/architecture.md.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import trainer

ROOT = Path(__file__).parents[3]
PACKAGES = ("trainer", "model_card", "space")
MODULES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
# The rooms of each package, lowest first: a module imports from its own room and from lower ones.
ROOMS = {
    "trainer": (
        "trainer.errors",
        "trainer",
        "trainer.synthetic",
        "trainer.data.overlap_search",
        "trainer.evaluation.metrics",
        "trainer.runtime",
        "trainer.text",
        "trainer.config",
        "trainer.data.folders",
        "trainer.monitoring",
        "trainer.data.images",
        "trainer.data",
        "trainer.data.splits",
        "trainer.inputs",
        "trainer.prediction.coil",
        "trainer.prediction",
        "trainer.prediction.drift",
        "trainer.prediction.run",
        "trainer.prediction.journal",
        "trainer.prediction.channels",
        "trainer.prediction.watching",
        "trainer.inspection.report",
        "trainer.inspection",
        "trainer.model",
        "trainer.decision",
        "trainer.evaluation",
        "trainer.evaluation.checks",
        "trainer.fitting",
        "trainer.publishing.report",
        "trainer.publishing",
        "trainer.publishing.hub",
        "trainer.data_needs",
        "trainer.training",
        "trainer.promotion",
        "trainer.exporting",
        "trainer.comparison",
        "trainer.tuning",
        "trainer.run",
        "trainer.cli",
    ),
    "model_card": (
        "model_card.licenses",
        "model_card.metrics",
        "model_card.schema",
        "model_card.formatting",
        "model_card.figures",
        "model_card.front_matter",
        "model_card.promises",
        "model_card.split_table",
        "model_card.sections",
        "model_card.card",
    ),
    "space": (
        "space.inference.multilabel",
        "space.inference.text",
        "space.inference.core",
        "space.inference.images",
        "space.inference.engines",
        "space.inference.drift",
        "space.inference.exported",
        "space.inference",
        "space.server",
        "space.server.gate",
        "space.batch",
        "space.feedback",
        "space.report_schema",
        "space.model_report",
        "space.model_identity",
        "space.ui",
        "space.model_pictures",
        "space.demo",
        "space.tabs",
        "space.endpoints",
        "space.app",
    ),
}
MOST_MODULES_IN_A_ROOM = 9
COMMANDS = (
    "train",
    "push",
    "predict",
    "export",
    "inspect_data",
    "compare_splits",
    "compare_models",
    "tune",
    "learning_curve",
    "push_data",
)
LARGEST_FILE_BYTES = 2_000_000
PAGE = ROOT / "docs" / "architecture.md"
WRITTEN = re.compile(r"(?<=test_layout` -->\n).*?(?=<!-- end of rooms -->)", re.DOTALL)


@cache
def tree(file: Path) -> ast.Module:
    """Return the parsed source of a module; nothing may change it."""
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imports(file: Path) -> frozenset[str]:
    """Return the full names that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def top(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.slow
def test_imports_point_one_way() -> None:
    allowed = {
        "trainer": {"trainer", "model_card", "space"},
        "model_card": {"model_card"},
        "space": {"space"},
    }
    # What predicts, rows of answers, corrections, and nothing of the web page.
    shared = (
        *("space.inference", "space.batch.row"),
        *("space.feedback.record", "space.feedback.store"),
    )
    for file in MODULES:
        package = file.relative_to(ROOT).parts[0]
        names = imports(file)
        assert top(names) & set(PACKAGES) <= allowed[package], file
        if package == "model_card":
            assert not top(names) & {"torch", "torchvision", "timm"}, file
        if package == "trainer":
            ours = {name for name in names if name.startswith("space.")}
            assert all(name.startswith(shared) for name in ours), file


@pytest.mark.parametrize("folder", ["trainer", "model_card", "space", "benchmarks", "docs"])
def test_nothing_imports_the_tests(folder: str) -> None:
    files = [*(ROOT / folder).rglob("*.py")]
    assert files
    assert [file.name for file in files if "tests" in top(imports(file))] == []


def module_of(file: Path) -> str:
    names = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def room_of(module: str) -> str | None:
    """Return the deepest room that holds a module, or None for what is no module of ours."""
    rooms = [
        room
        for room in ROOMS.get(module.partition(".")[0], ())
        if module == room or (module.startswith(f"{room}.") and room != "trainer")
    ]
    return max(rooms, key=len, default=None)


def test_no_import_runs_up() -> None:
    for file in MODULES:
        module, package = module_of(file), file.relative_to(ROOT).parts[0]
        if module.removeprefix("trainer.") in COMMANDS or module == package:
            continue
        own = room_of(module)
        assert own is not None, f"Name the room of {module} in ROOMS."
        order = ROOMS[package]
        for name in imports(file):
            room = room_of(name) if name.partition(".")[0] == package else None
            if room is not None:
                assert order.index(room) <= order.index(own), f"{module} imports {name}"


def described(path: str) -> str:
    """Return a row of a table: a room or a module, and the first line of its docstring."""
    file = ROOT / path / "__init__.py" if path.endswith("/") else ROOT / path
    text = ast.get_docstring(tree(file))
    assert text, file
    return f"| [`{path}`](../{path}) | {text.partition(chr(10))[0]} |"


def described_rooms() -> str:
    """Return a table of rooms for each package, commands and the highest room first."""
    tables = []
    for package, rooms in ROOMS.items():
        names = [room.replace(".", "/") for room in reversed(rooms) if room != package]
        paths = [f"{n}/" if (ROOT / n).is_dir() else f"{n}.py" for n in names]
        if package == "trainer":
            paths = [f"trainer/{name}.py" for name in COMMANDS] + paths
        rows = "\n".join(map(described, paths))
        tables.append(f"\n### {package}/\n\n| Room | What is in it |\n| --- | --- |\n{rows}\n")
    return "".join(tables) + "\n"


def test_rooms_are_described_by_their_docstrings() -> None:
    [written] = WRITTEN.findall(PAGE.read_text(encoding="utf-8"))
    assert written == described_rooms(), (
        "Run `python -m tests.unit.project.test_layout` and commit."
    )


def test_rooms_are_small() -> None:
    rooms: dict[Path, int] = {}
    commands = {ROOT / "trainer" / f"{name}.py" for name in COMMANDS}
    for file in MODULES:
        if file.name != "__init__.py" and file not in commands:
            rooms[file.parent] = rooms.get(file.parent, 0) + 1
    crowded = {str(room): count for room, count in rooms.items() if count > MOST_MODULES_IN_A_ROOM}
    assert crowded == {}


# Commands and the run read all settings, and so do the report, which lists them, and the facts,
# which correct the saved ones.
HOLD_ALL_SETTINGS = {
    *("trainer.run", "trainer.training", "trainer.compare_splits"),
    *("trainer.cli.run_settings", "trainer.cli.trained_folder"),
    *("trainer.compare_models", "trainer.tune"),
    *("trainer.config.settings", "trainer.config.paths"),
    *(
        "trainer.publishing.package",
        "trainer.publishing.report.writing",
        "trainer.publishing.facts",
    ),
}


def test_functions_take_the_groups_of_settings_that_they_use() -> None:
    whole, takers = {"TrainConfig", "PushConfig"}, set()
    naming = [file for file in MODULES if any(n in file.read_text(encoding="utf-8") for n in whole)]
    for file in naming:
        for node in ast.walk(tree(file)):
            # Parameters of functions, and fields of data classes.
            hint = node.annotation if isinstance(node, ast.arg | ast.AnnAssign) else None
            if hint is not None and whole & set(re.findall(r"\w+", ast.unparse(hint))):
                takers.add(module_of(file))
    assert takers == HOLD_ALL_SETTINGS


def test_commands_are_leaves() -> None:
    assert all((ROOT / "trainer" / f"{name}.py").is_file() for name in COMMANDS)
    commands = {f"trainer.{name}" for name in COMMANDS}
    for file in MODULES:
        names = imports(file)
        # `from trainer import push` names the package, too.
        inner = {name.rpartition(".")[0] for name in names}
        assert not (names | inner) & commands, file


def test_no_module_of_trainer_hides_a_library() -> None:
    """`python trainer/push.py` puts trainer/ first on the path."""
    inside = (ROOT / "trainer").iterdir()
    names = {path.stem for path in inside if path.suffix in ("", ".py") and path.name[0] != "_"}
    assert not names & set(sys.stdlib_module_names)
    # A folder of data beside trainer/ can be imported, too, but has no file.
    found = {name: find_spec(name) for name in names}
    assert {name: spec.origin for name, spec in found.items() if spec and spec.origin} == {}


def test_trainer_is_ours() -> None:
    assert Path(trainer.__path__[0]) == ROOT / "trainer"


def test_nothing_is_pickled() -> None:
    for file in MODULES:
        assert not top(imports(file)) & {"pickle", "joblib", "dill", "shelve"}, file
        source = file.read_text(encoding="utf-8")
        calls = ("torch.save(", "torch.load(", "allow_pickle")
        assert [call for call in calls if call in source] == [], file


def test_no_heavy_or_forbidden_file_is_tracked() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert files
    for file in files:
        assert file.name not in {"uv.lock", "package-lock.json", "pylock.toml"}
        assert file.suffix not in {".pt", ".pth", ".bin", ".pkl", ".ckpt"}
        assert not file.exists() or file.stat().st_size <= LARGEST_FILE_BYTES


def listed_in_readme() -> set[Path]:
    """Return the files and folders of README's tree, with the folders that they are in."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = readme.partition("## Files\n\n```\n")[2].partition("```")[0]
    found: set[Path] = set()
    above: list[Path] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        # Names, a comma or a space between them, and what they are behind two spaces or more.
        names = line.strip().partition("  ")[0].replace(",", " ").split()
        parent = above[depth - 1] if depth else ROOT
        found |= {parent / name for name in names}
        above = [*above[:depth], parent / names[-1]]
    return found


def test_readme_names_every_room_and_nothing_else() -> None:
    listed = listed_in_readme()
    assert [str(path) for path in listed if not path.exists()] == []
    # Of rooms, and of folders without listed ones inside, README says as a whole what they hold.
    parents = {path.parent for path in listed}
    rooms = {path for path in listed if path.is_dir() and path.parent != ROOT}
    whole = {path for path in listed if path.is_dir() and path not in parents}
    benchmarks = (ROOT / "benchmarks").glob("*.py")
    missing = [
        str(file.relative_to(ROOT))
        for file in (*MODULES, *benchmarks)
        if file.name != "__init__.py"
        and file not in listed
        and file.parent not in rooms
        and not whole & {*file.parents}
    ]
    assert missing == []


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(WRITTEN.sub(lambda _: described_rooms(), page), encoding="utf-8")
