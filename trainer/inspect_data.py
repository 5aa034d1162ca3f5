"""Check a folder of images before anyone trains on it: `python trainer/inspect_data.py --help`."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from trainer.command_line import run_command
from trainer.config import DataConfig
from trainer.option_types import Text


@dataclass(frozen=True)
class InspectConfig:
    """Look at all images of a folder and write what was found as data-report.json and index.html.

    Nothing is changed in the folder.
    """

    data_dir: str
    """Folder with train/<Class>/ and test/<Class>/ (and val/), or with <Class>/ alone; or the id
    of a dataset on the Hub."""
    class_from_name: bool = False
    """Images lie in no class folders, and their names begin with the class, as in Cr_1.bmp."""
    label_column: Text = None
    """Column that holds the classes, in a Hub dataset or in metadata.csv beside the images."""
    image_column: Text = None
    """Column that holds the images, in a Hub dataset."""
    stream_images: int = 0
    """From a dataset on the Hub, take no more than this many images of each part, those that
    trainer/train.py takes with the same number; 0 downloads all of its files."""
    output_dir: Path | None = None
    """Where the report goes. Default: runs/inspection-<name of the data>."""
    predictions: Path | None = None
    """The predictions.csv of a run, best of one with --folds 5: tells likely label errors."""
    cache_dir: Path | None = None
    """Where it is kept which images overlap, for the next look, or training, on the same images.
    Default: the user's cache folder."""


def main(arguments: list[str]) -> None:
    """Inspect as the flags say; print the path of the page."""
    config = tyro.cli(InspectConfig, args=arguments)
    # The libraries take seconds to load; --help and wrong flags need not wait for them.
    from trainer.inspection import inspector

    data = DataConfig(
        data_dir=config.data_dir,
        class_from_name=config.class_from_name,
        label_column=config.label_column,
        image_column=config.image_column,
        stream_images=config.stream_images,
    )
    page = inspector.run(data, config.output_dir, config.predictions, config.cache_dir)
    print(page)


if __name__ == "__main__":
    sys.exit(run_command(main))
