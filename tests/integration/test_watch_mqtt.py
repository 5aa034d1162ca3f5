"""Rows reach a real broker exactly once: it stops, we are killed, and both come back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto, Subscriber, needs_mosquitto
from tests.support.published_folder import noise
from tests.support.watched_line import Line, eventually, names, rows
from trainer.prediction.channels.broker import WINDOW
from trainer.prediction.journal.journal import Journal

pytestmark = needs_mosquitto


@pytest.fixture
def line(tmp_path: Path, package: Path) -> Line:
    return Line(tmp_path, package)


def draw(line: Line, *numbers: int) -> None:
    for number in numbers:
        noise(number).save(line.images / f"{number:02}.png")


def mqtt(broker: Mosquitto, user: str = "") -> tuple[str, str]:
    return "--mqtt", f"mqtt://{user}127.0.0.1:{broker.port}/steel/line%201"


def test_each_row_arrives_once_whatever_ends(line: Line, tmp_path: Path) -> None:
    images = 40
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, "steel/#") as client:
        # Killed in the middle of several exchanges, three times.
        draw(line, *range(24))
        for goal in (3, 9, 15):
            process = line.start(*mqtt(broker), "--batch-size", "4")
            eventually(lambda goal=goal: len(client.messages) >= goal, "messages")  # type: ignore[misc]
            process.kill()
            process.wait()
        with line.watched(*mqtt(broker)):
            eventually(lambda: len(client.messages) >= 24, "messages after kills")
            broker.stop()
            # More than are under way at the same moment.
            draw(line, *range(24, images))
            line.expect({f"{number:02}.png" for number in range(images)})
            broker.start()
            eventually(lambda: len(client.messages) >= images, "messages after an outage")
        broker.stop()
        draw(line, images)
        with line.watched(*mqtt(broker)):
            line.expect({f"{number:02}.png" for number in range(images + 1)})
            line.said("can't be reached")
        assert "1 row waits for the mqtt in the journal" in line.log.read_text()
        assert line.log.read_text().count("The broker") == 1
        broker.start()
        with line.watched(*mqtt(broker)):
            eventually(lambda: len(client.messages) > images, "messages after a restart")
    assert sorted(client.names()) == [f"{number:02}.png" for number in range(images + 1)]
    assert sorted(names(line.table)) == sorted(client.names())
    by_path = {row["path"]: row for row in rows(line.table)}
    for topic, content in client.messages:
        row = by_path[content["path"]]
        assert topic == f"steel/line 1/{row['verdict']}"
        assert str(content["confidence"]) == row["confidence"]
    assert len({content["id"] for _, content in client.messages}) == images + 1
    with Journal(line.table, ["mqtt"]) as journal:
        assert journal.waiting("mqtt") == 0
    assert images - 24 + 1 > WINDOW, "the outage was too short to fill the window"


def test_the_broker_asks_for_a_password(line: Line, tmp_path: Path) -> None:
    users = tmp_path / "users"
    password = "correct-horse"  # noqa: S105
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "ada", password], check=True)
    draw(line, 0)
    with (
        Mosquitto(tmp_path / "broker", users) as broker,
        Subscriber(broker.port, "steel/#", ("ada", password)) as client,
    ):
        with line.watched(*mqtt(broker, "ada@"), password="battery-staple"):  # noqa: S106
            line.said("refuses the connection")
        assert client.messages == []
        assert "battery-staple" not in line.log.read_text()
        with line.watched(*mqtt(broker, "ada@"), password=password):
            eventually(lambda: len(client.messages) == 1, "a message")
        assert password not in line.log.read_text()
    assert json.dumps(client.messages[0][1]).count("00.png") == 1
