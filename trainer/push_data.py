"""Publish checked images as a dataset on the Hub: `python trainer/push_data.py --help`."""

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from model_card.licenses import LICENSES
from trainer.cli.command import run_command
from trainer.cli.flags import Command, given_flags, read_flags
from trainer.config.groups import DataConfig, RunConfig
from trainer.config.option_types import Folder, RepoId, Text
from trainer.config.paths import (
    cache_problems,
    file_problems,
    folder_problems,
    raise_problems,
)
from trainer.config.rules import data_problems
from trainer.data.folders.location import find_sources
from trainer.errors import ConfigError
from trainer.monitoring.phases import PHASES, Phase, inspection_phases
from trainer.text.names import listed

COMMAND = Command(
    "push_data.py",
    "Publish a folder of images as a dataset on the Hugging Face Hub.",
    "--data-dir my_images --repo-id USER/NAME",
)


@dataclass(frozen=True)
class PublishingConfig:
    """Where the dataset goes on the Hub."""

    repo_id: RepoId = None
    """USER/NAME of the dataset on the Hub."""
    private: bool = True
    """Make a new dataset private: only you and your organization see the photographs."""
    license: Text = None
    """License id of the images for the card, such as cc-by-4.0."""
    boxes: Folder = None
    """Folder of Pascal VOC files, <stem>.xml for <stem>.jpg, to publish with the images."""
    seed: int = 0
    """Seed of the split."""
    cache_dir: Folder = None
    """Cache of overlap searches; default: the user's cache folder."""


@dataclass(frozen=True)
class PushDataConfig:
    """The dataset on the Hub, and the images."""

    hub: Annotated[PublishingConfig, tyro.conf.arg(name="publishing")] = field(
        default_factory=PublishingConfig
    )
    data: Annotated[DataConfig, tyro.conf.arg(name="data")] = field(default_factory=DataConfig)


def main(arguments: list[str]) -> None:
    """Check, compare and split the images; upload them; print the address."""
    given = given_flags(arguments, PushDataConfig)
    config = read_flags(arguments, COMMAND, PushDataConfig(), given)
    hub, data = config.hub, config.data
    _check(hub, data)
    PHASES.plan([*inspection_phases(data)[:-1], Phase("upload")])
    # Imported late: the libraries take seconds, which --help need not wait for.
    from trainer.data.splits.dataset import prepare_images
    from trainer.publishing.data_folder import write_data_folder
    from trainer.publishing.hub.preflight import check_can_push_data
    from trainer.publishing.hub.upload import publish_data

    repo_id = hub.repo_id or ""
    # Check name and token before the images are compared.
    check_can_push_data(repo_id, private=hub.private)
    run = RunConfig(seed=hub.seed, cache_dir=hub.cache_dir)
    [images] = prepare_images(data, run, hub.boxes, None)
    with tempfile.TemporaryDirectory() as stage:
        facts = write_data_folder(images, Path(stage), hub.license)
        PHASES.start("upload")
        title = f"Publish {sum(sum(n.values()) for n in facts.images.values()):,} images"
        print(publish_data(Path(stage), repo_id, private=hub.private, title=title))


def _check(hub: PublishingConfig, data: DataConfig) -> None:
    """Check the options that need no image.

    Raises:
        UserError: an option is missing or can't work.
    """
    if hub.repo_id is None:
        raise ConfigError("--repo-id is missing: name the dataset USER/NAME.")
    if not data.data_dir:
        raise ConfigError("--data-dir is missing: name the folder of images to publish.")
    on_hub = [source.place for source in find_sources(data) if source.kind == "hub"]
    if on_hub:
        raise ConfigError(
            f"--data-dir {listed(on_hub)} is no folder here. push_data.py publishes folders."
        )
    unused = ("folds", "feedback", "stream_images", "publish_images", "multi_label", "defects")
    given = [name for name in unused if getattr(data, name) != getattr(DataConfig(), name)]
    raise_problems(
        [
            *(
                f"--{n.replace('_', '-')} does not go with push_data.py; leave it out"
                for n in given
            ),
            *data_problems(data),
            *(
                [f"--license {hub.license} is not a license id of the Hub, such as cc-by-4.0"]
                if hub.license is not None and hub.license not in LICENSES
                else []
            ),
            *([f"--seed must be at least 0, not {hub.seed}"] if hub.seed < 0 else []),
            *file_problems("--split-file", data.split_file),
            *file_problems("--class-map", data.class_map),
            *folder_problems("--boxes", hub.boxes),
            *cache_problems(hub.cache_dir),
        ]
    )


def command() -> int:
    """Run as a command of its own; return the exit code."""
    return run_command(main)


if __name__ == "__main__":
    sys.exit(command())
