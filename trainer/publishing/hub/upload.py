"""Upload a model, and a Space that serves it, to the Hugging Face Hub, in one commit each."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoCard
from huggingface_hub.errors import HfHubHTTPError

import space
from model_card.card import write_card
from model_card.schema.checksums import published_files
from model_card.schema.report import REPORT_FILE
from trainer.errors import HubError
from trainer.publishing.hub.errors import RUN_AGAIN, Kind, asked, hub_errors_explained
from trainer.publishing.hub.preflight import (
    MODEL_ID_FILE,
    RepoState,
    check_purpose,
    check_repo_id,
    connect,
    describe_repo,
)
from trainer.publishing.published import LISTED_FILES, check_published
from trainer.runtime.files import disk_errors_explained

logger = logging.getLogger(__name__)

SPACE_FOLDER = Path(space.__path__[0])
# How often a push starts again because another user changed the repository meanwhile.
ATTEMPTS = 3
# Conflict, and precondition failed: the parent is no longer the newest commit.
CONFLICTS = (409, 412)


def publish_model(
    folder: Path,
    repo_id: str,
    *,
    private: bool,
    space_id: str | None = None,
    replaced: RepoState | None = None,
) -> str:
    """Upload a published folder, with its card written for this repository.

    Afterwards the repository equals the folder: files of an earlier push that are no longer part of
    it are deleted in the same commit. Hidden files are not uploaded.

    Args:
        folder: the published folder of a finished run.
        repo_id: of the model; created if it does not exist.
        private: whether a new repository is private.
        space_id: the Space that will serve the model; the card links to it.
        replaced: the state of the repository that the model was compared with; None replaces any.

    Returns:
        The address of the model's page.

    Raises:
        DataError: the folder is damaged, or contains files that training did not write.
        HubError: the Hub can't be used; the message says what to do.
    """
    check_repo_id(repo_id)
    report = check_published(folder)
    accuracy = report.test.scores["accuracy"].value
    title = f"Publish {report.model.architecture}, {accuracy:.2%} test accuracy"
    api = connect()
    with disk_errors_explained(folder, RUN_AGAIN):
        write_card(folder, repo_id, space_id)
    with hub_errors_explained("model", repo_id):
        _push_folder(api, folder, "model", repo_id, private=private, title=title, replaced=replaced)
    return f"{api.endpoint}/{repo_id}"


def publish_data(folder: Path, repo_id: str, *, private: bool, title: str) -> str:
    """Upload the folder of a dataset; afterwards the repository equals it.

    Args:
        folder: of `trainer.publishing.data_folder`.
        repo_id: of the dataset; created if it does not exist.
        private: whether a new dataset is private.
        title: of the commit.

    Returns:
        The address of the dataset's page.

    Raises:
        HubError: the Hub can't be used; the message says what to do.
    """
    check_repo_id(repo_id)
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8").replace("USER/NAME", repo_id)
    card.write_text(text, encoding="utf-8")
    with hub_errors_explained("dataset", repo_id):
        api = connect()
        _push_folder(api, folder, "dataset", repo_id, private=private, title=title)
    return f"{api.endpoint}/datasets/{repo_id}"


def publish_space(repo_id: str, space_id: str, *, private: bool) -> str:
    """Upload the Space, configured to serve the model `repo_id`.

    Args:
        repo_id: a model on the Hub.
        space_id: of the Space; created if it does not exist.
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
        model_private = describe_repo(api, "model", repo_id).private
    url = f"{api.endpoint}/spaces/{space_id}"
    with tempfile.TemporaryDirectory() as stage:
        folder = Path(stage) / "space"
        _stage_space(folder, repo_id, preload=not model_private)
        title = f"Serve {repo_id}"
        with hub_errors_explained("space", space_id):
            if not _push_folder(api, folder, "space", space_id, private=private, title=title):
                # The Space did not change, but it has to load the new model.
                asked(api.restart_space, space_id)
    if model_private:
        logger.warning(
            "The model %s is private, so the Space needs a token to read it: add a secret named "
            "HF_TOKEN at %s/settings, with a token of type Read.",
            repo_id,
            url,
        )
    return url


def _push_folder(
    api: HfApi,
    folder: Path,
    kind: Kind,
    repo_id: str,
    *,
    private: bool,
    title: str,
    replaced: RepoState | None = None,
) -> bool:
    """Make the repository equal to the folder in one commit; return whether that changed it."""
    asked(
        api.create_repo,
        repo_id,
        repo_type=kind,
        # None leaves the choice to the organization, which may allow only private repositories.
        private=private or None,
        exist_ok=True,
        space_sdk="gradio" if kind == "space" else None,
    )
    files = dict(published_files(folder))
    size_mb = sum(path.stat().st_size for path in files.values()) / 1e6
    logger.info("Uploading %d files (%.1f MB) to %s …", len(files), size_mb, repo_id)
    for _ in range(ATTEMPTS):
        before = describe_repo(api, kind, repo_id)
        check_purpose(before, kind, repo_id, private)
        if replaced is not None and before.files >= {REPORT_FILE} and before.sha != replaced.sha:
            raise HubError(
                f"Another user published a model in {repo_id} meanwhile, which was not compared "
                "with this one. Run the same command again to compare them."
            )
        after = _commit(api, files, kind, repo_id, before, title)
        if after is not None:
            return after != before.sha
        logger.info("Another user changed %s meanwhile; comparing again …", repo_id)
    raise HubError(
        f"Another user changed {repo_id} during each of {ATTEMPTS} attempts to publish. The "
        "repository holds their version, without any file of yours. Agree with them who publishes, "
        "or choose another name, and run the same command again."
    )


def _commit(
    api: HfApi, files: dict[str, Path], kind: Kind, repo_id: str, before: RepoState, title: str
) -> str | None:
    """Replace the state `before` by `files`.

    The client skips files that the Hub already has: on any other state, the commit would mix two
    versions.

    Returns:
        the commit that holds exactly `files`; None if the state was not `before`.
    """
    # The Hub needs its own .gitattributes to distinguish large files from small ones.
    stale = sorted(before.files - {".gitattributes"} - files.keys())
    if stale:
        listed = ", ".join(stale[:LISTED_FILES]) + (", …" if stale[LISTED_FILES:] else "")
        logger.info("No longer part of %s, so deleted there: %s", repo_id, listed)
    try:
        # Not upload_folder: where Xet is used, it may make several commits of one folder.
        commit = asked(
            api.create_commit,
            repo_id,
            [
                *(CommitOperationDelete(name) for name in stale),
                *(CommitOperationAdd(name, path) for name, path in files.items()),
            ],
            repo_type=kind,
            commit_message=title,
            parent_commit=before.sha,
        )
    except HfHubHTTPError as error:
        if error.response.status_code not in CONFLICTS:
            raise
        return None
    # If nothing changes, the client makes no commit and returns the newest one.
    after = before if commit.oid == before.sha else describe_repo(api, kind, repo_id, commit.oid)
    return after.sha if after.files - {".gitattributes"} == files.keys() else None


def _stage_space(folder: Path, repo_id: str, *, preload: bool) -> None:
    """Copy the Space to `folder` and fill in the model that it serves.

    Args:
        folder: does not exist yet.
        repo_id: the model.
        preload: whether the Hub puts the model into the Space's image; it can't if private.
    """
    copy_space(folder)
    (folder / MODEL_ID_FILE).write_text(f"hf-hub:{repo_id}\n", encoding="utf-8")
    readme = RepoCard.load(folder / "README.md")
    readme.data["models"] = [repo_id]
    if preload:
        readme.data["preload_from_hub"] = [repo_id]
    readme.save(folder / "README.md")


def copy_space(folder: Path) -> None:
    """Copy what a Space holds to `folder`, which does not exist yet.

    On the Hub that folder is the root, and no package; the rooms in it stay packages, so that no
    installed package of the same name takes their place.
    """

    def left_out(place: str, names: list[str]) -> set[str]:
        package = {"__init__.py"} if Path(place) == SPACE_FOLDER else set()
        hidden = {name for name in names if name.startswith(".")}
        return package | hidden | {"py.typed", "__pycache__"}

    shutil.copytree(SPACE_FOLDER, folder, ignore=left_out)
