"""Check a command line in one pass with one message, then parse it with tyro."""

from __future__ import annotations

import difflib
import itertools
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from trainer import __version__
from trainer.cli.synonyms import SYNONYMS
from trainer.config.option_types import repeated
from trainer.config.paths import shown
from trainer.errors import ConfigError
from trainer.runtime.invocation import command_line
from trainer.text.names import printable

Settings = TypeVar("Settings")

LONGEST_SHOWN = 60
# Characters that editors and web pages substitute for two hyphens.
DASHES = "-–—−"
HELP, VERSION = ("-h", "--help"), "--version"


@dataclass(frozen=True)
class Command:
    """The --help text of a command.

    Attributes:
        name: of its file in trainer/.
        purpose: one line on what it does.
        example: the options of a typical call.
        operands: what it takes besides options.
    """

    name: str
    purpose: str
    example: str
    operands: str = ""

    @property
    def call(self) -> str:
        """The start of the command line."""
        return command_line(self.name)

    @property
    def description(self) -> str:
        """The text above the options."""
        example = f"Example: {self.call} {self.example}"
        return f"{self.purpose}\n\n{example}\n\n{VERSION} prints the version."


def read_flags(
    arguments: list[str], command: Command, default: Settings, given: dict[str, str]
) -> Settings:
    """Read the options on top of `default`; for --help, print it and exit.

    Args:
        arguments: of the command line.
        command: its --help text.
        default: a dataclass of settings, grouped by nested ones.
        given: the result of `given_flags` for `arguments`.
    """
    if not given and not asks_for_help(arguments):
        return default
    return tyro.cli(
        type(default),
        args=arguments,
        # tyro appends to the default, such as the settings of a run to resume.
        default=_without_lists(default, given),
        prog=f"{command.call} {command.operands}".strip(),
        description=command.description,
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _without_lists(default: Settings, given: Collection[str]) -> Settings:
    """Return the default without the lists that the command line gives again."""
    changes: dict[str, Any] = {}
    own = repeated(type(default))
    for item in fields(default):  # type: ignore[arg-type]
        value = getattr(default, item.name)
        if is_dataclass(value):
            changes[item.name] = _without_lists(value, given)
        elif item.name in own and f"--{item.name.replace('_', '-')}" in given:
            changes[item.name] = ()
    return replace(default, **changes)  # type: ignore[type-var]


def given_flags(arguments: list[str], kind: type[Any]) -> dict[str, str]:
    """Return the options of a command line with their values; "yes" and "no" for switches.

    --version is handled here. With --help, nothing else is checked.

    Raises:
        ConfigError: an option does not exist in `kind`, or has an invalid value.
    """
    if VERSION in arguments:
        print(f"strip-defect-classifier {__version__}")  # noqa: T201 – data, asked for
        sys.exit(0)
    if asks_for_help(arguments):
        return {}
    options = {option.spelling: option for option in _options(kind)}
    given: dict[str, str] = {}
    problems = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        spelling, attached, value = word.partition("=")
        option = options.get(spelling.replace("_", "-"))
        if option is None:
            problems.append(_unknown(word, options))
            # The next argument is its value, not a second error.
            words = list(itertools.dropwhile(lambda text: not _looks_like_option(text), words))
        elif option.switches_to:
            if attached:
                problems.append(f"{spelling} takes no value; leave out ={_short(value)}")
            given[option.flag] = option.switches_to
        else:
            value, problem = _read_value(option, value if attached else None, words)
            if not problem and option.kind == Path | None:
                problem = _second_path(option.flag, given.get(option.flag, value), value)
            if problem:
                problems.append(problem)
            given[option.flag] = value
    if problems:
        raise ConfigError("\n".join(problems) + f"\n`{HELP[1]}` lists all options.")
    return given


def asks_for_help(arguments: list[str]) -> bool:
    """Return whether to print the options and do nothing else."""
    return bool(set(HELP) & set(arguments))


def split_operands(arguments: list[str], kind: type[Any]) -> tuple[list[str], list[str]]:
    """Return the words that are neither an option of `kind` nor its value, and the others."""
    options = {option.spelling: option for option in _options(kind)}
    operands: list[str] = []
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not _looks_like_option(word):
            operands.append(word)
            continue
        rest.append(word)
        option = options.get(word.replace("_", "-"))
        if option and not option.switches_to and words and not _looks_like_option(words[0]):
            rest.append(words.pop(0))
    return operands, rest


@dataclass(frozen=True)
class _Option:
    """One spelling of an option.

    Attributes:
        flag: its name.
        kind: type of its value.
        switches_to: for a switch, the value that this spelling sets.
        many: whether it takes one value or more.
    """

    spelling: str
    flag: str
    kind: Any
    switches_to: str = ""
    many: bool = False


def _options(kind: type[Any]) -> Iterator[_Option]:
    """Yield the spellings of each field, including nested dataclasses."""
    hints, lists = get_type_hints(kind), repeated(kind)
    for item in fields(kind):
        wanted, name = hints[item.name], item.name.replace("_", "-")
        if is_dataclass(wanted):
            yield from _options(wanted)  # type: ignore[arg-type]
        elif wanted is bool:
            yield _Option(f"--{name}", f"--{name}", bool, "yes")
            yield _Option(f"--no-{name}", f"--{name}", bool, "no")
        elif item.name in lists:
            yield _Option(f"--{name}", f"--{name}", str)
        elif get_origin(wanted) is tuple:
            yield _Option(f"--{name}", f"--{name}", get_args(wanted)[0], many=True)
        else:
            yield _Option(f"--{name}", f"--{name}", wanted)


def _read_value(option: _Option, attached: str | None, words: list[str]) -> tuple[str, str | None]:
    """Take the value of an option from the words after it; return it, and what is wrong with it."""
    value = attached or ""
    if attached is None and words and not _looks_like_option(words[0]):
        value = words.pop(0)
    problem = _problem(option, value)
    if problem and attached is None and words and words[0][:2] not in ("", "--"):
        problem += f"; one that begins with a hyphen is {option.flag}={_short(words[0])}"
        words.pop(0)
    # An option of several values takes all words up to the next option.
    while not problem and option.many and words and not _looks_like_option(words[0]):
        value = f"{value} {words[0]}"
        problem = _problem(option, words.pop(0))
    return value, problem


def _problem(option: _Option, value: str) -> str | None:
    """Return the problem with the value of an option, None if it is valid."""
    flag, kind, word = option.flag, option.kind, _short(value)
    if not value:
        return f"{flag} needs a value"
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        if value in (*others, last):
            return None
        return f"{flag} takes {', '.join(others)} or {last}, not '{word}'"
    if kind in (int, float):
        try:
            kind(value)
        except ValueError:
            number = "a whole number" if kind is int else "a number"
            return f"{flag} takes {number}, not '{word}'{_with_a_point(value, kind)}"
    return None


def _second_path(flag: str, first: str, second: str) -> str | None:
    """Refuse a second file or folder, which would silently replace the first one."""
    if first == second:
        return None
    return f"{flag} takes one path, not both '{shown(Path(first))}' and '{shown(Path(second))}'"


def _with_a_point(value: str, kind: type[int] | type[float]) -> str:
    """Suggest a decimal point instead of a comma."""
    number = value.replace(",", ".")
    if kind is float and number != value and number.replace(".", "", 1).isdigit():
        return f": did you mean {number}?"
    return ""


def _unknown(word: str, options: Collection[str]) -> str:
    """Report an unknown option, and suggest a similar one."""
    name, assigned, value = word.partition("=")
    meant = _meant(name.strip(DASHES).replace("_", "-").lower(), options)
    if word[:1] not in DASHES and not (assigned and meant):
        return (
            f"Unexpected word '{_short(word)}': each value follows its option, and one with "
            "spaces needs quotes"
        )
    value = f" {_short(value)}" if assigned else ""
    suggestion = f": did you mean {meant}{value}?" if meant else ""
    return f"Unrecognized option {_short(name)}{suggestion}"


def _meant(name: str, options: Collection[str]) -> str | None:
    """Return the option that a name without hyphens may mean."""
    synonym = SYNONYMS.get(name)
    if synonym and synonym.split()[0] in options:
        return synonym
    close = difflib.get_close_matches(f"--{name}", options, n=1, cutoff=0.7)
    return close[0] if close else None


def _looks_like_option(word: str) -> bool:
    return word[:1] in DASHES and word.lstrip(DASHES)[:1].isalpha()


def _short(text: str) -> str:
    word = printable(text)
    return word if len(word) <= LONGEST_SHOWN else word[:LONGEST_SHOWN] + "…"
