"""Figures and examples with images of the data: in the published folder or in the run folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from model_card.schema.report import Figure, Report
from trainer.errors import DataError
from trainer.runtime.files import replaced_whole

EXAMPLES_DIR = "examples"
# In the run folder: the list of figures that show images, wherever they are.
NOTES_FILE = "image_figures.json"

_JSON = TypeAdapter(list[Figure])


def note_figures(figures: list[Figure], run_dir: Path) -> None:
    """Record which figures of a run show images, so that they can be moved later."""
    with replaced_whole(run_dir / NOTES_FILE) as partial:
        partial.write_bytes(_JSON.dump_json(figures, indent=2) + b"\n")


def noted_figures(run_dir: Path) -> list[Figure]:
    """Return the figures that show images.

    Raises:
        DataError: the list is missing or damaged.
    """
    file = run_dir / NOTES_FILE
    try:
        return _JSON.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{file} can't be read, and it lists the figures that show images. Set "
            "--publish-images as it was, or train again in another folder."
        ) from error


def publish_images(report: Report, published: Path, run_dir: Path) -> Report:
    """Move the images of a run into its published folder; return the report with them."""
    shown = noted_figures(run_dir)
    _move(shown, run_dir, published)
    return _with_figures(report, [*_others(report, shown), *shown], shared=True)


def withdraw_images(report: Report, published: Path, run_dir: Path) -> Report:
    """Move the images out of the published folder; return the report without them."""
    shown = noted_figures(run_dir)
    _move(shown, published, run_dir)
    return _with_figures(report, _others(report, shown), shared=False)


def _others(report: Report, shown: list[Figure]) -> list[Figure]:
    files = {figure.file for figure in shown}
    return [figure for figure in report.figures if figure.file not in files]


def _move(figures: list[Figure], source: Path, target: Path) -> None:
    """Move figures and examples; skip those that an interrupted move already moved."""
    examples = sorted((source / EXAMPLES_DIR).glob("*"))
    for name in [figure.file for figure in figures] + [
        path.relative_to(source).as_posix() for path in examples
    ]:
        if (source / name).exists():
            (target / name).parent.mkdir(exist_ok=True)
            (source / name).replace(target / name)
    if (source / EXAMPLES_DIR).is_dir():
        (source / EXAMPLES_DIR).rmdir()


def _with_figures(report: Report, figures: list[Figure], *, shared: bool) -> Report:
    data = report.data.model_copy(update={"images_shared": shared})
    return report.model_copy(update={"data": data, "figures": figures})
