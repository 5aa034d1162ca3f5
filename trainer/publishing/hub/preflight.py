"""Checks before an upload to the Hugging Face Hub: names, token, rights, existing files."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from huggingface_hub import DatasetInfo, HfApi, ModelInfo, SpaceInfo, get_token
from huggingface_hub.errors import HFValidationError

# Documented under this name, but not marked as exported.
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from pydantic import BaseModel, TypeAdapter

from model_card.schema.report import REPORT_FILE
from trainer.errors import HubError
from trainer.publishing.data_folder import DATA_FILE
from trainer.publishing.hub.errors import (
    Kind,
    asked,
    how_to_log_in,
    hub_errors_explained,
    no_token,
    parsed,
)

logger = logging.getLogger(__name__)

# Files that the Hub or its web page puts into a new repository.
STARTER_FILES = {".gitattributes", ".gitignore", "README.md", "LICENSE"}
MODEL_ID_FILE = "model_id.txt"
# A repository that holds this file was published by this project.
MARKER_FILES: dict[Kind, str] = {
    "model": REPORT_FILE,
    "space": MODEL_ID_FILE,
    "dataset": DATA_FILE,
}


@dataclass(frozen=True)
class RepoState:
    """A repository at one commit.

    Attributes:
        sha: of the commit.
        files: their paths.
    """

    sha: str
    private: bool
    files: frozenset[str]


class _AccessToken(BaseModel):
    role: str | None = None


class _Auth(BaseModel):
    accessToken: _AccessToken = _AccessToken()  # noqa: N815 -- the Hub's name


class _Organization(BaseModel):
    name: str


class _Account(BaseModel):
    """The Hub's data on the owner of a token."""

    name: str
    isPro: bool = False  # noqa: N815 -- the Hub's name
    orgs: list[_Organization] = []
    auth: _Auth = _Auth()


_STATE, _ACCOUNT = TypeAdapter(RepoState), TypeAdapter(_Account)


def check_repo_id(repo_id: str) -> None:
    """Check the name of a repository.

    Raises:
        HubError: it is not a valid `USER/NAME`.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise HubError(
            f"{repo_id!r} is not a valid name on the Hub. Write USER/NAME, each of at most 96 "
            "letters, digits, '-', '_' and '.', without '-' or '.' at either end, '--' or '..'."
        ) from error
    if "/" not in repo_id:
        raise HubError(
            f"{repo_id!r} has no owner. Write USER/NAME, where USER is your name on the Hub or an "
            f"organization's: USER/{repo_id}"
        )


def check_can_push(repo_id: str, space_id: str | None = None, *, private: bool) -> None:
    """Check before hours of training whether a push would be refused; change nothing.

    Args:
        repo_id: of the model.
        space_id: of the Space, if one is to be published.
        private: whether new repositories will be private.

    Raises:
        HubError: the token is missing or wrong, has no write access, or the repository holds
            something else.
    """
    wanted: list[tuple[Kind, str]] = [("model", repo_id)]
    if space_id is not None:
        wanted.append(("space", space_id))
    _check_repositories(wanted, private=private)


def check_can_push_data(repo_id: str, *, private: bool) -> None:
    """Check the same for a dataset, before its images are compared.

    Args:
        repo_id: of the dataset.
        private: whether a new dataset will be private.

    Raises:
        HubError: as in `check_can_push`.
    """
    _check_repositories([("dataset", repo_id)], private=private)


def _check_repositories(wanted: list[tuple[Kind, str]], *, private: bool) -> None:
    for _, name in wanted:
        check_repo_id(name)
    with hub_errors_explained(*wanted[0]):
        api = connect()
        me = parsed(_ACCOUNT, asked(api.whoami))
    for kind, name in wanted:
        _check_rights(me, name)
        with hub_errors_explained(kind, name):
            if asked(api.repo_exists, name, repo_type=kind):
                asked(api.auth_check, name, repo_type=kind, write=True)
                check_purpose(describe_repo(api, kind, name), kind, name, private)
            elif kind == "space" and name.startswith(f"{me.name}/") and not me.isPro:
                logger.warning(
                    "The Hub creates Gradio Spaces only for paid plans, so it may refuse %s. "
                    "Until then you can create it by hand at %s/new-space: SDK Gradio, hardware "
                    "ZeroGPU.",
                    name,
                    api.endpoint,
                )


def connect() -> HfApi:
    """Return the Hub's client with the user's token."""
    token = get_token()
    if token is None:
        raise no_token()
    # Otherwise the HTTP client would print the token in its error about the header.
    if not re.fullmatch(r"[\w.~+/=-]+", token, re.ASCII):
        raise HubError(
            "The token has characters that no token has. Was other text copied with it? "
            + how_to_log_in("Copy it again, or create one,")
        )
    return HfApi(token=token)


def check_purpose(state: RepoState, kind: Kind, repo_id: str, private: bool) -> None:
    """Refuse to replace other contents, and to make public what was to be private."""
    name = "Space" if kind == "space" else kind
    others = sorted(state.files - STARTER_FILES)
    if others and MARKER_FILES[kind] not in state.files:
        raise HubError(
            f"The {name} {repo_id} exists already and holds something else "
            f"({', '.join(others[:3])}{', …' if len(others) > 3 else ''}), which would be deleted. "
            "Choose another name, or empty that repository first."
        )
    if private and not state.private:
        # Datasets are private unless the user says otherwise.
        asked_for = "a dataset is private by default" if kind == "dataset" else "--private is set"
        without = "pass --no-private" if kind == "dataset" else "leave out --private"
        raise HubError(
            f"The {name} {repo_id} exists already and is public, but {asked_for}. "
            f"Make it private in its settings on the Hub, choose another name, or {without}."
        )


def describe_repo(api: HfApi, kind: Kind, repo_id: str, revision: str | None = None) -> RepoState:
    """Return the state of a repository on the Hub, at its newest or at a given commit."""
    info: ModelInfo | SpaceInfo | DatasetInfo
    if kind == "space":
        info = asked(api.space_info, repo_id, revision=revision)
    elif kind == "dataset":
        info = asked(api.dataset_info, repo_id, revision=revision)
    else:
        info = asked(api.model_info, repo_id, revision=revision)
    files = frozenset(file.rfilename for file in info.siblings or [])
    return parsed(_STATE, {"sha": info.sha, "private": info.private, "files": files})


def _check_rights(me: _Account, repo_id: str) -> None:
    """Refuse a read-only token and names under another account."""
    if me.auth.accessToken.role == "read":
        raise HubError(
            f"The token of {me.name} is read-only, so {repo_id} can't be uploaded. "
            + how_to_log_in("Create another one")
        )
    own = [me.name, *(organization.name for organization in me.orgs)]
    owner = repo_id.partition("/")[0]
    if owner.lower() not in {name.lower() for name in own}:
        raise HubError(
            f"{repo_id} would belong to {owner}, but the token is that of {me.name}, who can "
            f"write to: {', '.join(own)}. Choose another name, or log in as another user."
        )
