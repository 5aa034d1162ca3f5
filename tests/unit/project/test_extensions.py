"""Things are added as docs/architecture.md says: in the named files, and in no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import pytest
from huggingface_hub import ModelCard
from jinja2 import ChoiceLoader, DictLoader
from PIL import Image

from model_card import card as cards
from model_card.card import render_card, write_card
from model_card.metrics import METRICS, WILSON, Metric
from model_card.schema.base import Schema
from model_card.schema.checks import Checks
from model_card.schema.report import Figure, Report
from space.inference.core.decision import Prediction
from space.inference.predictor import Predictor
from space.model_report import read_report
from space.ui import page
from tests.support.published_folder import write_published_folder
from tests.support.reports import example_data, example_report
from trainer.config.groups import ChecksConfig, DataConfig, RunConfig
from trainer.config.settings import TrainConfig
from trainer.data import sources
from trainer.data.collection import Collection
from trainer.data.folders.class_map import ClassMap
from trainer.data.folders.location import Source
from trainer.data.splits.dataset import prepare_images
from trainer.data.voc_boxes import BoxFolders
from trainer.errors import DataError
from trainer.evaluation.checks import post_training
from trainer.evaluation.checks.check import Check, CheckedModel
from trainer.evaluation.metrics import definitions
from trainer.evaluation.metrics.intervals import proportion
from trainer.evaluation.scores import score
from trainer.publishing.published import check_published

LABELS = ["good", "scratch"]
# Nine images of the first class, one of which is taken for the second, and seven of the second, of
# which two are taken for the first.
CONFUSION = [[8, 1], [2, 5]]
# Of the images that are not predicted as a class, the share that is not of it.
PREDICTIVE = Metric(
    name="negative_predictive_value",
    title="Negative predictive value",
    meaning="share of correct images among those not assigned to a class",
    interval=WILSON,
    mean_of_classes=True,
    hub_id="npv",
    hub_name="NPV (macro)",
    on_hub=False,
)


def classified() -> tuple[datasets.Dataset, list[Prediction]]:
    """Return images and predictions with the counts of `CONFUSION`."""
    pairs = [(i, j) for i in range(2) for j in range(2) for _ in range(CONFUSION[i][j])]
    split = datasets.Dataset.from_dict(
        {
            "label": [true for true, _ in pairs],
            "file": [f"{number}.png" for number in range(len(pairs))],
            "group": list(range(len(pairs))),
        },
        features=datasets.Features(
            label=datasets.ClassLabel(names=LABELS),
            file=datasets.Value("string"),
            group=datasets.Value("int64"),
        ),
    )
    sure = np.linspace(0.6, 0.9, len(pairs))
    predictions = [
        Prediction({LABELS[j]: float(p), LABELS[1 - j]: float(1 - p)})
        for (_, j), p in zip(pairs, sure, strict=True)
    ]
    return split, predictions


def test_a_metric_reaches_report_card_hub_and_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(
        definitions.FROM_COUNTS, PREDICTIVE.name, lambda tn, fp, fn, tp: proportion(tn, tn + fn)
    )
    monkeypatch.setitem(METRICS, PREDICTIVE.name, PREDICTIVE)
    example_report(CONFUSION, LABELS, test=score(*classified(), images_per_second=10)).write(
        tmp_path
    )
    report = Report.read(tmp_path)
    assert report.metrics[-1] == PREDICTIVE
    # Not predicted as good are 6 images, of which 5 are not good; as scratch 10, of which 8.
    value = report.test.scores[PREDICTIVE.name].value
    assert value == pytest.approx((5 / 6 + 8 / 10) / 2)
    by_class = [each.scores[PREDICTIVE.name].value for each in report.test.classes]
    assert by_class == pytest.approx([5 / 6, 8 / 10])

    write_card(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    [result] = [r for r in card.data.eval_results or [] if r.metric_type == "npv"]
    assert (result.metric_name, result.metric_value) == ("NPV (macro)", round(value, 4))
    shown = card.text.replace("\u00a0", " ")
    assert shown.count("| Negative predictive value |") == 3
    assert "| 81.7 %<br>" in shown
    assert "| 83.3 %<br>" in shown
    assert f"| {PREDICTIVE.meaning} | {WILSON} |" in shown

    read = read_report(tmp_path)
    assert read
    table = page.scores_table(read)
    assert f"{PREDICTIVE.title}<small>{PREDICTIVE.meaning}</small></th><td>81.7&nbsp;%" in table


def test_a_report_without_the_new_metric_is_shown_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = example_report()
    card = render_card(old)
    monkeypatch.setitem(METRICS, PREDICTIVE.name, PREDICTIVE)
    content = old.model_dump(mode="json")
    assert render_card(Report.model_validate(content)) == card
    del content["metrics"]
    assert render_card(Report.model_validate(content)) == card


class Sharpness(Schema):
    """Facts of a check."""

    images: int
    sharp: int


class MoreChecks(Checks):
    """`Checks` with one more field."""

    sharpness: Sharpness | None = None


class MoreFacts(MoreChecks, Report):
    """A report with the facts of one more check."""


def draw_sharpness(facts: Sharpness, folder: Path) -> Figure:
    (folder / "sharpness.png").write_text(str(facts.sharp))
    return Figure(file="sharpness.png", title="Sharpness", alt=f"{facts.sharp} are sharp")


@pytest.fixture
def with_sharpness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a check and its section: a field, an entry of the table, a measurement, a template."""

    def measure(model: CheckedModel) -> Sharpness | None:
        return Sharpness(images=len(model.test), sharp=model.seed)

    def join(folds: list[Sharpness]) -> Sharpness:
        return Sharpness(images=sum(f.images for f in folds), sharp=sum(f.sharp for f in folds))

    monkeypatch.setattr(cards, "Checks", MoreChecks)
    monkeypatch.setattr(post_training, "Checks", MoreChecks)
    check: Check[Any] = Check(measure, cast(Any, join), draw_sharpness)
    monkeypatch.setitem(post_training.CHECKS, "sharpness", check)
    template = (
        "### Sharpness\n\n{{ sharpness.sharp }} of {{ sharpness.images|counted('test image') }}\n"
    )
    environment = cards._environment()
    own = DictLoader({"sharpness.md.jinja": "{% if sharpness %}\n" + template + "{% endif %}\n"})
    monkeypatch.setattr(environment, "loader", ChoiceLoader([own, cast(Any, environment.loader)]))


@pytest.mark.usefixtures("with_sharpness")
def test_a_section_with_facts_of_its_own_reaches_the_card(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(post_training, "make_explainer", lambda predictor: None)
    split, predictions = classified()
    checks = post_training.run_checks(
        cast(Any, None), split, predictions, ChecksConfig(robustness_images=0), 7, BoxFolders()
    )
    assert dict(checks.facts) == {
        "robustness": None,
        "localization": None,
        "boxed_mistakes": None,
        "sharpness": Sharpness(images=16, sharp=7),
    }
    other = MoreChecks(sharpness=Sharpness(images=20, sharp=11))
    joined = post_training.join_checks([checks.facts, other, MoreChecks()])
    assert joined == MoreChecks(sharpness=Sharpness(images=36, sharp=18))
    [figure] = post_training.draw_checks(joined, tmp_path)
    assert figure.alt == "18 are sharp"
    assert (tmp_path / "sharpness.png").read_text() == "18"

    plain = render_card(MoreFacts.model_validate(dict(example_report())))
    report = MoreFacts.model_validate(dict(example_report()) | dict(joined))
    card = render_card(report)
    assert "### Sharpness\n\n18 of 36 test images\n" in card
    assert card.index("### Accuracy") < card.index("### Sharpness") < card.index("## Training")
    assert card.replace("### Sharpness\n\n18 of 36 test images\n", "") == plain


def test_each_check_has_a_field_and_a_template() -> None:
    assert list(post_training.CHECKS) == list(Checks.model_fields)
    templates = set(cards._environment().list_templates())
    assert {f"{name}.md.jinja" for name in Checks.model_fields} <= templates


def test_a_data_source_reaches_training_report_card_and_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kind, origin = cast(Any, "tape"), "The images come from the tape A|7 in the cellar."
    pixels = [Image.new("L", (8, 8), gray) for gray in range(0, 240, 10)]
    for gray, image in enumerate(pixels):
        image.save(tmp_path / f"{gray}.png")

    def read(source: Source, config: DataConfig, class_map: ClassMap) -> Collection:
        rows = datasets.Dataset.from_dict(
            {
                "image": [str(tmp_path / f"{n}.png") for n in range(24)],
                "label": [n % 2 for n in range(24)],
                "file": [f"{n}.png" for n in range(24)],
            },
            features=datasets.Features(
                image=datasets.Image(decode=False),
                label=datasets.ClassLabel(names=LABELS),
                file=datasets.Value("string"),
            ),
        )
        parts = datasets.DatasetDict(train=rows)
        return sources.collected(source, origin, parts)

    monkeypatch.setattr(sources, "find_sources", lambda config: [Source("A|7", kind, "A|7")])
    monkeypatch.setitem(sources.READERS, kind, read)
    config = TrainConfig(
        data=DataConfig(data_dir=("A|7",), random_split=True), run=RunConfig(cache_dir=tmp_path)
    )
    [images] = prepare_images(config.data, config.run, None, None)
    assert (images.kind, images.origin, images.source) == (kind, origin, "A|7")
    assert sum(map(len, images.splits.values())) == 24

    data = example_data(kind=images.kind, origin=images.origin, source=images.source)
    example_report(data=data).write(tmp_path)
    card = render_card(Report.read(tmp_path))
    assert "### Data\n\nThe images come from the tape A&#124;7 in the cellar.\n" in card
    shown = read_report(tmp_path)
    assert shown is not None
    assert not shown.drawn


@pytest.mark.slow
def test_files_of_an_export_format_need_no_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "published"
    write_published_folder(folder)
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(b"weights")
    # As `write_report` does once all files are there.
    Report.read(folder).write(folder)
    details = "{% if 'onnx/model.onnx' in export.files %}For onnxruntime, too.{% endif %}\n"
    environment = cards._environment()
    own = DictLoader({"details.md.jinja": details})
    monkeypatch.setattr(environment, "loader", ChoiceLoader([own, cast(Any, environment.loader)]))
    write_card(folder)
    assert "onnx/model.onnx" in (check_published(folder).export.files or {})
    assert "For onnxruntime, too." in (folder / "README.md").read_text(encoding="utf-8")
    assert Predictor(folder).labels
    (folder / "onnx/model.onnx").write_bytes(b"others")
    with pytest.raises(DataError, match=r"onnx/model\.onnx"):
        check_published(folder)
