"""Corrections through the page: what is stored, and what is refused."""

from __future__ import annotations

import io
import itertools
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from PIL import Image

from space.feedback.desk import Statement
from space.feedback.quota import Quota, QuotaError, Visitor
from space.feedback.store import Stored, image_path, read_corrections
from tests.support.published_folder import noise
from tests.support.served_page import MARKER, Site, served_page

# Gradio and pandas warn of themselves, and leave event loops open.
pytestmark = pytest.mark.filterwarnings("ignore")
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_page(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(autouse=True)
def _empty(site: Site) -> None:
    for file in _folder(site).glob("*/*"):
        file.unlink()


def _folder(site: Site) -> Path:
    return site.folder / "feedback"


def _stored(site: Site) -> Stored:
    return read_corrections(_folder(site))


def _send(site: Site, path: str, *said: object) -> str:
    file = {"path": path, "meta": META, "orig_name": "ADA.png"}
    return site.ask("correct", [file, *said])


def test_a_correction_is_stored_with_the_answer_and_the_model(site: Site) -> None:
    label = site.demo.predictor.labels[2]
    text = _send(site, site.upload(1), "class", label, "  a scratch, too ")
    assert "Thank you" in text
    assert label in text
    [found] = _stored(site).corrections
    [prediction] = site.demo.predictor.predict([noise(1).convert("RGB")])
    assert (found.kind, found.label, found.note) == ("class", label, "a scratch, too")
    assert found.answer.model_dump() == {
        "label": prediction.label,
        "confidence": prediction.confidence,
        "verdict": prediction.verdict,
        "candidates": list(prediction.candidates),
        "novelty": prediction.novelty,
    }
    assert found.model.id == "model"
    assert found.model.revision is None
    assert abs(datetime.now(UTC) - found.time) < timedelta(minutes=10)
    stored = image_path(_folder(site), found)
    with Image.open(stored) as image:
        assert image.convert("RGB").tobytes() == noise(1).convert("RGB").tobytes()
    record = next((_folder(site) / "corrections").iterdir()).read_text()
    for private in ("ADA", str(site.folder), "session", "127.0.0.1", "photo.png"):
        assert private not in record


def test_the_original_of_a_tiff_is_stored_and_not_its_preview(site: Site, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 2**16, (64, 1500), np.uint16)
    Image.fromarray(samples).save(tmp_path / "deep.tiff")
    [own] = site.http.post(
        "/upload", files={"files": ("deep.tiff", (tmp_path / "deep.tiff").read_bytes())}
    ).json()
    upload = {"path": own, "meta": META, "orig_name": "deep.tiff"}
    done = site.ask("show_upload", [upload]).splitlines()[-1].removeprefix("data: ")
    shown, _ = json.loads(done)["output"]["data"]
    # Browsers can't show a TIFF: the page has a smaller PNG, and sends that.
    assert shown["path"] != own
    preview = site.http.get(f"/file={shown['path']}").content
    assert Image.open(io.BytesIO(preview)).size == (1024, 44)
    assert "Thank you" in _send(site, shown["path"], "none", "", "")
    [found] = _stored(site).corrections
    with Image.open(image_path(_folder(site), found)) as stored:
        assert stored.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(stored), samples)
    # Half a correction would be worse than none.
    Path(own).unlink()
    assert "deleted in the meantime" in _send(site, shown["path"], "none", "", "")
    assert len(_stored(site).corrections) == 1


def test_one_visitor_can_not_fill_the_folder(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = site.demo.desk
    assert desk is not None
    monkeypatch.setattr(desk, "quota", Quota(desk.store.most_bytes))
    monkeypatch.setattr("space.feedback.quota.VISIT_CORRECTIONS", 2)
    file: dict[str, Any] = {"path": site.upload(1), "meta": META}

    def send(session: str) -> httpx.Response:
        return site.join("correct", [file, "none", "", ""], session)

    for _ in range(2):
        assert send("greedy").status_code == 200
        with site.http.stream("GET", "/queue/data", params={"session_hash": "greedy"}) as stream:
            assert any("Thank you" in line for line in stream.iter_lines())
    refused = send("greedy")
    assert refused.status_code == 429
    assert "as many corrections as one visitor may" in refused.json()["detail"]
    # Only corrections are limited, and only those of this visit.
    assert site.join("show_upload", [file], "greedy").status_code == 200
    assert "Thank you" in _send(site, file["path"], "none", "", "")
    # Another name for the visit does not help for ever.
    monkeypatch.setattr("space.feedback.quota.ADDRESS_CORRECTIONS", 3)
    assert send("another").status_code == 429
    for path in ("call/correct", "call/v2/correct"):
        named = {"image": file, "kind": "none", "label": "", "note": ""}
        body = named if "v2" in path else {"data": [file, "none", "", ""]}
        assert site.http.post(f"/{path}", json=body).status_code == 429
    assert len(list((_folder(site) / "corrections").iterdir())) == 3


def test_what_arrives_during_the_last_correction_is_refused_in_words(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = site.demo.desk
    assert desk is not None
    monkeypatch.setattr(desk.quota, "is_used_up", lambda visitor: True)
    path = Path(site.upload(1))
    with pytest.raises(QuotaError, match="as one visitor may"):
        desk.take(path, noise(1), Statement("none", None, None), Visitor("a", "b"))
    assert _stored(site).corrections == []


@pytest.mark.parametrize("kind", ["several", "none", "unusable"])
def test_what_is_no_class_is_stored_without_one(site: Site, kind: str) -> None:
    assert "Thank you" in _send(site, site.upload(1), kind, "", "")
    [found] = _stored(site).corrections
    assert (found.kind, found.label, found.note) == (kind, None, None)


def test_the_last_correction_of_a_visit_counts(site: Site) -> None:
    labels = site.demo.predictor.labels
    own, other = site.upload(1), site.upload(2)
    for session, path, label in (
        ("visit1", own, labels[0]),
        ("visit1", own, labels[1]),
        ("visit1", other, labels[2]),
        ("visit2", own, labels[3]),
    ):
        body = [{"path": path, "meta": META}, "class", label, ""]
        assert site.join("correct", body, session).status_code == 200
        with site.http.stream("GET", "/queue/data", params={"session_hash": session}) as stream:
            assert any("Thank you" in line for line in stream.iter_lines())
    found = _stored(site)
    assert [each.label for each in found.corrections] == [labels[1], labels[2], labels[3]]
    assert found.superseded == 1


def test_a_program_can_correct(site: Site) -> None:
    file = site.folder / "own.png"
    noise(7).save(file)
    label = site.demo.predictor.labels[4]
    client = Client(site.url, verbose=False)
    said = client.predict(handle_file(file), "class", label, "by a program", api_name="/correct")
    assert "Thank you" in said
    [found] = _stored(site).corrections
    assert (found.label, found.note) == (label, "by a program")


def _forged(site: Site, own: str) -> Iterator[list[Any]]:
    """Yield payloads that no page sends."""
    label = site.demo.predictor.labels[0]
    good: list[Any] = [{"path": own, "meta": META}, "class", label, ""]
    odd: list[Any] = [
        *(5, -1, 1.5, True, [], [label], {}, {"path": own}, {"path": str(site.secret)}),
        *("\ud800", "x" * 501, "x" * 60_000, {"__type__": "update", "value": label}),
        *(["class", label], {"path": "/etc/passwd", "meta": META}),
    ]
    for place, value in itertools.product((1, 2, 3), odd):
        yield [*good[:place], value, *good[place + 1 :]]
    for kind in ("", "Class", "class ", "nothing", "__class__", "\0", "several defects", None):
        yield [good[0], kind, label, ""]
    for name in ("", "Unknown", label.lower(), f"{label} ", "\0", "../x", None, label * 20):
        yield [good[0], "class", name, ""]
    for path in (None, "", str(site.secret), "/etc/passwd", f"/{own}", "http://127.0.0.1:9/x.png"):
        for forged in ({"path": path, "meta": META}, {"url": path, "meta": META}, path):
            yield [forged, *good[1:]]
    for length in range(4):
        yield good[:length]
    yield [good[0], *good]


def test_forged_corrections_are_refused_and_nothing_is_stored(
    site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    own = site.upload(3)
    before = site.snapshot()
    tried = 0
    for payload in _forged(site, own):
        text = site.ask("correct", payload)
        tried += 1
        refused = "Not stored" in text or "sends no such request" in text
        assert refused or "larger than" in text, f"{payload!r:.200}: {text:.300}"
        assert MARKER not in text
    assert tried >= 80
    assert site.snapshot() == before
    assert site.fetched == []
    assert "Traceback" not in caplog.text + "".join(capfd.readouterr())


def test_an_absent_note_is_no_mistake(site: Site) -> None:
    label = site.demo.predictor.labels[0]
    assert "Thank you" in site.ask("correct", [{"path": site.upload(1)}, "class", label, None])


def test_texts_reach_no_other_event(site: Site) -> None:
    own = site.upload(1)
    assert "No file was sent" in site.ask("predict", [own])


def test_a_full_folder_and_a_full_disk_are_reported(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = site.demo.desk
    assert desk is not None
    label, own = desk.labels[0], site.upload(1)
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "most_bytes", 10)
        assert "is full" in _send(site, own, "class", label, "")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
        assert "Try again later" in _send(site, own, "class", label, "")
    assert _stored(site).corrections == []


def test_the_sentence_on_what_is_kept_is_on_the_page(site: Site) -> None:
    page = json.dumps(site.http.get(f"{site.url}/config").json())
    assert "without its metadata" in page
    assert "the operator of this page" in page


def test_metadata_of_the_upload_is_not_stored(site: Site) -> None:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x010F] = "CAMERA-OF-ADA"
    noise(9).save(buffer, "JPEG", exif=exif, comment=b"SHIFT-OF-ADA")
    [own] = site.http.post("/upload", files={"files": ("a.jpg", buffer.getvalue())}).json()
    assert "Thank you" in _send(site, own, "none", "", "")
    [found] = _stored(site).corrections
    assert b"ADA" not in image_path(_folder(site), found).read_bytes()


def test_the_examples_of_the_api_page_are_our_own(site: Site) -> None:
    endpoints = site.http.get("/info").json()["named_endpoints"]
    assert set(endpoints) == {"/correct", "/predict", "/predict_batch", "/heatmap"}
    given = {each["parameter_name"]: each for each in endpoints["/correct"]["parameters"]}
    examples = {name: each["example_input"] for name, each in given.items()}
    assert examples.pop("image")["path"] == "photo.png"
    label = site.demo.predictor.labels[0]
    assert examples == {"kind": "class", "label": label, "note": ""}
    assert "githubusercontent" not in json.dumps(endpoints)
