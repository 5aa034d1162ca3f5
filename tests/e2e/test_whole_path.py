"""The whole path, by the real programs: images → training → hub → timm, and Space → browser."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import snapshot_download
from playwright.sync_api import expect
from safetensors.torch import load_file
from timm.data import create_transform, resolve_model_data_config

from docs.browser import open_page
from space.inference.predictor import Predictor, read_image
from tests.conftest import HF_HOME
from tests.loopback_hub import LoopbackHub
from tests.loopback_hub.base_models import put_base_model
from tests.support.running_space import running_space
from tests.support.warm_process import WarmProcess
from trainer.synthetic.samples import CLASSES, write_samples

REPOSITORY = Path(__file__).parents[2]
BASE_MODEL = "test_convnext.r160_in1k"
MODEL, SPACE = "mill/strip-defects", "mill/strip-defects-demo"


@dataclass(frozen=True)
class Pushed:
    """What a finished `push.py` left behind."""

    hub: LoopbackHub
    run_dir: Path
    folder: Path
    output: str
    errors: str
    base_weights: dict[str, torch.Tensor]
    token: str


def push(*arguments: str, cwd: Path) -> tuple[str, str]:
    """Run `push.py`; return what it prints, and its messages."""
    script = str(REPOSITORY / "trainer" / "push.py")
    process = WarmProcess([script, *arguments], cwd, draw_figures=True)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output, errors


@pytest.fixture
def pushed(hub: LoopbackHub, token: str, tmp_path: Path) -> Pushed:
    """Fine-tune a pretrained model of the hub on drawn images and publish it with a Space."""
    write_samples(tmp_path / "custom_dateset", train_per_class=12, test_per_class=4)
    base_weights = put_base_model(hub, BASE_MODEL)
    output, errors = push(
        *("--model", BASE_MODEL, "--epochs", "2", "--image-size", "64", "--lr", "1e-3"),
        *("--validation-fraction", "0.2", "--run-dir", "run", "--robustness-images", "1"),
        *("--repo-id", MODEL, "--space-id", SPACE),
        cwd=tmp_path,
    )
    folder = tmp_path / "run" / "published"
    return Pushed(hub, tmp_path / "run", folder, output, errors, base_weights, token)


@pytest.mark.browser
def test_from_folder_to_browser(pushed: Pushed, tmp_path: Path) -> None:
    """One long test, since each station starts from what the one before left."""
    check_output(pushed)
    check_card(pushed)
    check_download_with_timm(pushed, tmp_path)
    check_second_push(pushed, tmp_path)
    check_space_in_browser(pushed, tmp_path)


def check_output(pushed: Pushed) -> None:
    hub = pushed.hub
    assert pushed.output.split() == [f"{hub.url}/{MODEL}", f"{hub.url}/spaces/{SPACE}"]
    assert pushed.token not in pushed.output + pushed.errors
    assert len(hub.repo("model", MODEL).pushes) == 1
    assert len(hub.repo("space", SPACE).pushes) == 1
    for file in pushed.run_dir.rglob("*"):
        assert not file.is_file() or pushed.token.encode() not in file.read_bytes()
        assert file.suffix not in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
    # The head is ours; the backbone began as the hub's: two epochs at 1e-3 move it only so far.
    trained = load_file(pushed.folder / "model.safetensors")
    assert trained["head.fc.weight"].shape[0] == len(CLASSES)
    for name in ("stem.0.weight", "stages.1.blocks.0.mlp.fc1.weight"):
        moved = (trained[name] - pushed.base_weights[name]).abs().max()
        assert 0 < moved < 0.05


def check_card(pushed: Pushed) -> None:
    card = pushed.hub.read("model", MODEL, "README.md").decode()
    report = json.loads(pushed.hub.read("model", MODEL, "report.json"))
    assert f"base_model: timm/{BASE_MODEL}" in card
    assert "library_name: timm" in card
    assert f'"hf-hub:{MODEL}"' in card
    assert f"[Demo Space](https://huggingface.co/spaces/{SPACE})" in card
    assert report["test"]["images"] == 24
    for figure in report["figures"]:
        assert pushed.hub.read("model", MODEL, figure["file"]).startswith(b"\x89PNG")
        assert figure["file"] in card
    assert str(pushed.run_dir) not in card + json.dumps(report)


def check_download_with_timm(pushed: Pushed, tmp_path: Path) -> None:
    model = timm.create_model(f"hf-hub:{MODEL}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    file = sorted((tmp_path / "custom_dateset" / "test" / "Patches").iterdir())[0]
    image = read_image(file)
    with torch.inference_mode():
        logits = model(transform(image).unsqueeze(0))
    assert list(model.pretrained_cfg["label_names"]) == sorted(CLASSES)
    served = torch.from_numpy(Predictor(pushed.folder).logits([image]))
    torch.testing.assert_close(logits, served, rtol=0, atol=0)
    rows = (pushed.run_dir / "predictions.csv").read_text(encoding="utf-8").splitlines()
    row = next(row for row in rows if row.startswith(f"test/Patches/{file.name},"))
    expected = [float(cell) for cell in row.split(",")[4:]]
    decision = json.loads((pushed.folder / "decision.json").read_text(encoding="utf-8"))
    calibrated = (logits.double() / decision["temperature"]).softmax(1)[0]
    assert calibrated.tolist() == pytest.approx(expected, abs=2e-6)


def check_second_push(pushed: Pushed, tmp_path: Path) -> None:
    """The same command again trains nothing and leaves one fresh commit at most."""
    weights = (pushed.folder / "model.safetensors").stat().st_mtime_ns
    _, errors = push("--run-dir", "run", "--repo-id", MODEL, cwd=tmp_path)
    assert (pushed.folder / "model.safetensors").stat().st_mtime_ns == weights
    assert "finished already" in errors


def check_space_in_browser(pushed: Pushed, tmp_path: Path) -> None:
    """The Space as the hub has it, alone in a folder, loads the model from the hub and answers."""
    alone = Path(snapshot_download(SPACE, repo_type="space", local_dir=tmp_path / "alone"))
    assert f"hf-hub:{MODEL}" in (alone / "model_id.txt").read_text(encoding="utf-8")
    image = sorted((tmp_path / "custom_dateset" / "test" / "Scratches").iterdir())[1]
    expected = Predictor(pushed.folder).predict([read_image(image)])[0]
    workdir = tmp_path / "workdir"
    workdir.mkdir()
    # Without what the tests before it downloaded, so that the Space really downloads.
    shutil.rmtree(HF_HOME / "hub")
    downloads = len(pushed.hub.requests)
    with (
        running_space(alone / "app.py", "", workdir, warm=True) as url,
        open_page(url) as page,
    ):
        asked = [request.path for request in pushed.hub.requests[downloads:]]
        assert any(path.endswith("model.safetensors") for path in asked)
        page.locator("input[type=file]").first.set_input_files(image)
        badge = page.locator("#answer .badge")
        expect(badge).to_have_class(f"badge {expected.verdict}")
        likeliest = page.locator("#answer .probabilities li").first
        expect(likeliest).to_contain_text(expected.label)
        shown = re.search(r"(\d+)", likeliest.inner_text())
        assert shown is not None
        assert abs(int(shown[1]) - 100 * expected.confidence) <= 1
        page.get_by_role("tab", name="Results").click()
        expect(page.get_by_text("Measured on 24 test images")).to_be_visible()
