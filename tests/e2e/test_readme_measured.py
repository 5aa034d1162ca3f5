"""The commands behind README's tables of results: on a tenth of the photographs, made small."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.readme_commands import (
    REPOSITORY,
    SMALL_BENCHMARKS,
    commands,
    lay_out_checkout,
    run,
)
from trainer import train
from trainer.cli.command import read_train_config

SHARED = REPOSITORY.parent / "shared"
PHOTOGRAPHS = SHARED / "data" / "neu" / "images"
# One photograph in this many is enough to try a command.
SHARE = 10
MEASURED = [line for line in commands() if "../shared" in line]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout, with some of the photographs."""
    folder = tmp_path_factory.mktemp("checkout")
    lay_out_checkout(folder)
    for photographs in PHOTOGRAPHS.iterdir():
        (folder / "some" / photographs.name).mkdir(parents=True)
        for file in sorted(photographs.iterdir())[::SHARE]:
            (folder / "some" / photographs.name / file.name).symlink_to(file)
    return folder


@pytest.mark.parametrize("line", MEASURED)
def test_measured_command_has_options_that_fit_together(line: str) -> None:
    """Where the photographs are missing, too."""
    program, script, *options = shlex.split(line)
    assert program == "python"
    if script == "-m":
        assert options[0].removeprefix("benchmarks.") in SMALL_BENCHMARKS
        return
    assert script in ("trainer/train.py", "trainer/compare_splits.py")
    config = read_train_config(options, train.COMMAND)
    assert config.data.data_dir == "../shared/data/neu/images"


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs do not lie beside this clone")
@pytest.mark.parametrize("line", MEASURED)
def test_measured_command_runs(line: str, checkout: Path) -> None:
    words = [
        word.replace("../shared/data/neu/images", "some").replace("../shared", str(SHARED))
        for word in shlex.split(line)
    ]
    run(words, checkout)
