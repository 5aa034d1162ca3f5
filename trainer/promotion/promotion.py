"""Decide whether a new model may replace the published one, and record the comparison."""

from __future__ import annotations

import logging
from pathlib import Path

from model_card.card import write_card
from model_card.formatting import counted
from model_card.schema.comparison import Comparison, NamedAccuracy, PairedResult
from space.inference.model_config import WEIGHTS_FILE
from space.inference.predictor import ModelError, Predictor
from trainer.config.run_folder import PUBLISHED_DIR
from trainer.config.run_lock import explained_failures, only_training_in
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images, prepare_images
from trainer.errors import DataError, HubError, UserError
from trainer.promotion.comparison import compare
from trainer.promotion.published_model import PublishedModel
from trainer.publishing.hub.errors import asked, hub_errors_explained
from trainer.publishing.hub.preflight import RepoState, connect, describe_repo
from trainer.publishing.published import check_published

logger = logging.getLogger(__name__)

WORDS = {
    "better": "The new model is better.",
    "equal": "These images do not distinguish the two models.",
    "worse": "The published model is better.",
}
UNKNOWN_SPLITS = (
    "The report of the published model does not name its training images. It may have seen some of "
    "these test images; then it looks better here than it is."
)


def compare_with_published(run_dir: Path, repo_id: str, *, replace_better: bool) -> RepoState:
    """Compare a finished run's model with the one in a repository; write report and card.

    Args:
        run_dir: of the run.
        repo_id: the repository, which may not exist yet.
        replace_better: whether to replace a better model, or one that can't be compared because
            the images of the run are gone.

    Returns:
        the state of the repository that was compared.

    Raises:
        HubError: the published model is better, or the Hub can't be used.
        DataError: the published folder is damaged, or the images of the run are gone.
    """
    with hub_errors_explained("model", repo_id):
        api = connect()
        if asked(api.repo_exists, repo_id):
            state = describe_repo(api, "model", repo_id)
        else:
            state = RepoState(sha="", private=False, files=frozenset())
    with only_training_in(run_dir), explained_failures(run_dir):
        folder = run_dir / PUBLISHED_DIR
        report = check_published(folder)
        comparison = report.comparison
        if comparison is not None and comparison.repo_id != repo_id:
            comparison = None
        if WEIGHTS_FILE in state.files:
            published = PublishedModel.download(repo_id, state.sha)
            if not published.is_model_of(folder):
                comparison = _compared(published, run_dir, replace_better=replace_better)
        if comparison != report.comparison:
            report.model_copy(update={"comparison": comparison}).write(folder)
            write_card(folder, repo_id)
    return state


def _compared(published: PublishedModel, run_dir: Path, *, replace_better: bool) -> Comparison:
    """Return the comparison.

    Raises:
        HubError: the published model is better.
        DataError: the images of the run are gone.
    """
    place = {"repo_id": published.repo_id, "revision": published.revision}
    try:
        config = TrainConfig.read(run_dir)
        # With folds, the images of the first, whose model is published.
        images = prepare_images(config.data, config.run, config.checks.boxes, run_dir)[0]
    except UserError as error:
        if not replace_better:
            raise DataError(
                f"This model can't be compared with the one in {published.repo_id}, which it would "
                f"replace: {error}\nNothing was uploaded. Restore the images, or replace it "
                "without a comparison: --replace-better."
            ) from error
        logger.warning("No comparison with the published model: %s", error)
        return Comparison(**place, result=None, reason="the test images were no longer available")
    try:
        most = config.checks.robustness_images
        result, reason = _result(published, run_dir / PUBLISHED_DIR, images, most)
    except ModelError as error:
        logger.warning("The published model can't be used: %s", error)
        result, reason = None, "the published model could not be loaded"
    if result is None:
        logger.warning("This model is not compared with the published one: %s.", reason)
    else:
        logger.info("%s", described(result, published))
        if result.overall.verdict == "worse" and not replace_better:
            raise HubError(_refusal(result, published))
    return Comparison(**place, result=result, reason=reason)


def _result(
    published: PublishedModel, folder: Path, images: Images, corrupted_images: int
) -> tuple[PairedResult | None, str | None]:
    """Return the result, or why there is none.

    Raises:
        ModelError: the published model can't be used.
    """
    old = published.load()
    if set(old.labels) != set(images.labels):
        return None, "the published model has other classes"
    trained_on = published.trained_on(images.bit_depth)
    new = Predictor.load(f"local-dir:{folder}", engine="pytorch")
    result = compare(new, old, images, trained_on, corrupted_images)
    if result is None:
        return None, "each test image shows a surface that one of the models was trained on"
    return result, None


def described(result: PairedResult, published: PublishedModel) -> str:
    """Return the result as a paragraph for the terminal."""
    overall = result.overall
    difference = overall.difference
    of = f" of {result.test_images:,}" if overall.images < result.test_images else ""
    lines = [
        f"Compared with {published.repo_id} at revision {published.revision[:8]} on "
        f"{counted(overall.images, 'test image')}{of} that neither model was trained on:",
        f"  accuracy {overall.new.value:.2%}, published {overall.published.value:.2%}; difference "
        f"{100 * difference.value:+.2f} points (95 % interval {100 * difference.low:+.2f} to "
        f"{100 * difference.high:+.2f}), p = {difference.p_value:.2g}.",
        f"  {WORDS[overall.verdict]}",
    ]
    lines += _changed("By class", result.classes)
    if result.robustness:
        severity = result.robustness.severity
        lines += _changed(f"Under corruption of severity {severity}", result.robustness.kinds)
    lines += [] if result.known_splits else [f"  {UNKNOWN_SPLITS}"]
    return "\n".join(lines)


def _changed(title: str, rows: list[NamedAccuracy]) -> list[str]:
    changed = [f"{row.name} {row.verdict}" for row in rows if row.verdict != "equal"]
    return [f"  {title}: {', '.join(changed) or 'no difference found'}."]


def _refusal(result: PairedResult, published: PublishedModel) -> str:
    warning = "" if result.known_splits else f" {UNKNOWN_SPLITS}"
    return (
        f"The model in {published.repo_id} is better than this one: "
        f"{result.overall.published.value:.2%} against {result.overall.new.value:.2%} on the same "
        f"{counted(result.overall.images, 'test image')}.{warning}\n"
        "Nothing was uploaded. Publish this model under another name, or replace the better one: "
        f"--replace-better. It stays loadable as "
        f"hf-hub:{published.repo_id}@{published.revision}."
    )
