"""Check the settings of a run before heavy imports, train, and add the formats of --export."""

from __future__ import annotations

import logging
from pathlib import Path

from trainer.cli.command import is_main_process
from trainer.config import run_folder
from trainer.config.paths import check_paths
from trainer.config.run_folder import State
from trainer.config.settings import TrainConfig
from trainer.data.folders.location import find_sources
from trainer.exporting.packages import check_packages

logger = logging.getLogger(__name__)


def check_settings(config: TrainConfig) -> None:
    """Check the run folder, the image folder and all other paths, without heavy imports.

    Raises:
        UserError: a path does not exist or can't be used.
    """
    run_dir = config.run.run_dir
    if run_dir is not None and config.run.resume:
        if run_folder.state_of(run_dir) is State.FINISHED:
            return
    elif run_dir is not None:
        run_folder.check_start(run_dir)
    check_packages(config.export.export)
    find_sources(config.data)
    check_paths(config)
    # Importing a schema takes half a second; a missing folder is reported before.
    from trainer.data.folders.scan import check_layout

    check_layout(config.data)


def trained_folder(config: TrainConfig) -> Path:
    """Return the folder to publish: of the finished run, or after training.

    Raises:
        UserError: the data, the settings or the Hub prevent it.
    """
    check_settings(config)
    run_dir = config.run.run_dir
    finished = run_folder.finished_folder(run_dir) if run_dir else None
    if finished and run_dir:
        # Imports the card renderer, which takes a second.
        from trainer.publishing.facts import correct_facts
        from trainer.publishing.published import check_published

        check_published(finished)
        logger.info("The run in %s is finished already.", run_dir)
        correct_facts(
            run_dir, license_id=config.model.license, publish_images=config.data.publish_images
        )
        _export(config, run_dir)
        return finished
    # torch takes seconds to import; --help, wrong options and finished runs do not need it.
    from trainer.model.backbone import check_network

    check_network(config.model, config.recipe.batch_size)
    from trainer import run

    folder = run.train(config)
    if is_main_process():
        _export(config, folder.parent)
    return folder


def _export(config: TrainConfig, run_dir: Path) -> None:
    """Add the formats of --export to the published folder of a finished run."""
    if config.export.export:
        from trainer.exporting.finished_run import export_run

        export_run(run_dir, config.export.export)
