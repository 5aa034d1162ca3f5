"""Corrections on their way to the Hub, by the real client, and through kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from space.feedback.hub import HubSender
from space.feedback.store import Store, image_path, read_corrections
from space.server.configuration import StartError, configured_feedback
from tests.loopback_hub import LoopbackHub
from tests.support.corrections import LIMIT_BYTES, add, correction, png
from tests.support.published_folder import noise

DATASET = "ada/corrections"
ROOT = Path(__file__).parents[2]


def _sent(hub: LoopbackHub) -> set[str]:
    files = hub.repo("dataset", DATASET).head.files
    return {name for name in files if name.startswith(("corrections/", "images/"))}


def _stored(*folders: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for folder in folders
        for path in [*folder.glob("corrections/*.json"), *folder.glob("images/*.png")]
    }


def _first_search(sender: HubSender) -> None:
    """Wait until the sender has looked through its folder; then it waits for minutes."""
    # The searches of a sender follow each other, and its thread asks for the first one.
    while not hasattr(sender.scheduler, "last_future"):
        time.sleep(0.01)
    sender.scheduler.last_future.result()


def test_two_spaces_send_to_one_dataset_and_nothing_is_lost(
    hub: LoopbackHub, token: str, tmp_path: Path
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    senders = [HubSender(DATASET, folder) for folder in folders]
    assert all(sender.private for sender in senders)
    for number, folder in enumerate(folders):
        for seed in range(3):
            # Both get the same image, and one of their own.
            add(folder, noise(seed if seed < 2 else 10 + number), "Rolled", seed)
    for sender in senders:
        sender.close()
    assert _sent(hub) == _stored(*folders)
    assert len([name for name in _sent(hub) if name.startswith("corrections/")]) == 6
    assert len([name for name in _sent(hub) if name.startswith("images/")]) == 4


def test_without_the_network_corrections_wait_for_the_next_start(
    hub: LoopbackHub, token: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender = HubSender(DATASET, tmp_path)
    _first_search(sender)
    add(tmp_path, noise(1), "Rolled")
    hub.fail_next(f"POST /api/datasets/{DATASET}/commit", 503, "Down", times=20)
    sender.close()
    hub.clear_faults()
    assert "stay in" in caplog.text
    assert _sent(hub) == set()
    HubSender(DATASET, tmp_path).close()
    assert _sent(hub) == _stored(tmp_path) != set()


def test_a_lost_answer_sends_nothing_twice(hub: LoopbackHub, token: str, tmp_path: Path) -> None:
    sender = HubSender(DATASET, tmp_path)
    _first_search(sender)
    add(tmp_path, noise(1), "Rolled")
    hub.lose_answer(f"POST /api/datasets/{DATASET}/commit")
    sender.close()
    HubSender(DATASET, tmp_path).close()
    assert _sent(hub) == _stored(tmp_path)
    commits = len(hub.repo("dataset", DATASET).commits)
    HubSender(DATASET, tmp_path).close()
    assert len(hub.repo("dataset", DATASET).commits) == commits


def test_a_dataset_that_cant_be_opened_stops_the_start(
    hub: LoopbackHub, token: str, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match="FEEDBACK_DATASET: the dataset bob/x can't be opened"):
        HubSender("bob/x", tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"FEEDBACK_DATASET": "corrections"}, "FEEDBACK_DATASET is 'corrections'"),
        ({"FEEDBACK_DATASET": "ada/a/b"}, "FEEDBACK_DATASET is"),
        ({"FEEDBACK_DIR": "x", "FEEDBACK_MAX_MB": "0"}, "FEEDBACK_MAX_MB is '0'"),
        ({"FEEDBACK_DIR": "x", "FEEDBACK_MAX_MB": "1 GB"}, "FEEDBACK_MAX_MB is '1 GB'"),
        ({"FEEDBACK_DIR": "/dev/null/x"}, "can't be created"),
    ],
)
def test_wrong_settings_are_reported_at_the_start(
    settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StartError, match=message):
        configured_feedback()


def test_corrections_are_off_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_feedback() is None
    monkeypatch.setenv("FEEDBACK_DIR", str(tmp_path / "new"))
    monkeypatch.setenv("FEEDBACK_MAX_MB", "3")
    found = configured_feedback()
    assert found is not None
    assert (found.folder, found.dataset, found.most_bytes) == (tmp_path / "new", None, 3 * 2**20)
    assert (tmp_path / "new").is_dir()


# Acknowledges each correction by its number after `Store.add` has returned.
WRITER = """
import itertools, sys
from pathlib import Path
from space.feedback.store import Store
from tests.support.corrections import LIMIT_BYTES, correction
store = Store(Path(sys.argv[1]), LIMIT_BYTES)
for number in itertools.count(int(sys.argv[2])):
    image = b"%d" % number + bytes(20_000)
    store.add(correction(image, "Rolled", number % 60, note=str(number)), image)
    print(number, flush=True)
"""


@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.nightly)])
def test_kills_lose_no_acknowledged_correction(tmp_path: Path, kills: int) -> None:
    rng, acknowledged, first = np.random.default_rng(kills), set[str](), 0
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(first)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
        acknowledged |= {line.strip() for line in lines if line.endswith("\n")}
        first = 1000 + max(map(int, acknowledged))
    found = read_corrections(tmp_path)
    notes = [each.note for each in found.corrections]
    assert found.damaged == {}
    assert len(notes) == len(set(notes))
    assert acknowledged <= set(notes)
    assert len(acknowledged) >= kills
    for each in found.corrections:
        content = image_path(tmp_path, each).read_bytes()
        assert content == (each.note or "").encode() + bytes(20_000)
    Store(tmp_path, LIMIT_BYTES).add(correction(png(noise(1)), "Rolled"), png(noise(1)))
