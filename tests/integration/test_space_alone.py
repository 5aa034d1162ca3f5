"""A bare copy of the Space's folder serves a model, to programs and to careless visitors."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]
from PIL import Image

from space.inference.predictor import Predictor, read_image
from tests.loopback_hub import LoopbackHub
from tests.support.published_folder import noise, write_decision, write_published_folder
from tests.support.reports import LABELS
from tests.support.running_space import (
    copy_space,
    running_process,
    running_space,
    space_environment,
)
from tests.support.warm_process import WarmProcess


class Listener:
    """Notes what connects to a port of 127.0.0.1, and answers nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(200))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Served:
    """A bare copy of the Space that is running, and what it serves."""

    def __init__(self, url: str, model: Path, work: Path, outside: Listener) -> None:
        self.url = url
        self.model = model
        self.work = work
        self.outside = outside
        self.predictor = Predictor(model)
        self.client = Client(url, verbose=False, download_files=False)

    def predict(self, file: Path) -> Any:
        return self.client.predict(handle_file(str(file)), api_name="/predict")

    def request(self, image: object) -> str:
        """Call the endpoint without a client's help; return the events."""
        call = f"{self.url}/gradio_api/call/predict"
        event = httpx.post(call, json={"data": [image]}).json()["event_id"]
        return httpx.get(f"{call}/{event}", timeout=60).text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running copy, whose every request to the outside would go to a listener of ours."""
    folder = tmp_path_factory.mktemp("alone")
    write_published_folder(folder / "model")
    write_decision(folder / "model")
    Image.new("RGB", (8, 8)).save(folder / "secret.png")
    (folder / "work").mkdir()
    app = copy_space(folder / "copy")
    outside = Listener()
    variables: Any = {
        name: outside.url
        for scheme in ("http", "https", "all")
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    }
    variables |= {"HF_HUB_DISABLE_TELEMETRY": "0", "HF_ENDPOINT": "http://hub.invalid"}
    # Python writes the name of each module that it imports into the log.
    variables["PYTHONPROFILEIMPORTTIME"] = "1"
    model_id = f"local-dir:{folder / 'model'}"
    with running_space(app, model_id, folder / "work", **variables) as url:
        served = Served(url, folder / "model", folder / "work", outside)
        yield served
        served.client.close()
    outside.close()


def _stripes() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.tile(np.array([[10, 90, 170, 250]], np.uint8), (40, 10))


def _write(path: Path, kind: str) -> None:
    gray = Image.fromarray(_stripes())
    match kind:
        case "16-bit.png" | "16-bit.tiff":
            Image.fromarray(_stripes().astype(np.uint16) * 200).save(path)
        case "cmyk.jpg" | "cmyk.tiff":
            Image.merge("CMYK", [gray, gray.rotate(90), gray.rotate(180), gray]).save(path)
        case "transparent.png" | "transparent.webp":
            Image.merge("RGBA", [gray, gray, gray, gray.rotate(90)]).save(path)
        case "rotated.jpg":
            exif = Image.Exif()
            exif[0x0112] = 6
            gray.save(path, exif=exif)
        case _:
            gray.save(path)


@pytest.mark.parametrize(
    "kind",
    [
        "gray.png",
        "gray.bmp",
        "gray.gif",
        "16-bit.png",
        "16-bit.tiff",
        "cmyk.jpg",
        "cmyk.tiff",
        "transparent.png",
        "transparent.webp",
        "rotated.jpg",
    ],
)
def test_the_answer_is_the_predictors_for_the_very_file(
    served: Served, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / kind
    _write(path, kind)
    (expected,) = served.predictor.predict([read_image(path)])
    answer = served.predict(path)
    assert answer["label"] == expected.label
    assert answer["confidence"] == max(answer["probabilities"].values())
    assert list(answer["probabilities"]) == LABELS
    # Both threads and the sharp temperature of this model magnify rounding.
    assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-3)
    assert answer["verdict"] == expected.verdict
    assert answer["candidates"] == list(expected.candidates)
    assert answer["novelty"] == pytest.approx(expected.novelty, rel=1e-3)


def test_files_that_look_different_get_different_answers(served: Served, tmp_path: Path) -> None:
    """Otherwise the test above could not fail."""
    kinds = ["gray.png", "16-bit.png", "cmyk.tiff", "transparent.png", "rotated.jpg"]
    for kind in kinds:
        _write(tmp_path / kind, kind)
    answers = [served.predict(tmp_path / kind)["novelty"] for kind in kinds]
    gaps = np.diff(np.log(sorted(answers)))
    assert gaps.min() > 2e-3


def test_programs_get_each_verdict(served: Served, tmp_path: Path) -> None:
    answers = {}
    for seed in range(40):
        image = noise(seed) if seed else Image.new("RGB", (80, 60), "gray")
        image.save(tmp_path / f"{seed}.png")
        (expected,) = served.predictor.predict([image])
        if expected.verdict not in answers:
            answers[expected.verdict] = served.predict(tmp_path / f"{seed}.png")
    assert set(answers) == {"class", "unsure", "unknown"}
    for verdict, answer in answers.items():
        assert answer["verdict"] == verdict
        assert answer["label"] in answer["candidates"]
        assert (answer["novelty"] > 1) == (verdict == "unknown")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("text.txt", b"no image", "not an image in JPEG"),
        ("text.png", b"no image", "not an image in JPEG"),
        ("empty.png", b"", "The file is empty"),
        ("drawing.svg", b"<svg/>", "not an image in JPEG"),
        ("cut.bmp", b"BM" + bytes(60), "not an image in JPEG|damaged"),
    ],
)
def test_a_file_that_is_no_image_gets_words(
    served: Served, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AppError, match=says):
        served.predict(tmp_path / name)


def test_an_animation_gets_words(served: Served, tmp_path: Path) -> None:
    frame = Image.new("L", (4, 4))
    frame.save(tmp_path / "moving.gif", save_all=True, append_images=[Image.new("L", (4, 4), 255)])
    with pytest.raises(AppError, match="several frames"):
        served.predict(tmp_path / "moving.gif")


def test_nothing_sent_gets_words(served: Served) -> None:
    assert "No file was sent" in served.request(None)


@pytest.mark.parametrize("mark", [None, {"_type": "gradio.FileData"}, {"_type": "other"}])
def test_a_request_can_name_no_file_of_the_machine(served: Served, mark: object) -> None:
    for path in (served.model.parent / "secret.png", "uploads/../../secret.png"):
        forged = {"path": str(path)} | ({"meta": mark} if mark else {})
        events = served.request(forged)
        assert "event: error" in events
        assert "probabilities" not in events


def test_nothing_of_the_model_can_be_downloaded(served: Served) -> None:
    for path in (
        served.model / "model.safetensors",
        served.model / "figures" / "confusion_matrix.png",
        served.model.parent / "secret.png",
    ):
        answer = httpx.get(f"{served.url}/gradio_api/file={path}")
        assert answer.status_code == 404, answer.text


def test_the_endpoints_are_described(served: Served) -> None:
    described = served.client.view_api(return_format="dict", print_info=False)
    assert list(described["named_endpoints"]) == ["/predict", "/predict_batch", "/heatmap"]
    assert not described["unnamed_endpoints"]
    # Examples are our own, and no address that a program would fetch.
    assert "http" not in json.dumps(
        [
            parameter["example_input"]
            for endpoint in described["named_endpoints"].values()
            for parameter in endpoint["parameters"]
        ]
    )
    (parameter,) = described["named_endpoints"]["/predict"]["parameters"]
    assert parameter["parameter_name"] == "image"


def test_it_listens_on_this_machine_only(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    own_address = socket.gethostbyname(socket.gethostname())
    if own_address.startswith("127."):
        own_address = "127.0.0.2"  # Linux answers on the whole of 127.0.0.0/8
    with socket.socket() as probe:
        probe.settimeout(5)
        assert probe.connect_ex((own_address, port)) != 0


def test_it_asks_nothing_of_the_outside(served: Served, tmp_path: Path) -> None:
    _write(tmp_path / "gray.png", "gray.png")
    served.predict(tmp_path / "gray.png")
    assert served.outside.requests == []


def test_a_copy_imports_nothing_of_the_rest_of_the_project(served: Served) -> None:
    log = (served.work / "space.log").read_text(encoding="utf-8")
    imported = set(re.findall(r"^import time:.*\| +(\w+)", log, re.MULTILINE))
    assert {"gradio", "demo", "inference", "server", "ui"} <= imported
    assert not {"trainer", "model_card", "space"} & imported


# Starting.


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (
            {"MODEL_ID": ""},
            "No model is set. Set MODEL_ID to hf-hub:user/name or local-dir:path/to/folder.",
        ),
        (
            {"MODEL_ID": "steel"},
            "'steel' is not a model id; write hf-hub:user/name or local-dir:path/to/folder.",
        ),
        (
            {"MODEL_ID": "local-dir:missing"},
            "There is no folder missing. Check the path of the model.",
        ),
        (
            {"MODEL_ID": "local-dir:."},
            ". is not a published model: it has no config.json.",
        ),
        (
            {"MODEL_ID": "hf-hub:ada/steel", "GRADIO_SERVER_PORT": "page"},
            "GRADIO_SERVER_PORT is 'page'; set it to a number from 1 to 65535.",
        ),
        (
            {"MODEL_ID": "local-dir:.", "ENGINE": "fast"},
            "ENGINE is 'fast'; set it to one of auto, pytorch, openvino, onnxruntime.",
        ),
    ],
)
def test_a_wrong_setting_is_named_before_anything_heavy_loads(
    tmp_path: Path, variables: dict[str, str], says: str
) -> None:
    for library in ("gradio", "torch"):
        (tmp_path / f"{library}.py").write_text("raise SystemExit('loaded')")
    ended = subprocess.run(
        [sys.executable, copy_space(tmp_path / "copy")],
        cwd=tmp_path,
        env=space_environment(PYTHONPATH=str(tmp_path), **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"Error: {says}\n")


def _start(folder: Path, **environment: str) -> tuple[int | None, str]:
    """Run a bare copy of the Space that ends by itself; return exit code and messages."""
    app = copy_space(folder / "copy")
    process = WarmProcess([str(app)], folder, environment=space_environment(**environment))
    output, errors = process.communicate(timeout=120)
    assert output == ""
    return process.returncode, errors


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    write_published_folder(tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = _start(tmp_path, MODEL_ID="local-dir:model", GRADIO_SERVER_PORT=port)
    assert code == 2
    assert f"Error: Port {port} can't be used" in errors
    assert "GRADIO_SERVER_PORT" in errors
    assert "launch()" not in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_server_and_deletes_its_uploads(
    tmp_path: Path, number: signal.Signals
) -> None:
    write_published_folder(tmp_path / "model")
    noise(1).save(tmp_path / "photo.png")
    app = copy_space(tmp_path / "copy")
    model_id = f"local-dir:{tmp_path / 'model'}"
    with running_process(app, model_id, tmp_path, warm=True) as (url, process):
        files = {"files": ("photo.png", (tmp_path / "photo.png").read_bytes())}
        [name] = httpx.post(f"{url}/gradio_api/upload", files=files).json()
        assert Path(name).is_file()
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
    assert list((tmp_path / "uploads").rglob("*.png")) == []
    assert list((tmp_path / "uploads").glob("surface-defect-space-*")) == []
    assert "Traceback" not in (tmp_path / "space.log").read_text(encoding="utf-8")


def test_a_published_space_reads_its_models_name_from_its_file(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    write_published_folder(tmp_path / "model")
    files = {
        path.relative_to(tmp_path / "model").as_posix(): path.read_bytes()
        for path in (tmp_path / "model").rglob("*")
        if path.is_file()
    }
    hub.put("model", "ada/steel", files | {"pytorch_model.bin": b"pickled"})
    app = copy_space(tmp_path / "copy")
    (app.parent / "model_id.txt").write_text("hf-hub:ada/steel\n")
    with running_space(app, "", tmp_path, warm=True, ENGINE="openvino") as url:
        page = httpx.get(f"{url}/config").text
    assert "Runs on OpenVINO" in page
    assert f"{hub.url}/ada/steel" in page
    assert "98.6" in page
    fetched = {request.path for request in hub.requests if "/resolve/" in request.path}
    assert any(path.endswith("model.safetensors") for path in fetched)
    assert not any(path.endswith((".bin", "README.md")) for path in fetched)


def test_a_model_that_the_hub_does_not_have_is_named(hub: LoopbackHub, tmp_path: Path) -> None:
    code, errors = _start(tmp_path, MODEL_ID="hf-hub:ada/none")
    assert code == 2
    assert "\nError: The model ada/none could not be downloaded" in errors
    assert "Traceback" not in errors
