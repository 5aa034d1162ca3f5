"""`learning_curve.py` from drawn images to its forecast: stopped, resumed, refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Run
from trainer.data_needs import heads, measurement, runner
from trainer.data_needs.options import CurveConfig
from trainer.errors import ConfigError, DataError
from trainer.synthetic.samples import write_samples


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "strips"
    write_samples(folder, train_per_class=7, test_per_class=1)
    # Three classes have three curves; six would take twice the time.
    for name in ("Crazing", "Inclusion", "Pitted"):
        for split in ("train", "test"):
            shutil.rmtree(folder / split / name)
    return folder


def config_of(data_dir: Path, folder: Path, **options: object) -> CurveConfig:
    settings: dict[str, object] = {
        "data_dir": (str(data_dir),),
        "model": "test_convnext",
        "pretrained": False,
        "image_size": 32,
        "folds": 2,
        "repeats": 1,
        "output_dir": folder / "out",
        "cache_dir": folder / "cache",
    }
    return CurveConfig(**settings | options)  # type: ignore[arg-type]


def test_a_stopped_measurement_resumes_to_the_same_result(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = runner.run(config_of(data_dir, tmp_path))
    expected = whole.read_text()
    stopped = config_of(data_dir, tmp_path, output_dir=tmp_path / "stopped")
    measure_curve = measurement.measure_curve
    measured: list[int] = []

    def stop_at_second(*arguments: object) -> measurement.Curve:
        if measured:
            raise KeyboardInterrupt
        measured.append(1)
        return measure_curve(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(measurement, "measure_curve", stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            runner.run(stopped)
    saved = list((tmp_path / "stopped" / "curves").iterdir())
    assert [file.name for file in saved] == ["repeat-1-fold-1.json"]
    before = saved[0].stat().st_mtime_ns
    resumed, said = runner.run(stopped)
    assert resumed.read_text() == expected
    assert saved[0].stat().st_mtime_ns == before
    assert said[1].startswith("From 8 to 24 images of each class: ")
    assert (resumed.parent / "learning_curve.png").stat().st_size > 1000
    # Another seed draws other subsets: curves are never mixed.
    with pytest.raises(ConfigError, match="other images, another network or other settings"):
        runner.run(config_of(data_dir, tmp_path, seed=1))
    facts = json.loads(saved[0].read_text())
    facts["set_sizes"][0] += 0.5
    saved[0].write_text(json.dumps(facts))
    with pytest.raises(DataError, match=r"repeat-1-fold-1\.json, a measured curve, is damaged"):
        runner.run(stopped)
    with pytest.raises(ConfigError, match="--counts asks for 50 images of each class, but"):
        runner.run(config_of(data_dir, tmp_path, counts=(2, 3, 50)))


def test_a_class_with_too_few_images_is_named(data_dir: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    write_samples(few, train_per_class=3, test_per_class=1)
    with pytest.raises(DataError, match=r"has 4 images; without those of a test fold 2 are left"):
        runner.run(config_of(few, tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--folds", "1"], "--folds must be at least 2, not 1"),
        (["--counts", "5", "5", "10"], "--counts takes at least 3 different numbers"),
        (["--counts", "0", "5", "10"], "--counts must be at least 1, not 0"),
        (["--counts", "some"], "--counts takes a whole number, not 'some'"),
        (["--weights", "none.safetensors"], "--weights none.safetensors does not exist"),
        (["--image-size", "8"], "--image-size must be at least 32"),
        (["--data-dir", "nowhere"], "There is no folder nowhere"),
    ],
)
def test_bad_options_are_refused_in_words(
    command: Run, data_dir: Path, options: list[str], said: str
) -> None:
    data = [] if "--data-dir" in options else ["--data-dir", str(data_dir)]
    code, out, err = command("learning_curve.py", *data, *options)
    assert (code, out) == (2, "")
    assert said in err


def test_prediction_sets_name_every_class_where_images_are_too_few() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    features = rng.standard_normal((120, 5)) + 3 * np.eye(3, 5)[labels]
    few = np.concatenate([np.arange(2) + 40 * label for label in range(3)])
    groups = np.arange(120)
    little = heads.choose(features[few], labels[few], np.zeros(6, dtype=np.int64), 3, 0)
    assert (little.threshold, little.strength) == (0.0, heads.DEFAULT_STRENGTH)
    much = heads.choose(features, labels, groups, 3, 0)
    assert 0 < much.threshold < 0.5
    head = heads.fit_head(features, labels, much.strength)
    assert (head.predict(features) == labels).mean() > 0.9
