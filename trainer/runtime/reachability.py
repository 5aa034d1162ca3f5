"""A quick check that pretrained weights are cached or can be downloaded."""

from __future__ import annotations

import logging

import httpx2
import timm
from huggingface_hub import constants, hf_hub_url, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
)

# Documented under these names, but not marked as exported.
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
    http_backoff,
)

from trainer.errors import ConfigError, HubError

logger = logging.getLogger(__name__)

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
TRIES, TIMEOUT_S, PAUSE_S = 3, 2, 0.5
HOW_TO_DO_WITHOUT = (
    "Check the network and try again, give a local safetensors file with --weights FILE, or start "
    "from random weights with --no-pretrained."
)


def check_reachable(model: str) -> None:
    """Check that the Hub responds, unless the weights of a timm model are cached.

    Raises:
        ConfigError: the model has no published weights.
        HubError: the Hub does not respond, or has no such model.
    """
    repo_id = _repo_id(model)
    if repo_id is None:
        return
    try:
        if any(isinstance(try_to_load_from_cache(repo_id, f), str) for f in WEIGHT_FILES):
            return
        if is_offline_mode():
            raise HubError(
                f"The pretrained weights of {model} are not cached, and HF_HUB_OFFLINE forbids "
                f"all requests to the Hub. Unset it, or do without the Hub. {HOW_TO_DO_WITHOUT}"
            )
        # A missing config.json is fine: timm knows other files, too.
        response = http_backoff(
            "HEAD",
            hf_hub_url(repo_id, "config.json"),
            headers=build_hf_headers(),
            timeout=TIMEOUT_S,
            max_retries=TRIES - 1,
            base_wait_time=PAUSE_S,
        )
        hf_raise_for_status(response)
    except RepositoryNotFoundError as error:
        raise HubError(
            f"The Hub has no weights of {model} under {repo_id}, or they are private. "
            f"For private ones, log in with `hf auth login`. {HOW_TO_DO_WITHOUT}"
        ) from error
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
        raise HubError(
            f"The pretrained weights of {model} can't be downloaded from the Hub at "
            f"{constants.ENDPOINT}: {_first_line(error)}\n{HOW_TO_DO_WITHOUT}"
        ) from error


def _repo_id(model: str) -> str | None:
    """Return the Hub repository of a model's weights; None if they are elsewhere."""
    source, _, place = model.partition(":")
    if source == "hf-hub":
        return place.partition("@")[0]
    known = timm.get_pretrained_cfg(model, allow_unregistered=True)
    if source == "local-dir" or (known is not None and known.url and not known.hf_hub_id):
        return None
    if known is None or not known.hf_hub_id:
        raise ConfigError(
            f"--model {model} has no published weights that can be loaded. Give a local "
            "safetensors file with --weights FILE, or start from random weights with "
            "--no-pretrained."
        )
    repo_id: str = known.hf_hub_id
    return repo_id


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
