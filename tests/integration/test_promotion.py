"""A new model replaces the published one only if that one is not better; both stay loadable."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file

from model_card.schema.comparison import Comparison, PairedResult
from model_card.schema.report import Report
from space.inference.predictor import Predictor
from tests.conftest import Run
from tests.loopback_hub import LoopbackHub
from tests.support.small_run import small_config
from trainer.config.settings import TrainConfig
from trainer.inputs.corruptions import BY_NAME
from trainer.promotion.promotion import compare_with_published
from trainer.publishing.hub.upload import publish_model
from trainer.publishing.published import check_published
from trainer.run import train

REPO = "ada/steel"
TESTED = 36
CLASSES = {"Bright": (100, 256), "Dark": (0, 156)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with images of two classes, a run on them, and one that names the other."""
    place = tmp_path_factory.mktemp("promotion")
    draw = np.random.default_rng(0)
    for label, levels in CLASSES.items():
        for split, count in (("train", 12), ("test", TESTED // len(CLASSES))):
            folder = place / "images" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                gray = draw.integers(*levels, (40, 40), np.uint8)
                Image.fromarray(gray).save(folder / f"{number}.png")
    train(small_config(place / "images", place / "good", epochs=4, lr=5e-3))
    shutil.copytree(place / "good", place / "bad")
    change_head(place / "bad", -1)
    return place


@pytest.fixture
def place(runs: Path, tmp_path: Path) -> Path:
    """Return a copy of the runs that a test may change."""
    for name in ("good", "bad"):
        shutil.copytree(runs / name, tmp_path / name)
    return tmp_path


def change_head(run_dir: Path, factor: float) -> None:
    """Multiply all logits."""
    weights = load_file(run_dir / "published/model.safetensors")
    for name in ("head.fc.weight", "head.fc.bias"):
        weights[name] *= factor
    save_file(weights, run_dir / "published/model.safetensors")
    Report.read(run_dir / "published").write(run_dir / "published")


def change_report(run_dir: Path, change: Callable[[Report], dict[str, object]]) -> None:
    report = Report.read(run_dir / "published")
    report.model_copy(update=change(report)).write(run_dir / "published")


def put(hub: LoopbackHub, run_dir: Path) -> str:
    """Publish a run without a comparison; return the commit."""
    publish_model(run_dir / "published", REPO, private=False)
    return hub.repo("model", REPO).head.oid


def recorded(run_dir: Path) -> Comparison:
    comparison = check_published(run_dir / "published").comparison
    assert comparison is not None
    return comparison


def result_of(run_dir: Path) -> PairedResult:
    result = recorded(run_dir).result
    assert result is not None
    return result


def test_a_better_model_replaces_the_published_one(
    command: Run, hub: LoopbackHub, token: str, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = put(hub, place / "bad")
    code, out, err = command("push.py", "--run-dir", str(place / "good"), "--repo-id", REPO)
    assert (code, out) == (0, f"{hub.url}/{REPO}\n"), err
    assert "The new model is better." in caplog.text
    assert recorded(place / "good").revision == old
    result = result_of(place / "good")
    report = check_published(place / "good/published")
    assert result.overall.new == report.test.scores["accuracy"]
    correct_now, correct = (
        round(share.value * TESTED) for share in (result.overall.new, result.overall.published)
    )
    assert result.overall.images == result.test_images == result.groups == TESTED
    assert result.only_new - result.only_published == correct_now - correct
    assert result.known_splits
    assert result.missing_images == 0
    assert [row.name for row in result.classes] == report.model.labels
    assert sum(row.images * row.new.value for row in result.classes) == pytest.approx(correct_now)
    assert result.overall.verdict == "better"
    card = ModelCard.load(REPO).text
    assert "### Compared with the published model" in card
    assert f"hf-hub:{REPO}@{old}" in card.replace("\u2060", "")
    # The replaced one can still be loaded, and is not the new one.
    before, after = (Predictor.load(f"hf-hub:{REPO}{at}") for at in (f"@{old}", ""))
    image = [Image.new("RGB", (40, 40), "gray")]
    assert before.logits(image) == pytest.approx(-after.logits(image))

    # The same command again finds its own model there, and changes nothing.
    code, _, err = command("push.py", "--run-dir", str(place / "good"), "--repo-id", REPO)
    assert code == 0, err
    assert len(hub.repo("model", REPO).pushes) == 2
    assert recorded(place / "good").revision == old


def test_a_better_model_is_not_replaced(
    command: Run, hub: LoopbackHub, token: str, place: Path
) -> None:
    old = put(hub, place / "good")
    before = (place / "bad/published/report.json").read_bytes()
    push = ("push.py", "--run-dir", str(place / "bad"), "--repo-id", REPO)
    code, out, err = command(*push)
    assert (code, out) == (2, "")
    assert f"The model in {REPO} is better than this one" in err
    assert "--replace-better" in err
    assert f"hf-hub:{REPO}@{old}" in err
    assert hub.repo("model", REPO).head.oid == old
    assert (place / "bad/published/report.json").read_bytes() == before

    code, out, err = command(*push, "--replace-better")
    assert code == 0, err
    assert hub.repo("model", REPO).head.oid != old
    assert result_of(place / "bad").overall.verdict == "worse"
    assert "**worse**" in ModelCard.load(REPO).text


def test_models_that_decide_alike_are_not_distinguished(
    hub: LoopbackHub, token: str, place: Path
) -> None:
    put(hub, place / "good")
    change_head(place / "good", 2)
    compare_with_published(place / "good", REPO, replace_better=False)
    overall = result_of(place / "good").overall
    assert (overall.difference.value, overall.difference.p_value) == (0, 1)
    assert overall.verdict == "equal"


def test_both_models_predict_the_same_corrupted_images(
    hub: LoopbackHub, token: str, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig.read(place / "good")
    replace(config, checks=replace(config.checks, robustness_images=12)).write(place / "good")
    put(hub, place / "bad")
    caplog.set_level("INFO", logger="trainer")
    compare_with_published(place / "good", REPO, replace_better=False)
    robustness = result_of(place / "good").robustness
    assert robustness is not None
    assert robustness.severity == 3
    assert [row.name for row in robustness.kinds] == [*BY_NAME]
    for row in robustness.kinds:
        assert row.images == 12
        # The published model always says the opposite, if both see the same picture.
        assert row.new.value + row.published.value == pytest.approx(1)
        assert row.difference.value == pytest.approx(row.new.value - row.published.value)
    noise = next(row for row in robustness.kinds if row.name == "Noise")
    assert noise.new.value == 1
    # All 12 signs alike, for 11 corruptions.
    assert noise.difference.p_value == pytest.approx(11 * 2 / 2**12)
    assert "Under corruption of severity 3: Noise better" in caplog.text
    card = (place / "good/published/README.md").read_text(encoding="utf-8")
    assert "12 test images that both models saw corrupted in the same way" in card


def test_images_that_the_published_model_trained_on_are_left_out(
    hub: LoopbackHub, token: str, place: Path
) -> None:
    """The published report says that it trained on ten of the new test images and two lost ones."""
    report = Report.read(place / "good/published")
    splits = {split.name: split for split in report.data.splits}
    tested = splits["test"].fingerprints
    assert tested is not None
    seen = [*tested[:10], 1, 2]
    images_by_class = {**splits["train"].images_by_class}
    first = report.model.labels[0]
    images_by_class[first] += len(seen) - splits["train"].images
    train_split = splits["train"].model_copy(
        update={"images": 12, "fingerprints": seen, "images_by_class": images_by_class}
    )
    data = report.data.model_copy(
        update={"splits": [train_split, splits["validation"], splits["test"]]}
    )
    change_report(place / "bad", lambda _: {"data": data})
    put(hub, place / "bad")
    compare_with_published(place / "good", REPO, replace_better=False)
    result = result_of(place / "good")
    assert (result.overall.images, result.test_images, result.missing_images) == (26, 36, 2)


def test_a_report_without_fingerprints_is_said_to_be_one(
    hub: LoopbackHub, token: str, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def without(report: Report) -> dict[str, object]:
        splits = [s.model_copy(update={"fingerprints": None}) for s in report.data.splits]
        return {"data": report.data.model_copy(update={"splits": splits})}

    change_report(place / "bad", without)
    put(hub, place / "bad")
    caplog.set_level("INFO", logger="trainer")
    compare_with_published(place / "good", REPO, replace_better=False)
    assert not result_of(place / "good").known_splits
    assert "may have seen" in caplog.text
    card = (place / "good/published/README.md").read_text(encoding="utf-8")
    assert "does not name the images that it was trained on" in card


def test_an_empty_repository_has_nothing_to_compare(
    command: Run, hub: LoopbackHub, token: str, place: Path
) -> None:
    code, _, err = command("push.py", "--run-dir", str(place / "good"), "--repo-id", REPO)
    assert code == 0, err
    assert check_published(place / "good/published").comparison is None
    assert "Compared with" not in ModelCard.load(REPO).text


def test_a_model_of_other_classes_is_replaced_without_a_comparison(
    hub: LoopbackHub, token: str, place: Path, package: Path, tmp_path: Path
) -> None:
    shutil.copytree(package, tmp_path / "other/published")
    put(hub, tmp_path / "other")
    renamed = Predictor(package).labels
    assert set(renamed) != set(Report.read(place / "good/published").model.labels)
    compare_with_published(place / "good", REPO, replace_better=False)
    assert recorded(place / "good").reason == "the published model has other classes"


def test_a_damaged_published_model_protects_nothing(
    hub: LoopbackHub, token: str, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = put(hub, place / "bad")
    hub.put("model", REPO, {"model.safetensors": b"nothing"})
    compare_with_published(place / "good", REPO, replace_better=False)
    assert recorded(place / "good").reason == "the published model could not be loaded"
    assert recorded(place / "good").revision != old
    assert "can't be used" in caplog.text


def test_without_the_images_nothing_is_replaced_unasked(
    command: Run, hub: LoopbackHub, token: str, runs: Path, place: Path
) -> None:
    old = put(hub, place / "bad")
    (runs / "images").rename(runs / "moved")
    push = ("push.py", "--run-dir", str(place / "good"), "--repo-id", REPO)
    try:
        code, _, err = command(*push)
        assert code == 2
        assert "can't be compared" in err
        assert "--replace-better" in err
        assert hub.repo("model", REPO).head.oid == old
        code, _, err = command(*push, "--replace-better")
        assert code == 0, err
    finally:
        (runs / "moved").rename(runs / "images")
    assert recorded(place / "good").reason == "the test images were no longer available"
    assert str(runs) not in ModelCard.load(REPO).text


def test_a_model_that_was_published_meanwhile_is_not_replaced(
    hub: LoopbackHub, token: str, place: Path
) -> None:
    put(hub, place / "bad")
    state = compare_with_published(place / "good", REPO, replace_better=False)
    hub.put("model", REPO, {"notes.txt": b"theirs"})
    theirs = hub.repo("model", REPO).head.oid
    with pytest.raises(Exception, match="meanwhile, which was not compared"):
        publish_model(place / "good/published", REPO, private=False, replaced=state)
    assert hub.repo("model", REPO).head.oid == theirs
