"""The commands behind the tables of results: on a tenth of the photographs, made small."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.readme_commands import (
    REPOSITORY,
    SMALL_BENCHMARKS,
    Step,
    lay_out_checkout,
    pages,
    run,
    steps,
)
from trainer import compare_models, compare_splits, train, tune
from trainer.cli.run_settings import read_train_config
from trainer.config.settings import TrainConfig
from trainer.synthetic.samples import write_samples

SHARED = REPOSITORY.parent / "shared"
PHOTOGRAPHS = SHARED / "data" / "neu" / "images"
# One photograph in this many is enough to try a command.
SHARE = 10
# How each command reads its options.
READ: dict[str, Callable[[list[str]], TrainConfig]] = {
    "trainer/train.py": lambda options: read_train_config(options, train.COMMAND),
    "trainer/compare_splits.py": lambda options: compare_splits._read(options).train,
    "trainer/compare_models.py": lambda options: compare_models._read(options).train,
    "trainer/tune.py": lambda options: tune._read(options).train,
}
# Tables that were measured by the same command show it twice.
MEASURED = [*{step.text: step for step in steps() if step.needs_photographs}.values()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout, with some of the photographs beside it."""
    beside = tmp_path_factory.mktemp("beside")
    folder = beside / "clone"
    folder.mkdir()
    lay_out_checkout(folder)
    # What `make demo` draws.
    write_samples(folder / "drawn_samples", train_per_class=6, test_per_class=2)
    (beside / "weights").symlink_to(SHARED / "weights")
    images = beside / "data" / "neu" / "images"
    for photographs in PHOTOGRAPHS.iterdir():
        (images / photographs.name).mkdir(parents=True)
        for file in sorted(photographs.iterdir())[::SHARE]:
            (images / photographs.name / file.name).symlink_to(file)
    (beside / "data" / "neu" / "boxes").symlink_to(SHARED / "data" / "neu" / "boxes")
    other = beside / "data" / "other-surfaces"
    other.symlink_to(SHARED / "data" / "other-surfaces")
    return folder


def test_commands_on_photographs_are_found() -> None:
    assert len(MEASURED) >= 11
    assert {step.page.split("/")[1] for step in MEASURED} == {"results"}


@pytest.mark.parametrize("step", MEASURED, ids=lambda step: f"{step.page}: {step.text[:60]}")
def test_measured_command_has_options_that_fit_together(step: Step) -> None:
    """Where the photographs are missing, too."""
    program, script, *options = shlex.split(step.text)
    assert program == "python"
    if script == "-m":
        assert options[0].removeprefix("benchmarks.") in SMALL_BENCHMARKS
        return
    paths = [path.rpartition("=")[2] for path in READ[script](options).data.data_dir]
    assert paths in (["../data/neu/images"], ["../data/neu/images", "drawn_samples"])


@pytest.mark.parametrize("step", MEASURED, ids=lambda step: f"{step.page}: {step.text[:60]}")
def test_files_of_a_measured_command_are_explained(step: Step) -> None:
    """The pages say where to get each folder and file beside the clone."""
    explained = pages()["docs/results/data.md"]
    for path in re.findall(r"\.\./(?:data|weights)[^\s\"]*", step.text):
        assert f"`{path}" in explained, path


@pytest.mark.nightly
@pytest.mark.real_data
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs do not lie beside this clone")
@pytest.mark.parametrize("step", MEASURED, ids=lambda step: f"{step.page}: {step.text[:60]}")
def test_measured_command_runs(step: Step, checkout: Path) -> None:
    # The shell sets it to the clone, and so does this.
    run(shlex.split(step.text.replace("$PWD", str(checkout))), checkout)
