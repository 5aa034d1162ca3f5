"""A finished run is exported, measured and published; the files run without PyTorch."""

from __future__ import annotations

import csv
import errno
import io
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from model_card.schema.exports import FormatPassport
from model_card.schema.report import Report
from space.inference.core.errors import ModelError
from space.inference.core.fingerprint import fingerprint
from space.inference.engines.names import Precision
from space.inference.engines.openvino_cpu import has_bf16
from space.inference.exported.model_file import ExportedClassifier
from space.inference.images.reader import read_image
from space.inference.predictor import Predictor
from tests.support.small_run import small_config
from trainer import predict
from trainer.cli.trained_folder import check_settings, trained_folder
from trainer.config.groups import ExportConfig
from trainer.config.option_types import FormatName
from trainer.config.run_folder import finished_folder
from trainer.config.settings import TrainConfig
from trainer.errors import ConfigError, DataError, UserError
from trainer.exporting import finished_run, folder, packages, passport, standalone
from trainer.exporting.bundle import write_bundle
from trainer.exporting.formats import FORMATS
from trainer.prediction.row import Row, columns
from trainer.publishing.published import check_published
from trainer.run import train
from trainer.synthetic.samples import CLASSES, draw_image, write_samples

# All that a machine with predict.pyz needs; libraries lie beside some of the packages.
PACKAGES = ("numpy", "PIL", "onnxruntime", "openvino", "flatbuffers", "google", "packaging")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with two formats."""
    place = tmp_path_factory.mktemp("export")
    write_samples(place / "images", train_per_class=12, test_per_class=4)
    train(small_config(place / "images", place / "run", epochs=1))
    finished_run.export_run(place / "run", ("onnx", "openvino"))
    return place / "run"


def test_formats_are_published_with_their_passports(run_dir: Path) -> None:
    published = run_dir / "published"
    report = check_published(published)
    assert report.exports is not None
    first, onnx, ir = report.exports.formats
    assert (first.format, first.same_decision, first.largest_logit_difference) == (
        *("safetensors", 1),
        0,
    )
    assert first.accuracy == report.test.scores["accuracy"]
    assert report.reliability is not None
    assert first.coverage is not None
    assert first.coverage.value == report.reliability.sets.coverage.value
    assert first.calibration_error == pytest.approx(report.reliability.calibration.after.ece)
    for found in (onnx, ir):
        assert found.refused is None
        assert found.same_decision == 1
        assert found.largest_logit_difference < 0.05
        sizes = [(published / file).stat().st_size for file in found.files]
        assert sum(sizes) == found.size_bytes
    card = (published / "README.md").read_text(encoding="utf-8")
    assert "## Files for a machine without PyTorch" in card
    assert "`onnx/model.onnx`" in card


def test_a_damaged_file_is_not_published(run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "published"
    shutil.copytree(run_dir / "published", copy)
    (copy / "openvino/openvino_model.bin").write_bytes(b"others")
    with pytest.raises(DataError, match=r"openvino_model\.bin"):
        check_published(copy)
    # Beside no graph, this is the suffix of a pickle.
    (copy / "openvino/openvino_model.xml").unlink()
    with pytest.raises(DataError, match="may run code"):
        check_published(copy)


def test_a_second_export_changes_nothing_and_says_so(
    run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = (run_dir / "published/report.json").read_bytes()
    with caplog.at_level("INFO"):
        assert finished_run.export_run(run_dir, ("onnx",)) == run_dir / "published"
    assert (run_dir / "published/report.json").read_bytes() == before
    assert "ONNX was published before, with its passport." in caplog.text


def test_a_damaged_folder_is_not_exported(run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    (copy / "published/decision.json").write_bytes(b"others")
    with pytest.raises(DataError, match=r"decision\.json"):
        finished_run.export_run(copy, ("int8",))


def test_a_format_that_decides_otherwise_is_not_published(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    shutil.rmtree(copy / "published/onnx")
    shutil.rmtree(copy / "published/openvino")
    report = Report.read(copy / "published").model_copy(update={"exports": None})
    report.write(copy / "published")
    monkeypatch.setattr(passport, "same_decision", lambda ours, theirs: False)
    finished_run.export_run(copy, ("onnx",))
    found = check_published(copy / "published").exports
    assert found is not None
    assert found.formats[1].files == []
    assert "test images differently" in (found.formats[1].refused or "")
    assert "ONNX is not published: it decides" in caplog.text
    assert not (copy / "published/onnx").exists()
    assert "ONNX is not published: it decides" in (copy / "published/README.md").read_text()
    caplog.clear()
    finished_run.export_run(copy, ("onnx",))
    assert "ONNX was refused before: it decides" in caplog.text


class Killed(BaseException):
    """Stands for kill -9: nothing handles it."""


def test_a_kill_while_files_are_published_leaves_a_whole_folder(
    run_dir: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    whole = Report.read(copy / "published")
    assert whole.exports is not None
    staging = copy / finished_run.STAGING_DIR
    published = [file for each in whole.exports.formats[1:] for file in each.files]
    formats = []
    for moment in count():
        folder = finished_folder(copy)
        assert folder is not None
        # The folder before the export, and the files that it adds.
        for file in published:
            (staging / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(run_dir / "published" / file, staging / file)
            (folder / file).unlink(missing_ok=True)
        before = whole.model_copy(update={"exports": None})
        before.write(folder)
        with pytest.MonkeyPatch.context() as patched:
            left = [moment]

            def step(real: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
                def kill_or_do(*arguments: Any, **options: Any) -> Any:
                    left[0] -= 1
                    if left[0] < 0:
                        raise Killed
                    return real(*arguments, **options)

                return kill_or_do

            for owner, name in (
                *((Path, each) for each in ("rename", "replace", "mkdir", "write_text")),
                *((shutil, each) for each in ("copytree", "rmtree", "copy2")),
            ):
                patched.setattr(owner, name, step(getattr(owner, name)))
            try:
                finished_run._publish(before, whole.exports, folder, staging)
            except Killed:
                pass
            else:
                break
        found = finished_folder(copy)
        assert found is not None
        formats.append(check_published(found).exports is not None)
        shutil.rmtree(staging, ignore_errors=True)
    # First the previous folder, from some moment on the new one.
    assert formats == sorted(formats)
    assert set(formats) == {False, True}
    assert {file.name for file in copy.glob("published*")} == {"published"}
    assert check_published(copy / "published").exports == whole.exports


def libraries(folder: Path) -> Path:
    """Return a folder with links to the packages of a machine without PyTorch, and no others."""
    folder.mkdir()
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        for location in spec.submodule_search_locations or ():
            source = Path(location)
            (folder / package).symlink_to(source)
            beside = source.parent / f"{ {'PIL': 'pillow'}.get(package, package) }.libs"
            if beside.is_dir():
                (folder / beside.name).symlink_to(beside)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_copied_files_decide_alike_without_pytorch(
    run_dir: Path, tmp_path: Path, name: FormatName
) -> None:
    for file in FORMATS[name].files:
        shutil.copy(run_dir / "published" / file, tmp_path)
    write_bundle(tmp_path)
    model = Path(FORMATS[name].file).name
    images = tmp_path / "images"
    images.mkdir()
    for number, label in enumerate(CLASSES):
        draw_image(label, number).save(images / f"{number}.png")
    (images / "broken.png").write_bytes(b"no image")

    def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            # Without site-packages, there is nothing but the linked packages.
            [sys.executable, "-S", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(place), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    place = libraries(tmp_path / "libraries")
    assert "No module named 'torch'" in alone("-c", "import torch").stderr
    call = ("predict.pyz", "images", "--model", model, "--precision", "f32")
    done = alone(*call)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    named = sorted(Path("images", file.name) for file in images.iterdir())
    assert [Path(row["path"]) for row in rows] == named
    assert "not an image" in rows[-1]["error"]
    # Of the file, and OpenVINO's weights beside it.
    own = fingerprint(tmp_path / Path(file).name for file in FORMATS[name].files)
    assert {row["model"] for row in rows} == {own}
    predictor = Predictor(run_dir / "published")
    for row in rows[:-1]:
        [answer] = predictor.predict([read_image(tmp_path / row["path"], predictor.bit_depth)])
        expected = Row.measured(row["path"], answer, 8, 0.0, own).as_cells(predictor.labels)
        header = columns(predictor.labels)
        for column, cell in zip(header, expected, strict=True):
            if column in (
                "label",
                "verdict",
                "prediction_set",
                "path",
                "bit_depth",
                "error",
                "model",
            ):
                assert row[column] == cell
            elif column != "milliseconds":
                assert float(row[column]) == pytest.approx(float(cell), rel=1e-3, abs=1e-4)
    cut = (tmp_path / model).read_bytes()[:-100]
    (tmp_path / model).write_bytes(cut)
    refused = alone(*call)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"Error: {model} ends without the checksum")


class FullDisk(io.StringIO):
    """Takes text, and has no place for it."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_program_without_pytorch_resumes_and_selects(
    run_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, label in enumerate(CLASSES):
        draw_image(label, number).save(f"{number}.png")
    Path("1.png").write_bytes(b"no image")
    names = [f"{number}.png" for number in range(len(CLASSES))]
    call = [*names, "--model", str(run_dir / "published/onnx/model.onnx"), "--batch-size", "2"]

    def untimed(table: str) -> list[dict[str, str]]:
        rows = csv.DictReader(Path(table).read_text(encoding="utf-8").splitlines())
        return [{k: v for k, v in row.items() if k != "milliseconds"} for row in rows]

    with monkeypatch.context() as patched:
        patched.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert standalone.main([*call, "--output", "whole.csv"]) == 0
    assert [row["path"] for row in untimed("whole.csv")] == names
    verdicts = Counter(row["verdict"] for row in untimed("whole.csv"))
    said = capsys.readouterr().err
    assert "\n2 of 6 images\r4 of 6 images\rAnswered: " in said
    assert said.endswith(
        f"Answered: {verdicts['class']} accepted, {verdicts['unsure']} unsure, "
        f"{verdicts['unknown']} unknown surface, 1 unreadable.\n"
    )
    content = Path("whole.csv").read_bytes()
    header = content.index(b"\n") + 1
    for cut in (0, header // 2, header, (header + len(content)) // 2, len(content)):
        Path("cut.csv").write_bytes(content[:cut])
        assert standalone.main([*call, "--output", "cut.csv", "--resume"]) == 0
        assert untimed("cut.csv") == untimed("whole.csv")
    assert standalone.main([*call, "--output", "new.csv", "--where", "verdict=error"]) == 0
    assert [row["path"] for row in untimed("new.csv")] == ["1.png"]
    capsys.readouterr()
    model = untimed("whole.csv")[0]["model"].encode()
    Path("other.csv").write_bytes(content.replace(model, b"0" * len(model)))
    Path("foreign.csv").write_bytes(b"path,answer\n")
    for options, words in (
        (["--output", "whole.csv"], "whole.csv exists. Add --resume"),
        (["--resume"], "name it with --output"),
        (["--where", "label=Rust"], "the model has no such class"),
        (["--output", "other.csv", "--resume"], "rows are of another model"),
        (["--output", "foreign.csv", "--resume"], "does not hold rows of this model's classes"),
    ):
        assert standalone.main([*call, *options]) == 2
        assert words in capsys.readouterr().err
    assert standalone.main([*call[1:], "--output", "whole.csv", "--resume"]) == 2
    assert "does not follow in the list" in capsys.readouterr().err
    assert Path("whole.csv").read_bytes() == content
    assert Path("foreign.csv").read_bytes() == b"path,answer\n"
    monkeypatch.setattr(sys, "stdout", FullDisk())
    assert standalone.main(call) == 2
    assert "Error: stdout: No space left on device." in capsys.readouterr().err
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", encoding="utf-8") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        assert standalone.main(call) == 2
    assert "Error" not in capsys.readouterr().err
    asked: list[str | None] = []

    def refuse(file: Path, precision: str | None) -> None:
        asked.append(precision)
        raise ModelError(f"{file} can't be used.")

    monkeypatch.setattr(standalone, "ExportedClassifier", refuse)
    assert standalone.main([*call, "--precision", "mixed"]) == 2
    assert asked == ["mixed"]


def test_predict_takes_an_exported_file(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    draw_image(CLASSES[0], 1).save("a.png")
    tables: dict[str, tuple[str, ...]] = {}
    for model in (f"local-dir:{run_dir / 'published'}", str(run_dir / "published/onnx/model.onnx")):
        table = f"{len(tables)}.csv"
        assert predict.main(["a.png", "--model", model, "--output", table]) == 0
        [row] = csv.DictReader(Path(table).read_text(encoding="utf-8").splitlines())
        tables[model] = row["label"], row["verdict"], row["prediction_set"]
    assert len(set(tables.values())) == 1
    with pytest.raises(UserError, match="Heatmaps are not available"):
        predict.main(["a.png", "--model", model, "--output", "2.csv", "--heatmaps", "heat"])


def test_a_published_model_is_exported_to_a_folder(run_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "line_pc"
    model = f"local-dir:{run_dir / 'published'}"
    assert folder.export_model(model, ("onnx",), output, ()) == output
    assert {file.name for file in output.rglob("*") if file.is_file()} == {
        "model.onnx",
        "predict.pyz",
    }
    with pytest.raises(UserError, match="has no config"):
        folder.export_model(f"local-dir:{tmp_path}", ("onnx",), tmp_path / "other", ())


def test_train_and_push_export_what_is_asked_for(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, tuple[str, ...]]] = []
    monkeypatch.setattr(finished_run, "export_run", lambda run, names: asked.append((run, names)))
    saved = TrainConfig.read(run_dir)
    resumed = replace(saved, run=replace(saved.run, run_dir=run_dir, resume=True))
    assert trained_folder(resumed) == run_dir / "published"
    assert asked == []
    formats: tuple[FormatName, ...] = ("onnx", "int8")
    trained_folder(replace(resumed, export=ExportConfig(formats)))
    assert asked == [(run_dir, formats)]


def test_missing_packages_are_named_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "nncf" else name)
    packages.check_packages(("onnx", "openvino"))
    with pytest.raises(ConfigError, match="Exporting int8 needs nncf"):
        check_settings(TrainConfig(export=ExportConfig(("int8",))))


@pytest.mark.nightly
def test_int8_is_published_with_its_passport_or_refused(run_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    finished_run.export_run(copy, ("int8",))
    exports = check_published(copy / "published").exports
    assert exports is not None
    assert [each.format for each in exports.formats] == ["safetensors", "onnx", "openvino", "int8"]
    found = exports.formats[-1]
    # Random weights decide by chance; what holds is the rule.
    assert (found.refused is None) == (found.same_decision > 0.995)
    files = [copy / "published" / file for file in FORMATS["int8"].files]
    assert [file.exists() for file in files] == [found.refused is None] * 2
    weights = next(each for each in exports.formats if each.format == "openvino")
    assert found.size_bytes < weights.size_bytes
    assert found.largest_logit_difference > weights.largest_logit_difference


@pytest.mark.nightly
def test_mixed_precision_is_published_where_bf16_is_refused(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    shutil.rmtree(copy / "published/openvino")
    Report.read(copy / "published").model_copy(update={"exports": None}).write(copy / "published")

    def all_but_bf16(*given: Any, precision: str) -> FormatPassport:
        found = write_passport(*given, precision=cast(Precision, precision))
        refused = "it decides otherwise" if precision == "bf16" else None
        files = [] if refused else list(given[2])
        return found.model_copy(update={"refused": refused, "files": files})

    write_passport = passport.write_passport
    monkeypatch.setattr(finished_run, "write_passport", all_but_bf16)
    # Elsewhere, the marked network is computed in float32.
    monkeypatch.setattr(finished_run, "_has_bf16", lambda: True)
    finished_run.export_run(copy, ("openvino",))
    exports = check_published(copy / "published").exports
    assert exports is not None
    found = exports.formats[-1]
    assert (found.precision, found.slower) == ("mixed", "in bf16, it decides otherwise")
    title = "bfloat16, first layers float32" if has_bf16() else "float32"
    assert title in found.engine
    for classifier in (
        Predictor(copy / "published", engine="openvino"),
        ExportedClassifier(copy / "published" / FORMATS["openvino"].file),
    ):
        assert classifier.engine.name.endswith(f", {title}")
        image = draw_image(CLASSES[0], 1).convert("RGB")
        [ours], [theirs] = (
            classifier.predict([image]),
            Predictor(copy / "published").predict([image]),
        )
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=0.1)
