"""A batch compared with a baseline: values by hand, and their words on the page."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from space.batch.batch import Batch
from space.batch.examination import Examination, Examiner
from space.batch.runner import BatchRunner, Progress
from space.inference.core.arrays import Floats
from space.inference.core.decision import Prediction
from space.inference.drift.baseline import (
    BASELINE_FILE,
    Baseline,
    ImageReference,
    Signature,
    Spread,
)
from space.inference.drift.cause import Cause
from space.inference.drift.comparison import ALARM, DriftComparison, DriftReport, Pair
from space.inference.drift.image_statistics import NAMES, image_statistics
from space.inference.predictor import Predictor
from space.server.uploads import UploadFolder
from space.ui.drift_panel import NO_CAUSE, NOT_LOOKED, panel
from tests.support.published_folder import noise, write_decision, write_published_folder
from tests.support.reports import LABELS

DEFOCUS = np.eye(len(NAMES))[4]


@pytest.fixture
def baseline() -> Baseline:
    """Sixty healthy images of class A; defocus shifts one statistic, by 2 at severity 1."""
    return Baseline(
        labels=["A", "B"],
        predicted=[0] * 60,
        confidence=[0.9] * 60,
        novelty=[0.25] * 40 + [0.5] * 20,
        verdicts={"class": 45, "unsure": 15},
        images=ImageReference(
            mean=[0.0] * len(NAMES),
            covariance=np.eye(len(NAMES)).tolist(),
            signatures=[
                Signature(
                    name="Defocus",
                    unit="px radius",
                    check="the lens",
                    severities=[1.0, 1.5],
                    shifts=[(2 * DEFOCUS).tolist(), (4 * DEFOCUS).tolist()],
                )
            ],
        ),
    )


def test_before_the_first_image_there_is_no_report(baseline: Baseline) -> None:
    assert DriftComparison(baseline).report() is None


def test_shares_medians_and_histogram_by_hand(baseline: Baseline) -> None:
    comparison = DriftComparison(baseline)
    for novelty, verdict in ((0.3, "class"), (1.2, "unknown"), (7.0, "unknown"), (1.0, "class")):
        comparison.add("A", 0.8, novelty, verdict, None)
    report = comparison.report()
    assert report is not None
    assert (report.images, report.known_images) == (4, 60)
    assert report.shares == {
        "class": (0.5, 0.75),
        "unsure": (0.0, 0.25),
        "unknown": (0.5, 0.0),
    }
    assert report.confidence == (0.8, 0.9)
    assert report.novelty is not None
    assert report.novelty.batch == pytest.approx(1.1)
    assert report.novelty.baseline == 0.25
    shares = {place: pair for place, pair in enumerate(report.novelty_shares) if any(pair)}
    # Bins of 0.125: 0.25 and 0.3 are in the third, 1 begins the ninth, 1.2 is in the tenth.
    assert shares == {
        2: (0.25, pytest.approx(2 / 3)),
        4: (0.0, pytest.approx(1 / 3)),
        8: (0.25, 0.0),
        9: (0.25, 0.0),
        12: (0.25, 0.0),
    }


def test_a_drift_is_found_with_its_cause(baseline: Baseline) -> None:
    comparison = DriftComparison(baseline)
    statistics = 4 * DEFOCUS
    looks = []
    for _ in range(12):
        comparison.add("A", 0.8, 0.9, "unsure", statistics)
        report = comparison.report()
        assert report is not None
        assert report.found == (report.p_value <= ALARM)
        assert (report.causes is not None) == report.found
        looks.append(report.p_value)
    assert looks == sorted(looks, reverse=True)
    assert report is not None
    assert report.found
    assert report.causes is not None
    [cause] = report.causes
    assert (cause.name, cause.place, cause.severity) == ("Defocus", 2, 1.5)
    words = panel(report)
    assert "defocus, about severity 2 (1.5 px radius): check the lens." in words


def test_images_that_were_not_measured_do_not_weaken_the_cause(baseline: Baseline) -> None:
    comparison = DriftComparison(baseline)
    for number in range(24):
        comparison.add("A", 0.8, 0.9, "unsure", 4 * DEFOCUS if number % 2 else None)
    report = comparison.report()
    assert report is not None
    assert report.causes is not None
    assert [(cause.name, cause.place) for cause in report.causes] == [("Defocus", 2)]


def test_images_that_look_otherwise_are_found_by_their_statistics_alone(baseline: Baseline) -> None:
    """Confidence and novelty are those of the baseline; some healthy images were not measured."""
    assert baseline.images is not None
    draw = np.random.default_rng(0)
    known = draw.normal(size=(60, len(NAMES))).tolist()
    spread = Spread(mean=baseline.images.mean, covariance=baseline.images.covariance)
    statistics = [row if number % 9 else None for number, row in enumerate(known)]
    images = baseline.images.model_copy(update={"classes": [spread] * 2, "statistics": statistics})

    def compared(baseline: Baseline, shift: Floats) -> DriftReport:
        comparison = DriftComparison(baseline)
        for number in range(60):
            novelty = 0.5 if number % 3 == 0 else 0.25
            measured = None if number % 10 == 0 else draw.normal(size=len(NAMES)) + shift
            comparison.add("A", 0.9, novelty, "class", measured)
        report = comparison.report()
        assert report is not None
        return report

    looking = baseline.model_copy(update={"images": images})
    found = compared(looking, 2 * DEFOCUS)
    assert (found.found, found.looked) == (True, True)
    assert found.causes is not None
    assert found.causes[0].name == "Defocus"
    assert not compared(looking, 0 * DEFOCUS).found
    # A model of an earlier version.
    blind = compared(baseline, 2 * DEFOCUS)
    assert (blind.found, blind.looked) == (False, False)
    assert NOT_LOOKED in panel(blind)
    assert NO_CAUSE not in panel(blind) + panel(found)
    assert NOT_LOOKED not in panel(found)


def test_a_healthy_batch_raises_no_alarm(baseline: Baseline) -> None:
    comparison = DriftComparison(baseline)
    for number in range(60):
        comparison.add("A", 0.9, 0.5 if number % 3 == 0 else 0.25, "class", 0 * DEFOCUS)
    report = comparison.report()
    assert report is not None
    assert not report.found
    assert report.causes is None


def test_without_statistics_no_cause_is_estimated(baseline: Baseline) -> None:
    comparison = DriftComparison(baseline.model_copy(update={"images": None, "novelty": None}))
    for _ in range(25):
        comparison.add("A", 0.5, None, "unsure", None)
    report = comparison.report()
    assert report is not None
    assert report.found
    assert (report.causes, report.novelty, report.novelty_shares) == (None, None, [])
    words = panel(report)
    assert f"{NOT_LOOKED}{NO_CAUSE}" in words
    # What was found comes first.
    assert words.startswith("<p>25 images compared")
    assert "<figure>" not in words


REPORT = DriftReport(
    images=40,
    known_images=1400,
    p_value=0.0000123,
    shares={"class": Pair(0.25, 0.9), "unknown": Pair(0.75, 0.0)},
    confidence=Pair(0.8, 0.9),
    novelty=Pair(1.64, 0.28),
    novelty_shares=[Pair(0.1, 0.8), Pair(0.4, 0.2)],
    causes=[Cause("<Defocus>", 2, 1.5, "px", "the lens", 0.9)],
    looked=True,
)


def test_the_panel_states_all_numbers_and_escapes_names() -> None:
    text = panel(REPORT).replace("\u00a0", " ")
    assert "40 images compared with the 1,400 that the model was tested on" in text
    assert "The images differ: p &lt; 0.0001" in text
    assert "an alarm is p ≤ 0.0001" in text
    assert "&lt;defocus&gt;, about severity 2 (1.5 px): check the lens." in text
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>", text)
    assert rows == [("Answer accepted", "25 %", "90 %"), ("Unknown surface", "75 %", "0 %")]
    assert "above 1.64 times the limit; of the test images, above 0.28 times" in text
    # The highest bar has the full height.
    assert re.findall(r"height:([\d.]+)%", text) == ["12.5", "100.0", "50.0", "25.0"]
    # The limit is where the ninth of thirteen bins begins.
    assert '<b style="left:61.54%">limit</b>' in text


def test_a_panel_without_an_alarm_names_no_cause() -> None:
    text = panel(replace(REPORT, images=1, p_value=0.25, causes=None))
    assert "1 image compared" in text
    assert "No difference was found: p\u00a0=\u00a00.25" in text
    assert "drift-cause" not in text


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("examined") / "model"
    write_published_folder(folder)
    write_decision(folder)
    return Predictor(folder)


@pytest.fixture
def written(predictor: Predictor, baseline: Baseline) -> Iterator[Path]:
    """The model's folder with a baseline."""
    path = predictor.folder / BASELINE_FILE
    path.write_text(baseline.model_copy(update={"labels": LABELS}).model_dump_json())
    yield path
    path.unlink()


def test_the_examiner_predicts_and_measures_what_the_network_sees(
    predictor: Predictor, written: Path
) -> None:
    examiner = Examiner(predictor)
    assert examiner.baseline is not None
    prediction, statistics = examiner.examine(noise(1))
    [expected] = predictor.predict([noise(1)])
    assert prediction == expected
    assert statistics is not None
    np.testing.assert_array_equal(statistics, image_statistics(predictor.prepare(noise(1))))


def test_a_model_without_a_baseline_is_examined_without_statistics(predictor: Predictor) -> None:
    examiner = Examiner(predictor)
    assert examiner.baseline is None
    assert examiner.examine(noise(1)).statistics is None


@pytest.mark.parametrize("change", [{"labels": ["A", "B"]}, {"p": 1}, {"confidence": [2.0] * 60}])
def test_a_baseline_that_is_none_of_this_model_is_reported(
    predictor: Predictor, written: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    written.write_text(json.dumps(json.loads(written.read_text()) | change))
    assert Examiner(predictor).baseline is None
    assert "Batches are not compared with the test images" in caplog.text
    assert BASELINE_FILE in caplog.text


def test_a_batch_is_compared_as_it_runs(baseline: Baseline, tmp_path: Path) -> None:
    """Three images and a file that is none; the statistics of the images reach the comparison."""
    uploads = UploadFolder(tmp_path)
    files = []
    for name in ("1.png", "2.png", "3.png", "bad.png"):
        (uploads.path / name).write_bytes(b"no image")
        files.append((uploads.path / name, name))

    def read(source: object) -> Image.Image:
        return Image.new("RGB", (8, 8))

    def examine(image: Image.Image) -> Examination:
        seen.append(image)
        if len(seen) == 4:
            raise ValueError("broken")
        prediction = Prediction({"A": 0.5, "B": 0.5}, ("A",), "unknown", 1.5, 0.9)
        return Examination(prediction, len(seen) * DEFOCUS)

    seen: list[Image.Image] = []
    runner = BatchRunner(uploads, read, examine, lambda _: "", baseline)

    async def last() -> Progress:
        return [progress async for progress in runner.run(files)][-1]

    progress = asyncio.run(last())
    assert len(progress.rows) == len(list(Batch(progress.batch.folder).answers())) == 4
    report = progress.drift
    assert report is not None
    assert report.images == 3
    assert report.shares["unknown"] == (1.0, 0.0)
    assert report.novelty == (1.5, 0.25)
    assert progress.comparison is not None
    np.testing.assert_allclose(progress.comparison._sum, 6 * DEFOCUS)
    uploads.remove()
