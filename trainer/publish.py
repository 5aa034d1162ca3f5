"""Put a finished model, and a Space that serves it, on the Hugging Face Hub: one commit each."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoCard

import space
from model_card.card import write_card
from trainer.hub_checks import (
    MODEL_ID_FILE,
    check_folder,
    check_purpose,
    check_repo_id,
    connect,
    describe_repo,
    files_to_upload,
)
from trainer.hub_errors import Kind, hub_errors_explained

logger = logging.getLogger(__name__)

SPACE_FOLDER = Path(space.__path__[0])


def publish_model(folder: Path, repo_id: str, *, private: bool) -> str:
    """Upload a published folder, with its card written anew for this place.

    The repository becomes what the folder is: files of an earlier push that are no longer part of
    it are deleted in the same commit. Hidden files stay at home.

    Args:
        folder: the published folder of a finished run.
        repo_id: where to upload it; created if it does not exist.
        private: whether a new repository is private.

    Returns:
        The address of the model's page.

    Raises:
        HubError: the folder is not ready, or the Hub can't be used; the message says what to do.
    """
    check_repo_id(repo_id)
    report = check_folder(folder)
    accuracy = report.test.scores.accuracy.value
    title = f"Publish {report.model.architecture}, {accuracy:.2%} test accuracy"
    with hub_errors_explained("model", repo_id):
        api = connect()
        write_card(folder, repo_id)
        _push_folder(api, folder, "model", repo_id, private=private, title=title)
    return f"{api.endpoint}/{repo_id}"


def publish_space(repo_id: str, space_id: str, *, private: bool) -> str:
    """Upload the demo, made to serve the model `repo_id`.

    Args:
        repo_id: the model, which is on the Hub already.
        space_id: where to upload the Space; created if it does not exist.
        private: whether a new Space is private.

    Returns:
        The address of the Space's page.

    Raises:
        HubError: the Hub can't be used, or refuses the Space; the message says what to do.
    """
    check_repo_id(repo_id)
    check_repo_id(space_id)
    with hub_errors_explained("model", repo_id):
        api = connect()
        model_private = bool(api.model_info(repo_id).private)
    url = f"{api.endpoint}/spaces/{space_id}"
    with tempfile.TemporaryDirectory() as stage:
        folder = Path(stage) / "space"
        _stage_space(folder, repo_id, preload=not model_private)
        title = f"Serve {repo_id}"
        with hub_errors_explained("space", space_id):
            if not _push_folder(api, folder, "space", space_id, private=private, title=title):
                # The same demo as before: it has to fetch the model anew by itself.
                api.restart_space(space_id)
    if model_private:
        logger.warning(
            "The model %s is private, so the Space needs a token to read it: add a secret named "
            "HF_TOKEN at %s/settings, with a token of type Read.",
            repo_id,
            url,
        )
    return url


def _push_folder(
    api: HfApi, folder: Path, kind: Kind, repo_id: str, *, private: bool, title: str
) -> bool:
    """Make the repository what the folder is, in one commit; return whether that changed it."""
    api.create_repo(
        repo_id,
        repo_type=kind,
        # None leaves the choice to the organisation, some of which have only private ones.
        private=private or None,
        exist_ok=True,
        space_sdk="gradio" if kind == "space" else None,
    )
    before = describe_repo(api, kind, repo_id)
    check_purpose(before, kind, repo_id, private)
    files = dict(files_to_upload(folder))
    size_mb = sum(path.stat().st_size for path in files.values()) / 1e6
    logger.info("Uploading %d files (%.1f MB) to %s …", len(files), size_mb, repo_id)
    # The Hub needs its own .gitattributes to tell large files from small ones.
    old = {file.rfilename for file in before.siblings or []} - {".gitattributes"}
    stale = sorted(old - files.keys())
    if stale:
        logger.info("No longer part of %s, so deleted there: %s", repo_id, ", ".join(stale))
    # Not upload_folder: where Xet is used, it may make several commits of one folder.
    commit = api.create_commit(
        repo_id,
        [
            *(CommitOperationDelete(name) for name in stale),
            *(CommitOperationAdd(name, path) for name, path in files.items()),
        ],
        repo_type=kind,
        commit_message=title,
    )
    return commit.oid != before.sha


def _stage_space(folder: Path, repo_id: str, *, preload: bool) -> None:
    """Copy the demo to `folder` and fill in which model it serves.

    Args:
        folder: does not exist yet.
        repo_id: the model.
        preload: whether the Hub may put the model into the Space's image; it can't if private.
    """
    shutil.copytree(
        SPACE_FOLDER, folder, ignore=shutil.ignore_patterns("__init__.py", "__pycache__", ".*")
    )
    (folder / MODEL_ID_FILE).write_text(f"hf-hub:{repo_id}\n", encoding="utf-8")
    readme = RepoCard.load(folder / "README.md")
    readme.data["models"] = [repo_id]
    if preload:
        readme.data["preload_from_hub"] = [repo_id]
    readme.save(folder / "README.md")
