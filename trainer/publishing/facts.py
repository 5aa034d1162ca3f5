"""Correct facts of a run that do not affect its result, such as its license, without training."""

from __future__ import annotations

import logging
import shlex
from dataclasses import replace
from pathlib import Path

from model_card.card import write_card
from model_card.schema.report import Report
from trainer.config.run_folder import finished_folder
from trainer.config.settings import FACTS, TrainConfig
from trainer.publishing.published import check_published
from trainer.publishing.report.shared_images import publish_images, withdraw_images
from trainer.runtime.files import disk_errors_explained

logger = logging.getLogger(__name__)


def correct_facts(run_dir: Path, *, license_id: str | None, publish_images: bool) -> None:
    """Write facts into the settings, reports and cards of a run and its folds.

    Args:
        run_dir: of the run.
        license_id: of the model, None for that of its initial weights.
        publish_images: whether example images of the test split are published.

    Raises:
        DataError: a published folder is damaged, or the list of figures with images is missing.
        UserError: the disk is full or not writable.
    """
    saved = TrainConfig.read(run_dir)
    wanted = replace(
        saved,
        data=replace(saved.data, publish_images=publish_images),
        model=replace(saved.model, license=license_id),
    )
    if wanted == saved:
        return
    with disk_errors_explained(run_dir, "Then run the same command again."):
        for folder in (run_dir, *sorted(run_dir.glob("fold-*"))):
            published = finished_folder(folder)
            if published:
                _correct(published, folder, wanted, saved)
        wanted.write(run_dir)
    for now, before in zip(wanted.settings(), saved.settings(), strict=True):
        if now.value != before.value:
            logger.info("Corrected: %s is %s, was %s.", now.flag, now, before)


def _correct(published: Path, run_dir: Path, wanted: TrainConfig, saved: TrainConfig) -> None:
    # Check first: new checksums would hide damage.
    report = check_published(published)
    if wanted.model.license != saved.model.license:
        model = report.model.model_copy(update={"license": wanted.model.license})
        report = report.model_copy(update={"model": model})
    if wanted.data.publish_images != saved.data.publish_images and report.data.kind != "drawn":
        move = publish_images if wanted.data.publish_images else withdraw_images
        report = move(report, published, run_dir)
    _with_settings(report, wanted).write(published)
    write_card(published)


def _with_settings(report: Report, wanted: TrainConfig) -> Report:
    """Return the report with the new facts in its settings and its command."""
    values = {item.flag: item for item in wanted.settings() if item.flag in FACTS}
    settings = [
        row.model_copy(update={"value": str(values[row.flag])}) if row.flag in values else row
        for row in report.training.settings
    ]
    words = _without_facts(shlex.split(report.training.command))
    if wanted.model.license is not None:
        words += ["--license", wanted.model.license]
    if wanted.data.publish_images:
        words.append("--publish-images")
    training = report.training.model_copy(
        update={"settings": settings, "command": shlex.join(words)}
    )
    return report.model_copy(update={"training": training})


def _without_facts(words: list[str]) -> list[str]:
    words = [word for word in words if word != "--publish-images"]
    if "--license" in words:
        place = words.index("--license")
        del words[place : place + 2]
    return words
