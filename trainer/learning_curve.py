"""Forecast how much more photographs would help: `python trainer/learning_curve.py --help`."""

import sys

from trainer.cli.command import run_command
from trainer.cli.flags import Command, given_flags, read_flags
from trainer.data.folders.location import find_sources
from trainer.data_needs.options import CurveConfig, check_options
from trainer.monitoring.phases import PHASES, curve_phases

COMMAND = Command(
    "learning_curve.py",
    "Measure the error with fewer images; forecast it with more, class by class.",
    "--data-dir my_images --more 100",
)


def main(arguments: list[str]) -> None:
    """Measure the curves; print what they say and the path of the result.

    The same command resumes an interrupted measurement.
    """
    given = given_flags(arguments, CurveConfig)
    config = read_flags(arguments, COMMAND, CurveConfig(), given)
    check_options(config)
    find_sources(config.data)
    PHASES.plan(curve_phases(config.data))
    # torch takes seconds to import; --help and wrong options do not need it.
    from trainer.model.backbone import check_network

    check_network(config.network, images=2)
    from trainer.data_needs import runner

    file, words = runner.run(config)
    print("\n".join(words), file=sys.stderr)
    print(file)


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
