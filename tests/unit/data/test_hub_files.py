"""Rows of a Hub dataset name files of that dataset, or they are refused before a file is opened."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from huggingface_hub.constants import HF_HOME, HF_HUB_CACHE

from trainer.data.hub_files import check_files
from trainer.errors import DataError

HUB = "hf://datasets/ada/steel@0123abc/train"
SNAPSHOT = f"{Path(HF_HUB_CACHE).absolute()}/datasets--ada--steel/snapshots/0123abc"
EXTRACTED = str(Path(datasets.config.EXTRACTED_DATASETS_PATH).absolute() / "0123abc")


def named(path: str | None) -> str:
    """Return the same name in each process of the tests; the cache's folder has another in each."""
    return str(path).replace(str(Path(HF_HOME).absolute()), "HF_HOME")


@pytest.mark.parametrize(
    "path",
    [
        None,
        f"{HUB}/1.png",
        f"zip://A/1.png::{HUB}/images.zip",
        f"{SNAPSHOT}/train/A/1.png",
        f"{EXTRACTED}/A/1..png",
    ],
    ids=named,
)
def test_own_files_may_be_opened(path: str | None) -> None:
    check_files([path], "ada/steel", "train")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/hostname",
        "1.png",
        "~/1.png",
        "",
        "C:\\Users\\ada\\1.png",
        "/etc/host\0name",
        "file:///etc/hostname",
        "local:///etc/hostname",
        "http://127.0.0.1/1.png",
        "https://huggingface.co/datasets/ada/steel/resolve/main/1.png",
        "hf://datasets/ada/steel-private@0123abc/1.png",
        "hf://datasets/bob/steel@0123abc/1.png",
        "hf://ada/steel@0123abc/1.png",
        f"{HUB}/../../../../bob/private/1.png",
        f"{HUB}/1.zip::/etc/hostname",
        "zip://1.png::/home/ada/1.zip",
        f"simplecache::{HUB}/1.png",
        f"file:///etc/hostname::{HUB}/1.zip",
        f"{Path(HF_HUB_CACHE).absolute()}/datasets--bob--private/snapshots/0123abc/1.png",
        f"{Path(HF_HUB_CACHE).absolute().parent}/token",
        f"{SNAPSHOT}/../../../../token",
        f"{SNAPSHOT}/..\\..\\token",
        f"{EXTRACTED}/../../1.png",
        f"zip://1.png::{SNAPSHOT}/1.zip",
    ],
    ids=named,
)
def test_other_files_are_refused_by_name(path: str) -> None:
    with pytest.raises(DataError, match=r"Row 1 of the test split of ada/steel names the file"):
        check_files([f"{HUB}/1.png", path], "ada/steel", "test")
