"""Explain errors of the Hugging Face Hub: what failed, where, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any, Literal, TypeVar

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    DeviceCodeError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    OIDCError,
)
from pydantic import TypeAdapter, ValidationError

from trainer.errors import HubError

T = TypeVar("T")
Kind = Literal["model", "space", "dataset"]

RUN_AGAIN = "Nothing is lost: run the same command again to continue."
LONGEST_QUOTE = 400


@contextmanager
def hub_errors_explained(kind: Kind, repo_id: str) -> Iterator[None]:
    """Convert the exceptions of the client library to HubError.

    Args:
        kind: of the repository.
        repo_id: its name.

    Raises:
        HubError: the Hub, the network or the token failed.
    """
    try:
        yield
    # Beside its own errors, the library raises those of the HTTP client, of upload threads
    # (RuntimeError), and of invalid front matter in the README (ValueError).
    except (
        httpx2.HTTPError,
        OSError,
        RuntimeError,
        ValueError,
        OIDCError,
        DeviceCodeError,
    ) as error:
        raise HubError(_explain(error, kind, repo_id)) from error


def asked(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a method of the Hub's client; wrap nothing else, so that no bug of ours is hidden.

    Raises:
        HubError: the client can't read the response of the Hub, or of a server in its place.
    """
    try:
        return call(*args, **kwargs)
    # Raised by the client for `null`, a list instead of an object, a web page, a missing entry.
    except (LookupError, TypeError, AttributeError, JSONDecodeError) as error:
        raise _unreadable(error) from error


def parsed(adapter: TypeAdapter[T], answer: object) -> T:
    """Validate what the client took from a response.

    Raises:
        HubError: it does not have the type that the Hub documents.
    """
    try:
        return adapter.validate_python(answer)
    except ValidationError as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> HubError:
    return HubError(
        f"The response of {constants.ENDPOINT} can't be read ({type(error).__name__}: "
        f"{_words(error)}). Does another server answer in place of the Hub? Check HF_ENDPOINT and "
        f"proxies. {RUN_AGAIN}"
    )


def no_token() -> HubError:
    """Return the error for a user who is not logged in."""
    return HubError(
        "There is no token for the Hugging Face Hub, so nothing can be uploaded. "
        + how_to_log_in("Create one")
    )


def how_to_log_in(first_step: str) -> str:
    """Return how to create a token with write access and where to put it."""
    return (
        f"{first_step} at {constants.ENDPOINT}/settings/tokens (type Write), then run "
        "`hf auth login` or set the environment variable HF_TOKEN."
    )


def _explain(error: BaseException, kind: Kind, repo_id: str) -> str:
    # Upload threads wrap the original error.
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"{repo_id} can't be reached: HF_HUB_OFFLINE is set, which forbids all requests to the "
            "Hub. Unset it and run the same command again."
        )
    if isinstance(error, HfHubHTTPError):
        return _explain_status(error, kind, repo_id)
    if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
        return (
            f"The connection to the Hub at {constants.ENDPOINT} failed for {repo_id} "
            f"({_words(error)}). Check the network. {RUN_AGAIN}"
        )
    if isinstance(error, ValueError):
        return f"The Hub, or its client, refused {repo_id}: {_words(error)}"
    return f"{repo_id} could not be published: {_words(error)}\n{RUN_AGAIN}"


def _explain_status(error: HfHubHTTPError, kind: Kind, repo_id: str) -> str:
    status = error.response.status_code
    said = _shortened(error.server_message or "") or _words(error)
    if status == 402 and kind == "space":
        return _explain_plan(said, repo_id)
    if status >= 500:
        return f"The Hub failed ({status}: {said}); see https://status.huggingface.co. {RUN_AGAIN}"
    wait_s = error.response.headers.get("Retry-After")
    pause = f"Wait {wait_s} seconds" if wait_s else "Wait a few minutes"
    explanations = {
        401: f"The Hub does not accept the token: it is wrong, expired or revoked ({said}). "
        + how_to_log_in("Create a new one"),
        403: f"The token may not write to {repo_id}; the Hub says: {said}\n"
        "Use a name under your own account or organisation, and a token of type Write: "
        f"{constants.ENDPOINT}/settings/tokens",
        404: f"The {kind} {repo_id} is not on the Hub, or the token may not see it ({said}). "
        "Check the name.",
        409: f"The name {repo_id} can't be used: {said}\nChoose another one.",
        429: f"The limit of requests to the Hub is reached. {pause}. {RUN_AGAIN}",
    }
    return explanations.get(status, f"The Hub refused {repo_id} ({status}): {said}")


def _explain_plan(said: str, space_id: str) -> str:
    """Explain how to get a Space with and without a paid plan.

    See https://huggingface.co/docs/hub/spaces-zerogpu: free accounts in good standing may host two
    ZeroGPU Spaces.
    """
    owner, _, name = space_id.partition("/")
    return (
        f"The Space {space_id} was not created, because of the plan of {owner}; the Hub says: "
        f"{said}\n"
        f"Without a paid plan: create it by hand at {constants.ENDPOINT}/new-space (owner {owner}, "
        f"name {name}, SDK Gradio, hardware ZeroGPU), or name one that exists. With a plan, it is "
        "created for you. Either way, run the same command again: it fills the Space. "
        "The model is not affected."
    )


def _words(error: BaseException) -> str:
    """Return the message of an error, or its name: dropped connections have no message."""
    return _shortened(str(error)) or type(error).__name__


def _shortened(text: str) -> str:
    """Return the start of a text: a proxy may respond with a whole web page."""
    return textwrap.shorten(text, LONGEST_QUOTE, placeholder=" …")
