"""Caches of libraries that can't be written are replaced for the run, and one line says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.runtime.library_caches import HF_CACHES, replace_unwritable_caches


def test_writable_caches_stay_where_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {"HOME": str(tmp_path)}
    replace_unwritable_caches(environment)
    assert environment == {"HOME": str(tmp_path)}
    assert not caplog.messages
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("home", ["/proc/nohome", "{tmp}/file/home"])
def test_a_home_that_cannot_be_written_costs_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, home: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    environment = {"HOME": home.replace("{tmp}", str(tmp_path))}
    replace_unwritable_caches(environment)
    assert environment.keys() == {"HOME", "MPLCONFIGDIR", *HF_CACHES}
    for variable in ("MPLCONFIGDIR", *HF_CACHES):
        Path(environment[variable]).mkdir()
    [message] = caplog.messages
    assert message.startswith(f"The cache {environment['HOME']}/.cache/huggingface/")
    assert message.endswith("Set HF_HOME to a folder that can be written.")
    # A second look finds the temporary ones to be good.
    before = dict(environment)
    replace_unwritable_caches(environment)
    assert environment == before


def test_only_what_cannot_be_written_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hf" / "hub").mkdir(parents=True)
    (tmp_path / "file").write_text("no folder")
    environment = {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_DATASETS_CACHE": str(tmp_path / "file" / "datasets"),
    }
    replace_unwritable_caches(environment)
    assert environment.keys() == {"HOME", "HF_HOME", "HF_DATASETS_CACHE"}
    assert str(tmp_path) not in environment["HF_DATASETS_CACHE"]
    assert len(caplog.messages) == 1
    # Weights in a read-only cache are of use; a cache that is not there is not.
    monkeypatch.setattr(
        "trainer.runtime.library_caches._why_unwritable", lambda folder: "Read-only"
    )
    environment = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    replace_unwritable_caches(environment)
    assert "HF_HUB_CACHE" not in environment
    assert "HF_MODULES_CACHE" in environment
    environment = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "none")}
    replace_unwritable_caches(environment)
    assert "HF_HUB_CACHE" in environment
