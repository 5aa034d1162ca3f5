"""The folder of corrections: each is there whole or not at all, and the last one counts."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from space.feedback import store as store_module
from space.feedback.record import Correction
from space.feedback.store import (
    ABANDONED_S,
    KEY_FILE,
    FullError,
    Store,
    image_path,
    read_corrections,
)
from tests.support.corrections import LIMIT_BYTES, START, correction, png
from tests.support.published_folder import noise

IMAGE, OTHER = png(noise(1)), png(noise(2))


def test_what_is_added_is_read(tmp_path: Path) -> None:
    first, second = correction(IMAGE, "Rolled", note="ö\n"), correction(OTHER, None, 1, kind="none")
    store = Store(tmp_path, LIMIT_BYTES)
    # The order of the folder is that of time.
    store.add(second, OTHER)
    store.add(first, IMAGE)
    found = read_corrections(tmp_path)
    assert found.corrections == [first, second]
    assert [image_path(tmp_path, each).read_bytes() for each in (first, second)] == [IMAGE, OTHER]
    assert (found.superseded, found.damaged) == (0, {})
    assert [each.says for each in found.corrections] == ["Rolled", "none of these"]


def test_the_last_correction_of_a_thread_counts(tmp_path: Path) -> None:
    store = Store(tmp_path, LIMIT_BYTES)
    for minute, label in ((5, "Rolled"), (9, "Patches"), (7, "Pitted")):
        store.add(correction(IMAGE, label, minute), IMAGE)
    store.add(correction(IMAGE, "Crazing", 1, thread="f" * 32), IMAGE)
    found = read_corrections(tmp_path)
    assert [each.label for each in found.corrections] == ["Crazing", "Patches"]
    assert found.superseded == 2
    assert len([*(tmp_path / "images").iterdir()]) == 1


def test_records_sort_by_time_within_a_second(tmp_path: Path) -> None:
    store = Store(tmp_path, LIMIT_BYTES)
    times = [START + timedelta(microseconds=number) for number in range(20)]
    names = [store.add(correction(IMAGE, "Rolled", time=at), IMAGE).name for at in times]
    assert names == sorted(names)


def test_a_thread_belongs_to_a_visit_and_an_image_and_survives_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path, LIMIT_BYTES)
    threads = {store.thread(visit, image) for visit in ("a", "b") for image in ("x", "y")}
    assert len(threads) == 4
    assert Store(tmp_path, LIMIT_BYTES).thread("a", "x") == store.thread("a", "x")
    assert Store(tmp_path / "other", LIMIT_BYTES).thread("a", "x") not in threads
    assert len((tmp_path / KEY_FILE).read_bytes()) == 32


def test_nothing_in_a_record_identifies_a_person() -> None:
    fields = set(Correction.model_fields)
    assert fields == {
        *("format", "thread", "time", "image", "answer", "model", "kind", "label", "note"),
    }


@pytest.mark.parametrize("broken", ["open", "fsync", "rename"])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    store = Store(tmp_path, LIMIT_BYTES)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        place = os if broken == "fsync" else Path
        patch.setattr(place, broken, full)
        with pytest.raises(OSError, match="No space"):
            store.add(correction(IMAGE, "Rolled"), IMAGE)
    assert [path for path in tmp_path.rglob("*.*") if path.name != KEY_FILE] == []
    store.add(correction(IMAGE, "Rolled"), IMAGE)
    assert len(read_corrections(tmp_path).corrections) == 1


def test_a_correction_is_never_there_before_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = store_module._write_once

    def noted(target: Path, content: bytes) -> None:
        assert store.lock.locked(), "two visitors could pass the limit together"
        real(target, content)
        written.append(target.suffix)

    store = Store(tmp_path, LIMIT_BYTES)
    monkeypatch.setattr(store_module, "_write_once", noted)
    store.add(correction(IMAGE, "Rolled"), IMAGE)
    store.add(correction(IMAGE, "Patches"), IMAGE)
    assert written == [".png", ".json", ".json"]


def test_a_file_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, real = Store(tmp_path, LIMIT_BYTES), Path.rename
    steps: list[str] = []

    def sync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        steps.append("folder" if stat.S_ISDIR(found.st_mode) else f"{found.st_size} bytes")

    def rename(partial: Path, target: Path) -> Path:
        steps.append(target.suffix)
        return real(partial, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    record = store.add(correction(IMAGE, "Rolled"), IMAGE)
    assert steps == [
        *(f"{len(IMAGE)} bytes", ".png", "folder"),
        *(f"{record.stat().st_size} bytes", ".json", "folder"),
    ]


def test_the_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, len(IMAGE) + 2000)
    store.add(correction(IMAGE, "Rolled"), IMAGE)
    with pytest.raises(FullError):
        store.add(correction(OTHER, "Rolled"), OTHER)
    # A second opinion on the same image needs little.
    store.add(correction(IMAGE, "Patches", thread="f" * 32), IMAGE)
    monkeypatch.setattr(store_module, "MOST_CORRECTIONS", 2)
    with pytest.raises(FullError):
        Store(tmp_path, LIMIT_BYTES).add(correction(IMAGE, "Pitted"), IMAGE)
    assert len(read_corrections(tmp_path).corrections) == 2


def test_damaged_files_are_named(tmp_path: Path) -> None:
    Store(tmp_path, LIMIT_BYTES).add(correction(IMAGE, "Rolled"), IMAGE)
    [file] = (tmp_path / "corrections").glob("*.json")
    fields = json.loads(file.read_text())
    cases = {
        "cut": file.read_text()[:100],
        "empty": "",
        "list": "[]",
        "no-label": json.dumps(fields | {"label": None}),
        "label-too": json.dumps(fields | {"kind": "none"}),
        "path": json.dumps(fields | {"image": "../../etc/passwd"}),
        "later": json.dumps(fields | {"format": 2}),
        "nan": json.dumps(fields | {"answer": fields["answer"] | {"confidence": float("nan")}}),
        "no-zone": json.dumps(fields | {"time": "2026-11-27T08:00:00"}),
        "person": json.dumps(fields | {"visitor": "10.0.0.1"}),
    }
    for name, content in cases.items():
        file.with_name(f"{name}.json").write_text(content)
    found = read_corrections(tmp_path)
    assert found.damaged.keys() == {f"corrections/{name}.json" for name in cases}
    assert found.damaged["corrections/path.json"].startswith("image: ")
    assert len(found.corrections) == 1


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValidationError):
        correction(IMAGE, "Rolled", note="\ud800")


def test_partial_files_of_killed_servers_are_deleted(tmp_path: Path) -> None:
    store = Store(tmp_path, LIMIT_BYTES)
    for name, age in (("old", ABANDONED_S + 60), ("new", 0.0)):
        partial = tmp_path / "images" / f"{name}.png.7.ab.partial"
        partial.write_bytes(b"x")
        os.utime(partial, 2 * (time.time() - age,))
    Store(tmp_path, LIMIT_BYTES)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["new.png.7.ab.partial"]
    store.add(correction(IMAGE, "Rolled"), IMAGE)
