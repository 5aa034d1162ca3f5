"""The checks that the loopback hub makes on the front matter of a README, as the real one does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.loopback_hub.storage import Kind, front_matter

COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SDKS = {"gradio", "docker", "static"}
# Those of https://huggingface.co/docs/hub/repositories-licenses that vision models have.
LICENSES = {
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "openrail",
    "other", "unknown",
}  # fmt: skip


def check_card(text: str, kind: Kind) -> tuple[list[str], list[str]]:
    """Return errors and warnings about the front matter of a README."""
    block = front_matter(text)
    if block is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(block)
    except yaml.YAMLError as error:
        return [f"YAML: {error}"], []
    if not isinstance(data, dict):
        return ["the metadata must be an object"], []
    checks = _space_errors(data) if kind == "space" else _model_errors(data)
    return [*_common_errors(data), *checks], []


def _common_errors(data: Mapping[str, Any]) -> Iterator[str]:
    license = data.get("license")
    if license is not None and license not in LICENSES:
        yield f'"license" must be one of {sorted(LICENSES)}'
    for key in ("tags", "datasets", "metrics", "models", "preload_from_hub"):
        value = data.get(key, [])
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            yield f'"{key}" must be an array of strings'


def _space_errors(data: Mapping[str, Any]) -> Iterator[str]:
    if data.get("sdk") not in SDKS:
        yield f'"sdk" must be one of {sorted(SDKS)}'
    for key in ("colorFrom", "colorTo"):
        if data.get(key, "red") not in COLOURS:
            yield f'"{key}" must be one of {sorted(COLOURS)}'
    if len(data.get("short_description", "")) > 60:
        yield '"short_description" length must be less than or equal to 60 characters long'


def _model_errors(data: Mapping[str, Any]) -> Iterator[str]:
    for m, model in enumerate(data.get("model-index", [])):
        if not model.get("name"):
            yield f'"model-index[{m}].name" is required'
        for r, result in enumerate(model.get("results", [])):
            where = f"model-index[{m}].results[{r}]"
            if not result.get("task", {}).get("type"):
                yield f'"{where}.task.type" is required'
            for key in ("type", "name"):
                if not result.get("dataset", {}).get(key):
                    yield f'"{where}.dataset.{key}" is required'
            for n, metric in enumerate(result.get("metrics", [])):
                for key in ("type", "value"):
                    if metric.get(key) is None:
                        yield f'"{where}.metrics[{n}].{key}" is required'
