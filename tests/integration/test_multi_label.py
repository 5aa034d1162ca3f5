"""Several defects of an image: trained from boxes, decided, measured and published."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from model_card.schema.report import Report
from space.app import serve
from space.demo import Demo
from space.inference.decision_file import load_decision
from space.inference.exported.model_file import ExportedClassifier
from space.inference.predictor import ModelError, Predictor
from space.server.configuration import StartError
from space.server.uploads import UploadFolder
from space.ui.results import results as results_tab
from tests.support.running_space import free_port
from tests.support.small_run import going_on, small_config
from tests.support.two_defects import CLASSES, draw, write_images
from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import prepare_images
from trainer.data.splits.split import SPLIT_FILE
from trainer.data.voc_boxes import read_boxes
from trainer.errors import ConfigError
from trainer.exporting.finished_run import export_run
from trainer.prediction.coil.output import CoilOutput
from trainer.prediction.image_files import list_images
from trainer.prediction.run.delivery import Delivery
from trainer.prediction.run.runner import run
from trainer.run import train
from trainer.text.spreadsheet import read_table

Defects = dict[str, tuple[str, ...]]


def config_of(folder: Path, run_dir: Path) -> TrainConfig:
    """Return settings that learn the drawn images: they tell classes apart by their place."""
    still: dict[str, Any] = {"rotation": 0.0, "shear": 0.0, "translation": 0.0, "flip": False}
    config = small_config(folder / "images", run_dir, epochs=8, lr=5e-3, **still)
    return replace(
        config,
        data=replace(config.data, multi_label=True),
        decision=replace(config.decision, max_missed=0.1),
        checks=replace(config.checks, boxes=folder / "boxes"),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Defects]:
    folder = tmp_path_factory.mktemp("strips")
    return folder, dict(write_images(folder, one=16, two=8))


@pytest.fixture(scope="module")
def published(data: tuple[Path, Defects], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = train(config_of(data[0], tmp_path_factory.mktemp("runs") / "run"))
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder


def test_the_report_counts_the_defects_of_the_test_images(
    published: Path, data: tuple[Path, Defects]
) -> None:
    report = Report.read(published)
    found = report.several_defects
    assert found is not None
    assert report.reliability is None
    _, *rows = read_table(published.parent / SPLIT_FILE)
    shown = [data[1][file] for file, _, _, split in rows if split == "test"]
    assert found.several == sum(len(defects) == 2 for defects in shown) > 0
    assert found.one_defect == sum(len(defects) == 1 for defects in shown)
    assert [each.images for each in found.classes] == [
        sum(name in defects for defects in shown) for name in CLASSES
    ]
    # Drawings are easy: what is wired wrongly scores far less.
    assert found.mean_average_precision > 0.95
    assert found.second_named.value > 0.8
    assert found.one_exact.value > 0.8
    assert found.missed.promised == 0.1
    assert found.missed.share.value <= 0.1


def test_a_class_map_renames_boxes_too(data: tuple[Path, Defects], tmp_path: Path) -> None:
    table = tmp_path / "map.csv"
    table.write_text("name,class\nDots,Spots\nRolled,\n", encoding="utf-8")
    config = config_of(data[0], tmp_path / "run")
    config = replace(config, data=replace(config.data, class_map=table))
    [images] = prepare_images(config.data, config.run, config.checks.boxes, None)
    assert images.labels == ["Lines", "Spots"]
    meant = {"Dots": "Spots", "Lines": "Lines", "Rolled": None}
    found = {
        file: [images.labels[label] for label in shown]
        for split in images.splits.values()
        for file, shown in zip(split["file"][:], split["defects"][:], strict=True)
    }
    assert found == {
        file: sorted(name for defect in defects if (name := meant[defect]))
        for file, defects in data[1].items()
        if not file.startswith("Rolled")
    }
    # For the heatmaps, too.
    boxes = read_boxes(images.boxes, list(found))
    assert {box.name for own in boxes.values() for box in own} == {"Spots", "Lines"}


def test_folds_name_the_defects_of_all_images(data: tuple[Path, Defects], tmp_path: Path) -> None:
    config = config_of(data[0], tmp_path / "run")
    config = replace(config, data=replace(config.data, folds=2))
    folder = train(config)
    AcceleratorState._reset_state(reset_partial_state=True)
    report = Report.read(folder)
    assert report.cross_validation is not None
    found, first = report.cross_validation.several_defects, report.several_defects
    assert found is not None
    assert first is not None
    assert report.cross_validation.reliability is None
    assert found.several == sum(len(defects) == 2 for defects in data[1].values())
    assert found.one_defect == sum(len(defects) == 1 for defects in data[1].values())
    assert [each.images for each in found.classes] == [
        sum(name in defects for defects in data[1].values()) for name in CLASSES
    ]
    assert found.second_named.value > 0.8
    assert found.missed.groups > first.missed.groups
    # The thresholds are fitted to the other fold, and are those that are published.
    tested = [fold.test_images for fold in report.cross_validation.folds]
    assert first.calibration.fitted_on == "other folds"
    assert first.calibration.fitted_images == tested[1]
    assert first.one_defect + first.several == tested[0]
    decision = load_decision(folder, list(CLASSES))
    assert decision is not None
    assert decision.rules.thresholds is not None
    assert [each.named_from for each in first.classes] == decision.rules.thresholds.named
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Several defects in all folds" in card
    assert f"of {found.several} images with several" in card


def test_the_published_model_names_all_defects(published: Path) -> None:
    predictor = Predictor(published)
    assert predictor.facts.multi_label
    wanted = [("Dots",), ("Lines",), ("Rolled",), ("Dots", "Lines"), ("Lines", "Rolled")]
    images = [draw(defects, 1000 + number) for number, defects in enumerate(wanted)]
    answers = predictor.predict(images)
    assert [set(answer.defects or ()) for answer in answers] == [set(each) for each in wanted]
    sums = [sum(answer.probabilities.values()) for answer in answers]
    assert sums[3] > 1.5


def test_the_card_shows_several_defects(published: Path) -> None:
    card = (published / "README.md").read_text(encoding="utf-8")
    found = Report.read(published).several_defects
    assert found is not None
    assert "It names every defect that it finds" in card
    assert "Of two defects side by side, it names one" not in card
    assert f"of {found.several} images with several" in card
    assert re.search(r"at most 10\.0\W% are expected to be ruled out", card)
    assert ".sigmoid()" in card
    assert ".softmax(" not in card
    for result in found.classes:
        assert f"| {result.label} | {result.images} | " in card


def test_the_code_in_the_card_decides_as_the_predictor(
    published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (published / "README.md").read_text(encoding="utf-8")
    code = code.partition("```python\n")[2].partition("```")[0]
    predictor = Predictor(published)
    side = predictor.facts.preprocessing.size_px[0]
    for defects, seed in ((("Dots", "Lines"), 5), (("Rolled",), 6)):
        image = draw(defects, seed, side)
        monkeypatch.setattr("PIL.Image.open", lambda _, shown=image: shown)
        monkeypatch.chdir(published)
        exec(compile(code, "card", "exec"), {})  # noqa: S102 -- the card's own example
        [answer] = predictor.predict([image])
        printed = capsys.readouterr().out
        if answer.verdict == "class":
            named = set(printed.partition(" (most")[0].split(" and "))
            assert named == set(answer.defects or ()) == set(defects)
        else:
            assert printed.startswith(answer.verdict)


def test_a_folder_whose_files_contradict_each_other_is_refused(
    published: Path, tmp_path: Path
) -> None:
    for name in ("model.safetensors", "decision.json", "decision.safetensors"):
        if (published / name).exists():
            (tmp_path / name).write_bytes((published / name).read_bytes())
    settings = json.loads((published / "config.json").read_text(encoding="utf-8"))
    del settings["multi_label"]
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ModelError, match=r"one class of an image, but decision.json has thresh"):
        Predictor(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(settings | {"multi_label": True}))
    rules = json.loads((tmp_path / "decision.json").read_text(encoding="utf-8"))
    del rules["thresholds"]
    (tmp_path / "decision.json").write_text(json.dumps(rules), encoding="utf-8")
    with pytest.raises(ModelError, match=r"several defects of an image, but decision.json lacks"):
        Predictor(tmp_path)
    # Without rules, a class is named from one half on.
    (tmp_path / "decision.json").unlink()
    (tmp_path / "decision.safetensors").unlink(missing_ok=True)
    [answer] = Predictor(tmp_path).predict([draw(("Dots", "Lines"), 1)])
    likely = {name for name, p in answer.probabilities.items() if p >= 0.5}
    assert set(answer.defects or ()) == likely == {"Dots", "Lines"}


def test_a_table_has_a_column_of_defects(published: Path, tmp_path: Path) -> None:
    wanted = {"1.png": ("Dots",), "2.png": ("Dots", "Lines"), "3.png": ("Lines", "Rolled")}
    for number, (name, defects) in enumerate(wanted.items()):
        draw(defects, 2000 + number).save(tmp_path / name)
    table, page = tmp_path / "rows.csv", tmp_path / "page.html"
    files = list_images([str(tmp_path / name) for name in wanted], [])
    delivery = Delivery(table, "csv", copy_to=tmp_path / "sorted", report=page)
    arguments: Any = {"engine": "pytorch", "batch_size": 4, "resume": False}
    outcome = run(f"local-dir:{published}", files, delivery, **arguments)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [set(row["defects"].split("; ")) for row in rows] == [set(e) for e in wanted.values()]
    answers = Predictor(published).predict(
        [draw(e, 2000 + n) for n, e in enumerate(wanted.values())]
    )
    assert [row["verdict"] for row in rows] == [answer.verdict for answer in answers]
    accepted = [set(answer.defects or ()) for answer in answers if answer.verdict == "class"]
    assert outcome.labels == {
        name: count for name in CLASSES if (count := sum(name in each for each in accepted))
    }
    folders = {file.parent.name for file in (tmp_path / "sorted").rglob("*.png")}
    assert {frozenset(name.split(" + ")) for name in folders} <= {
        *map(frozenset, wanted.values()),
        frozenset({"unknown"}),
    }
    assert '"defects"' in page.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"--merge-overlaps: .* names several defects"):
        run(
            f"local-dir:{published}",
            files,
            replace(delivery, coil=CoilOutput(None, None)),
            **arguments,
        )


def test_the_page_shows_several_defects(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = UploadFolder(tmp_path / "uploads")
    demo = Demo(Predictor(published), f"local-dir:{published}", uploads)
    file = uploads.path / "strip.png"
    draw(("Dots", "Lines"), 7).save(file)
    answer = demo.predict({"path": str(file)})
    [expected] = demo.predictor.predict([draw(("Dots", "Lines"), 7)])
    assert answer["defects"] == list(expected.defects or ())
    assert set(answer["defects"]) == {"Dots", "Lines"}
    _, panel = demo.show_upload({"path": str(file)})
    shown = re.sub(r"<[^>]+>|\s+", " ", panel)
    assert expected.verdict == "unknown" or " and ".join(answer["defects"]) in shown
    found = demo.report
    assert found is not None
    assert found.several_defects is not None
    results = re.sub(r"<[^>]+>|\s+", " ", results_tab(found))
    assert "Exactly the defects named" in results
    assert "those of the most probable class of each image alone" in results
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(free_port()))
    monkeypatch.setenv("ENGINE", "pytorch")
    monkeypatch.setenv("MODEL_ID", f"local-dir:{published}")
    monkeypatch.setenv("FEEDBACK_DIR", str(tmp_path / "corrections"))
    with pytest.raises(StartError, match="a correction names one"):
        serve(uploads)
    uploads.remove()


def test_an_exported_file_decides_as_the_weights(published: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(published.parent, run_dir)
    folder = export_run(run_dir, ["onnx"])
    report = Report.read(folder)
    assert report.exports is not None
    weights, onnx = report.exports.formats
    assert (onnx.refused, onnx.same_decision) == (None, 1)
    found = report.several_defects
    assert found is not None
    assert weights.calibration_error == pytest.approx(found.calibration.after.ece, abs=1e-6)
    exported = ExportedClassifier(folder / "onnx" / "model.onnx")
    assert exported.facts.multi_label
    images = [draw(defects, 3000) for defects in (("Dots", "Lines"), ("Rolled",))]
    expected = Predictor(published).predict(images)
    for ours, theirs in zip(exported.predict(images), expected, strict=True):
        assert (ours.defects, ours.candidates) == (theirs.defects, theirs.candidates)
        assert ours.verdict == theirs.verdict


def test_changed_boxes_are_changed_images(
    data: tuple[Path, Defects], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "strips"
    write_images(folder, one=6, two=4)
    config = config_of(folder, tmp_path / "run")
    config = replace(config, recipe=replace(config.recipe, epochs=1))
    monkeypatch.setattr("trainer.training.build_package", lambda *_: None)
    train(config)
    AcceleratorState._reset_state(reset_partial_state=True)
    box = folder / "boxes" / "dots_09.xml"
    box.write_text(box.read_text().replace("<name>lines", "<name>rolled"))
    with pytest.raises(ConfigError, match="The images have changed since the run"):
        train(going_on(config))
    AcceleratorState._reset_state(reset_partial_state=True)
