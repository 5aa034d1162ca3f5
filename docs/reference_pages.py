"""Write `docs/reference/cli.md` and `report.md` again: `python -m docs.reference_pages`.

The options come from each command's `--help`, the fields from the schema of `report.json`. A test
fails while a page differs from what this writes.
"""

from __future__ import annotations

import importlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from unittest import mock

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from model_card.schema.report import Report

REPOSITORY = Path(__file__).parents[1]
FOLDER = Path(__file__).with_name("reference")
COMMANDS = (
    "train",
    "predict",
    "export",
    "inspect_data",
    "learning_curve",
    "compare_splits",
    "compare_models",
    "tune",
    "push",
    "push_data",
)
# Wider, and the groups of options stand side by side.
HELP_COLUMNS = "80"
JSON_NAMES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
Groups = dict[str, tuple[str, list[tuple[str, str]]]]

CLI_INTRODUCTION = """# Command line

Generated from `--help` by `python -m docs.reference_pages`. Some options have a longer
[explanation](options.md). A switch such as `--tile` is turned off by `--no-tile`.
"""
REPORT_INTRODUCTION = f"""# report.json

Generated from the schema `model_card.schema.report.Report` by `python -m docs.reference_pages`.
Every published folder holds one `report.json`; the model card and the web page show nothing else.
Shares lie between 0 and 1. Start at [{Report.__name__}](#{Report.__name__.lower()}).
"""


def main() -> None:
    """Write both pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the text of each generated page by file name."""
    return {"cli.md": cli_page(), "report.md": report_page()}


def cli_page() -> str:
    """Return the options of all commands as tables; those shared with `train.py` once."""
    sections = [CLI_INTRODUCTION]
    common: Groups = {}
    for command in COMMANDS:
        purpose, example, groups = read_help(_help_of(command))
        sections.append(f"## {command}.py\n\n{purpose}\n\n    {example}\n")
        shared = [title for title, group in groups.items() if common.get(title) == group]
        for title, (purpose_of_group, options) in groups.items():
            if title not in shared:
                known = common.get(title, ("", []))[1]
                rows = [
                    f"| `{n}` | {_cell(text)} |" for n, text in options if (n, text) not in known
                ]
                table = "\n".join(["| Option | Meaning |", "| --- | --- |", *rows])
                heading = f"### {command}.py: {title}"
                others = "The others are those of [train.py](#trainpy)." if known else ""
                parts = [heading, " ".join(filter(None, (purpose_of_group, others))), f"{table}\n"]
                sections.append("\n\n".join(filter(None, parts)))
        if shared:
            names = ", ".join(title.removesuffix(" options") for title in shared)
            sections.append(f"Also takes these options of [train.py](#trainpy): {names}.\n")
        common = common or groups
    return "\n".join(sections)


def read_help(text: str) -> tuple[str, str, Groups]:
    """Take the output of `--help` apart.

    Returns:
        The command's purpose, its example, and its groups of options by title: what a group is
        for, and its options with their meanings.
    """
    rows = text.splitlines()
    purpose = next(row for row in rows[1:] if row)
    example = next(row for row in rows if row.startswith("Example: "))
    groups: Groups = {}
    for box in re.split(r"^╭─ ", text, flags=re.MULTILINE)[1:]:
        first, *lines = box.splitlines()
        title = first.strip("╮─ ")
        options: list[tuple[str, str]] = []
        introduction = ""
        for line in lines:
            row = line.strip("│╰╯─ ")
            name, _, meaning = row.partition("  ")
            if not row:
                continue
            # What continues a sentence is indented, and may begin with an option, too.
            if line.startswith("│ -"):
                options.append((re.sub(r", --no-\S+", "", name), meaning.strip()))
            elif options:
                options[-1] = (options[-1][0], f"{options[-1][1]} {row}".strip())
            else:
                introduction = row
        if title != "options":
            groups[title] = (introduction, options)
        elif len(options) > 1:  # --help itself is no news
            groups["options"] = (introduction, [o for o in options if "--help" not in o[0]])
    return purpose, example.removeprefix("Example: "), groups


def report_page() -> str:
    """Return the fields of `report.json`, a table for each object, in the order of first use."""
    return "\n".join([REPORT_INTRODUCTION, *map(_object_section, _objects(Report))])


def _help_of(command: str) -> str:
    module = importlib.import_module(f"trainer.{command}")
    # The borders depend on the encoding.
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with (
        mock.patch.dict(os.environ, {"COLUMNS": HELP_COLUMNS, "NO_COLOR": "1"}),
        redirect_stdout(printed),
        suppress(SystemExit),
    ):
        module.main(["--help"])
    printed.seek(0)
    return printed.read()


def _objects(schema: type[BaseModel], seen: set[str] | None = None) -> Iterator[type[BaseModel]]:
    """Yield a schema and those that its fields hold, each once."""
    seen = set() if seen is None else seen
    if schema.__name__ in seen:
        return
    seen.add(schema.__name__)
    yield schema
    for _, field in _fields(schema):
        for held in _schemas_in(field.annotation):
            yield from _objects(held, seen)


def _fields(schema: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Return the fields of a schema; those that older reports lack come last."""
    return sorted(schema.model_fields.items(), key=lambda named: not named[1].is_required())


def _schemas_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _schemas_in(argument)


def _object_section(schema: type[BaseModel]) -> str:
    purpose = inspect.cleandoc(schema.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    rows = []
    for name, field in _fields(schema):
        meaning = _cell(field.description or "")
        optional = "" if field.is_required() else " (optional)"
        rows.append(f"| `{name}` | {_type_name(field.annotation)}{optional} | {meaning} |")
    table = "\n".join(["| Field | Type | Meaning |", "| --- | --- | --- |", *rows])
    return f"## {schema.__name__}\n\n{purpose}\n\n{table}\n"


def _type_name(annotation: Any) -> str:
    """Name a type in JSON's words; an object by a link to its section."""
    if annotation in JSON_NAMES:
        return JSON_NAMES[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    names = [f"`{each}`" if origin is Literal else _type_name(each) for each in arguments]
    if not names:
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if origin is list:
        return f"list of {names[0]}"
    if origin is tuple:
        return f"list of {len(names)}: {', '.join(names)}"
    if origin is dict:
        return f"object: {names[0]} → {names[1]}"
    return " or ".join(names)


def _cell(text: str) -> str:
    """Return text for a cell of a table, in JSON's words; placeholders are not tags of HTML."""
    text = re.sub(r"\bNone\b", "null", " ".join(text.split()).replace("|", "\\|"))
    return re.sub(r"(\S*<[^>]*>(?:\.\w+)?)", r"`\1`", text)


if __name__ == "__main__":
    main()
