"""Many images at once, over HTTP: programs, forged requests, stopping, and downloads."""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.processing_utils import async_move_files_to_cache
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]

from space.batch.batch import Batch
from space.server.uploads import MAX_FILES
from tests.support.published_folder import noise
from tests.support.served_page import MARKER, Site, served_page

# Gradio and pandas warn of themselves, and leave event loops open.
pytestmark = pytest.mark.filterwarnings("ignore")
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served_page(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[Client]:
    client = Client(site.url, verbose=False)
    yield client
    client.close()


def _file(site: Site, seed: int, name: str) -> dict[str, Any]:
    return {"path": site.upload(seed), "orig_name": name, "meta": META}


def _messages(site: Site, event: str, data: list[Any], **more: Any) -> list[dict[str, Any]]:
    lines = site.ask(event, data, **more).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data:")]


def _classified(site: Site, files: list[Any]) -> dict[str, Any]:
    """Return the last state of a batch that the page asks for."""
    done = _messages(site, "classify", [files])[-1]
    [state] = done["output"]["data"]
    return dict(state)


def _rows(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of all steps of a batch."""
    return [row for step in state["steps"] for row in json.loads(step)]


def test_programs_get_an_answer_for_each_image_and_each_file_of_a_zip(
    site: Site, client: Client, tmp_path: Path
) -> None:
    pictures = []
    for seed in (1, 2):
        noise(seed).save(tmp_path / f"{seed}.png")
        pictures.append(tmp_path / f"{seed}.png")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(pictures[1], "coil/2.png")
        file.writestr("text.txt", "no image")
    files = [handle_file(str(path)) for path in (*pictures, tmp_path / "a.zip")]
    answers = client.predict(files, api_name="/predict_batch")
    assert [answer["file"] for answer in answers] == [
        *("1.png", "2.png", "a.zip/coil/2.png", "a.zip/text.txt")
    ]
    expected = site.demo.predictor.predict([noise(1), noise(2)])
    for answer, prediction in zip(answers, [*expected, expected[1]], strict=False):
        assert answer["verdict"] == prediction.verdict
        assert answer["label"] == prediction.label
        assert answer["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-3)
    assert answers[3]["verdict"] == "error"
    assert "not an image" in answers[3]["error"]


def test_a_batch_that_is_refused_as_a_whole_has_its_reason(client: Client) -> None:
    with pytest.raises(AppError, match="No images were chosen"):
        client.predict([], api_name="/predict_batch")


FORGED: list[Any] = [
    "/etc/passwd",
    {"path": "/etc/passwd", "meta": META, "orig_name": "a.png"},
    {"path": "http://127.0.0.1:9/x.png", "meta": META},
    {"url": "http://example.org/x.png", "meta": META},
    {"path": None, "orig_name": ["odd"]},
    [[]],
    None,
    5,
]


@pytest.mark.parametrize("event", ["classify", "predict_batch"])
def test_a_forged_file_is_a_row_with_the_reason(site: Site, event: str) -> None:
    secret = {"path": str(site.secret), "meta": META, "orig_name": "secret.png"}
    text = site.ask(event, [[*FORGED, secret]])
    assert text.count("was not uploaded") >= len(FORGED) + 1
    assert 'probabilities": {' not in text
    assert MARKER not in text
    assert site.fetched == []


@pytest.mark.parametrize(
    "value",
    [None, 5, "x", {}, {"path": "/etc/passwd"}, [None] * (MAX_FILES + 1), ["x" * 1000] * 2500],
    ids=["none", "number", "text", "object", "file", "too many", "too long"],
)
@pytest.mark.parametrize("name", ["queue/join", "call/predict_batch", "call/v2/predict_batch"])
def test_a_list_that_no_page_sends_is_refused_in_words(site: Site, name: str, value: Any) -> None:
    number = site.events["classify"]
    body: dict[str, Any] = {"data": [value], "fn_index": number, "session_hash": "forger"}
    if name == "call/v2/predict_batch":
        body = {"images": value}
    answer = site.http.post(f"/{name}", json=body)
    assert answer.status_code in (400, 413), answer.text[:200]
    assert answer.json()["detail"]


def test_only_lists_of_files_may_be_long(site: Site) -> None:
    names = [{"orig_name": "x" * 500}] * 200
    state = _classified(site, names)
    assert state["total"] == 200
    body = {"data": [names], "fn_index": site.events["show_upload"], "session_hash": "s"}
    assert site.http.post("/queue/join", json=body).status_code == 413


@pytest.mark.parametrize("event", ["open_row", "table", "copies"])
@pytest.mark.parametrize(
    "data",
    [
        {"index": 0},
        {"index": 0, "batch": "x" * 32},
        {"index": 0, "batch": "../../../etc"},
        {"index": 0, "batch": ["x"]},
        {"index": -1, "batch": "x" * 32},
        {"index": 10**9, "batch": "x" * 32},
        {"index": "0", "batch": "x" * 32},
        {"batch": "x" * 32},
        None,
    ],
)
def test_a_forged_batch_opens_nothing(site: Site, event: str, data: Any) -> None:
    text = site.ask(event, [], event_data=data)
    assert "deleted in the meantime" in text or "sends no such request" in text, text[:300]
    assert MARKER not in text
    assert "Traceback" not in text


def test_the_page_gets_rows_and_downloads_only_with_the_token(site: Site) -> None:
    state = _classified(site, [_file(site, 1, "=1.png"), _file(site, 2, "../b.png"), {}])
    assert state["done"]
    rows = _rows(state)
    assert [row["name"] for row in rows] == ["=1.png", "../b.png", "(no name)"]
    assert [row["verdict"] for row in rows][-1] == "error"
    assert rows[0]["thumbnail"].startswith("data:image/webp")
    token = state["batch"]
    downloads = {}
    for event in ("table", "copies"):
        done = _messages(site, event, [], event_data={"index": 0, "batch": token})[-1]
        [answer] = done["output"]["data"]
        path = answer["download"]["path"]
        assert f"batch-{token}" in path
        got = site.http.get(f"/file={path}")
        assert got.status_code == 200
        assert site.http.get(f"/file={path.replace(token, 'x' * len(token))}").status_code == 404
        downloads[event] = got.content
    assert b"\n'=1.png," in downloads["table"]
    with zipfile.ZipFile(io.BytesIO(downloads["copies"])) as copies:
        names = [name.rpartition("/")[2] for name in copies.namelist()]
    assert names == ["=1.png", "b.png", "predictions.csv"]
    # An hour later they are gone with the uploads.
    site.uploads.clean(now=time.time() + 7200)
    assert list(site.uploads.path.glob("batch-*")) == []
    text = site.ask("table", [], event_data={"index": 0, "batch": token})
    assert "deleted in the meantime" in text


def test_a_row_opens_its_image(site: Site) -> None:
    state = _classified(site, [_file(site, 3, "c.png"), _file(site, 4, "d.png")])
    data = {"index": 1, "batch": state["batch"]}
    shown, panel = _messages(site, "open_row", [], event_data=data)[-1]["output"]["data"]
    assert site.http.get(f"/file={shown['path']}").status_code == 200
    [prediction] = site.demo.predictor.predict([noise(4)])
    assert prediction.label in panel


def test_a_stopped_batch_keeps_what_is_done(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("space.batch.runner.STEP_S", 0)
    files = [_file(site, seed % 5, f"{seed}.png") for seed in range(60)]
    joined = site.join("classify", [files], "stopper").json()
    token = None
    with site.http.stream("GET", "/queue/data", params={"session_hash": "stopper"}) as stream:
        for line in stream.iter_lines():
            if token is None and "process_generating" in line:
                [state] = json.loads(line.removeprefix("data: "))["output"]["data"]
                token = state["batch"]
                ending = {
                    "session_hash": "stopper",
                    "fn_index": site.events["classify"],
                    "event_id": joined["event_id"],
                }
                assert site.http.post("/cancel", json=ending).status_code == 200
            if "process_completed" in line or "close_stream" in line:
                break
    batch = Batch.find(site.uploads, token)
    assert batch is not None
    text = site.ask("table", [], event_data={"index": 0, "batch": token})
    assert "predictions.csv" in text
    # Another batch gets its turn after the last step of the stopped one.
    assert len(_rows(_classified(site, files[:2]))) == 2
    done = len(list(batch.answers()))
    assert 1 <= done < 60
    # Nothing is left that runs.
    assert len(_rows(_classified(site, files[:2]))) == 2
    assert len(list(batch.answers())) == done


def test_other_requests_run_between_the_files_of_a_list(site: Site) -> None:
    """Gradio checks all files of an event on the event loop."""
    files = [_file(site, seed, f"{seed}.png") for seed in range(1, 9)]

    async def turns_beside(component: gr.File) -> int:
        checking = asyncio.create_task(
            async_move_files_to_cache(files, component, check_in_upload_folder=True)
        )
        turns = 0
        while not checking.done():
            turns += 1
            await asyncio.sleep(0)
        assert [file["path"] for file in await checking] == [file["path"] for file in files]
        return turns

    lists = [block for block in site.app.blocks.values() if isinstance(block, gr.File)]
    assert len(lists) == 2
    assert all(asyncio.run(turns_beside(component)) >= len(files) for component in lists)


def test_single_images_go_before_batches_and_heatmaps(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways to send one take precedence; a heatmap pauses before each run of the network."""
    demo = site.demo
    single: list[int] = []
    pauses: list[int] = []
    predict = demo.predictor.predict

    def counted(images: Any) -> Any:
        single.append(demo.precedence._single)
        return predict(images)

    monkeypatch.setattr(demo.predictor, "predict", counted)
    file = _file(site, 1, "a.png")
    for event in ("show_upload", "predict"):
        assert "process_completed" in site.ask(event, [file])
    assert single == [1, 1]
    assert demo.precedence._single == 0
    monkeypatch.setattr(demo.precedence, "pause", lambda: pauses.append(len(single)))
    assert "Heatmap for" in site.ask("show_heatmap", [file])
    assert pauses == [2, 3]
    assert single == [1, 1, 0]
