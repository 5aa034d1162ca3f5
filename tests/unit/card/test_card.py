"""The card shows every value of the report.

After an intended change of a template, write the golden card again and read the difference:
`python -m tests.unit.card.test_card`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from huggingface_hub import ModelCard, ModelCardData
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt
from pydantic import ValidationError

from model_card.card import CARD_FILE, render_card, write_card
from model_card.formatting import mid_sentence, one_line
from model_card.schema.localization import BoxedMistakes
from model_card.schema.report import Figure, Report
from tests.support.extra_facts import (
    example_comparison,
    example_feedback,
    example_localization,
    example_robustness,
    share,
)
from tests.support.reliability_facts import example_operating_point, example_reliability
from tests.support.reports import (
    CONFUSION,
    LABELS,
    example_cross_validation,
    example_data,
    example_epochs,
    example_figures,
    example_machine,
    example_model,
    example_report,
    example_surfaces,
    example_training,
    wilson,
)

GOLDEN = Path(__file__).parent / "golden" / "card.md"
REPO_ID = "mill/strip-defects"
FLAWLESS = [[48 if i == j else 0 for j in range(6)] for i in range(6)]
TWO, TWO_LABELS = [[95, 5], [2, 198]], ["good", "defect"]
THIRTY = [[20 if i == j else int(j == i + 1) for j in range(30)] for i in range(30)]
THIRTY_LABELS = [f"Kind {i}" for i in range(30)]


def words(card: str) -> str:
    """Return the card with plain spaces, for searching."""
    return card.replace("\u00a0", " ").replace("\u2060", "")


def front_matter(card: str) -> ModelCardData:
    return cast(ModelCardData, ModelCard(card).data)


def section(card: str, title: str) -> str:
    """Return the text under a heading, up to the next heading of its level or above."""
    level = title.split(" ", maxsplit=1)[0]
    ends = "|".join(f"\n#{{{depth}}} " for depth in range(2, len(level) + 1))
    return re.split(ends, words(card).split(f"\n{title}\n")[1])[0]


def first_screen(card: str) -> str:
    return words(card).split("\n## ")[0]


@cache
def reports() -> Mapping[str, Report]:
    """Return reports of every kind that the templates distinguish."""
    random = example_model(weights_origin="random", base_model=None, license=None)
    from_file = example_model(
        labels=THIRTY_LABELS,
        weights_origin="file",
        base_model=None,
        weights_file="base.safetensors",
        license=None,
        trained_parameters=4614,
    )
    skipped = [{"file": f"Pitted/{i}.jpg", "reason": "cut off"} for i in range(11)]
    return {
        "six": example_report(),
        "two": example_report(TWO, TWO_LABELS),
        "flawless": example_report(FLAWLESS, model=random),
        "one mistake": example_report([[48, 0], [1, 47]], TWO_LABELS),
        "thirty": example_report(THIRTY, THIRTY_LABELS, model=from_file),
        "never predicted": example_report([[10, 0], [3, 0]], TWO_LABELS),
        "drawn": example_report(data=example_data(kind="drawn", images_shared=True, surfaces=None)),
        "hub": example_report(
            data=example_data(kind="hub", source="mill/strip", smallest_px=(64, 48))
        ),
        "streamed": example_report(
            data=example_data(kind="hub", source="mill/strip", streamed_images=20_000)
        ),
        "skipped": example_report(data=example_data(skipped=skipped)),
        "leaking": example_report(
            data=example_data(division="given", surfaces=example_surfaces(leaking=200)),
            unseen_test={"images": 88, "accuracy": wilson(80, 88)},
        ),
        "all leaking": example_report(
            data=example_data(division="random", surfaces=example_surfaces(leaking=288))
        ),
        "nothing shared": example_report(
            data=example_data(surfaces=example_surfaces(pairs=0, random_split_leakage=0.0))
        ),
        "folds": example_report(
            cross_validation=example_cross_validation(),
            figures=[
                *example_figures(),
                Figure(
                    file="figures/fold_confusion_matrix.png", title="All folds", alt="Of all folds"
                ),
            ],
        ),
        "no decision": example_report(reliability=None),
        "no rejection": example_report(reliability=example_reliability(LABELS, ood_detection=None)),
        "a class without defect": example_report(
            TWO,
            TWO_LABELS,
            reliability=example_reliability(
                TWO_LABELS,
                operating_point=example_operating_point(
                    no_defect="good", confidence_limit=None, automatic_accuracy=None
                ),
            ),
        ),
        "compared": example_report(comparison=example_comparison()),
        "not compared": example_report(comparison=example_comparison(reason="its classes differ")),
        "one epoch": example_report(
            training=example_training(epochs=example_epochs(1, 1), settings=[])
        ),
        "stopped": example_report(
            training=example_training(
                epochs=example_epochs(18, 12), stopped_early=True, weights_averaged=True
            ),
            machine=example_machine(accelerator="NVIDIA H200"),
        ),
    }


@cache
def rendered(kind: str) -> str:
    """Return the card of a kind of report."""
    return render_card(reports()[kind], REPO_ID)


@pytest.fixture(params=list(reports()))
def any_card(request: pytest.FixtureRequest) -> str:
    return rendered(request.param)


def test_a_report_of_an_earlier_version_is_read_and_shown() -> None:
    dump = example_report(cross_validation=example_cross_validation()).model_dump(mode="json")
    del dump["reliability"], dump["cross_validation"]["reliability"]
    old = Report.model_validate(dump)
    assert old.reliability is None
    folds = Figure(file="figures/fold_confusion_matrix.png", title="All folds", alt="All folds")
    card = words(render_card(old.model_copy(update={"figures": [*old.figures, folds]})))
    assert "**Confidence:** it is not calibrated" in card
    assert "### Confidence and decisions" not in card


def test_golden_card() -> None:
    assert render_card(example_report(), REPO_ID) == GOLDEN.read_text(encoding="utf-8")


def test_no_fact_is_blank(any_card: str) -> None:
    assert not re.search(r"\b(None|Undefined|nan|inf)\b", any_card)
    assert not re.search(r"\| *\|| \(\)|: \.|\n\n\n\n|,,", any_card)


def test_every_table_has_as_many_cells_as_its_head(any_card: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", any_card, flags=re.MULTILINE):
        assert len({row.count("|") for row in table.splitlines()}) == 1, table
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(any_card)
    assert not [t.content for t in tokens if t.type == "inline" and "| ---" in t.content]


def test_a_license_that_the_hub_does_not_list_is_named() -> None:
    report = example_report(model=example_model(license="mill-internal-1"))
    data = front_matter(render_card(report, REPO_ID))
    assert (data.license, data["license_name"]) == ("other", "mill-internal-1")
    assert "license_name" not in render_card(example_report(), REPO_ID)


def test_front_matter_reads_back() -> None:
    report = example_report()
    data = front_matter(render_card(report, REPO_ID))
    assert data.library_name == "timm"
    assert data.pipeline_tag == "image-classification"
    assert data.license == "apache-2.0"
    assert data.base_model == "timm/convnext_atto.d2_in1k"
    assert data["base_model_relation"] == "finetune"
    assert data.datasets is None
    assert data.metrics == ["accuracy", "recall", "precision", "f1", "roc_auc"]
    assert (data.tags or [])[:2] == ["image-classification", "timm"]
    assert data.model_name == "strip-defects"
    assert {result.metric_type: result.metric_value for result in data.eval_results or []} == {
        "accuracy": 0.9861,
        "error_rate": 0.0139,
        **{
            hub_id: round(report.test.scores[name].value, 4)
            for hub_id, name in (
                ("recall", "sensitivity"),
                ("specificity", "specificity"),
                ("precision", "precision"),
                ("f1", "f1"),
                ("roc_auc", "auc"),
            )
        },
    }
    [result] = {(r.task_type, r.dataset_name, r.dataset_split) for r in data.eval_results or []}
    assert result == ("image-classification", "strip-photographs", "test")


def test_front_matter_leaves_out_what_is_not_known() -> None:
    card = render_card(reports()["flawless"])
    head = card.split("---")[1]
    assert not re.search("license|base_model|datasets", head)
    assert front_matter(card).model_name == "convnext_atto"
    assert "No license is stated. The training started from random weights" in section(
        card, "## License"
    )
    unknown = render_card(reports()["thirty"])
    assert "license" not in unknown.split("---")[1]
    assert "license of the base weights is not known" in section(unknown, "## License")


def test_dataset_of_the_hub_is_named_in_the_front_matter() -> None:
    card = render_card(reports()["hub"], REPO_ID)
    data = front_matter(card)
    assert data.datasets == ["mill/strip"]
    assert {r.dataset_type for r in data.eval_results or []} == {"mill/strip"}
    assert "[mill/strip](https://huggingface.co/datasets/mill/strip)" in card
    assert "smallest has 64 × 48 pixels, the largest 200 × 200" in card
    assert "images of each split were read" not in card


def test_a_partly_streamed_dataset_is_reported() -> None:
    words = (
        "(https://huggingface.co/datasets/mill/strip).\nNo more than 20,000 images of each split "
    )
    assert words + "were read.\n" in render_card(reports()["streamed"], REPO_ID)


@pytest.mark.slow
@given(source=st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=25, deadline=None)
def test_any_name_of_the_data_keeps_the_front_matter_whole(source: str) -> None:
    card = render_card(example_report(data=example_data(source=source)), REPO_ID)
    assert {r.dataset_name for r in front_matter(card).eval_results or []} == {one_line(source)}
    assert ModelCard(card).text.lstrip("\n").startswith("# strip-defects\n")


def test_no_label_or_file_name_can_change_the_page() -> None:
    plain = ["Alpha", "Beta"]
    wicked = ["a|b <b>\n# *c* `d`", "[x](y) $$z$$ __"]
    html = [
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(ModelCard(render_card(example_report(TWO, labels))).text)
        for labels in (plain, wicked)
    ]
    tags = [re.findall(r"</?[a-z0-9]+", page) for page in html]
    assert tags[0] == tags[1]
    assert "a|b &lt;b&gt; # *c* `d`" in html[1]


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all single values in a dumped report."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def with_another_fact(report: Report, path: tuple[str | int, ...]) -> Iterator[Report]:
    """Yield the report with one value changed, where it can change without the others."""
    dump = report.model_dump(mode="json")
    place: Any = dump
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    candidates: list[object]
    if isinstance(old, bool):
        candidates = [not old]
    elif isinstance(old, int):
        candidates = [old + 1, 2 * old]
    elif isinstance(old, float):
        candidates = [old * 0.97, old * 1.03, old * 0.997, old * 0.9995, 1.0, 0.5]
    else:
        candidates = [f"{old}-other", "hub", "random", "other folds", "last"]
    for new in candidates:
        place[path[-1]] = new
        try:
            changed = Report.model_validate(dump)
        except ValidationError:
            continue
        if changed != report:
            yield changed


@pytest.mark.slow
def test_each_fact_of_the_report_reaches_the_card() -> None:
    odd: dict[str, Any] = {
        "skipped": [{"file": "a.jpg", "reason": "empty"}],
        "bit_depth": 12,
        "feedback": example_feedback(),
    }
    report = example_report(data=example_data(**odd))
    card = render_card(report, REPO_ID)
    paths = {
        ".".join("#" if isinstance(key, int) else key for key in path): path
        for path in leaves(report.model_dump(mode="json"))
    }
    hidden, fixed = set(), set()
    for name, path in paths.items():
        cards = [card]
        for other in with_another_fact(report, path):
            cards.append(render_card(other, REPO_ID))
            if cards[-1] != card:
                break
        if len(cards) == 1:
            fixed.add(name)
        elif cards[-1] == card:
            hidden.add(name)
    assert hidden == {
        # Less informative than the other scores of a class.
        *(f"test.classes.#.scores.accuracy.{end}" for end in ("value", "low", "high")),
        *(f"test.classes.#.scores.error_rate.{end}" for end in ("value", "low", "high")),
        # Shown in figures.
        "test.classes.#.roc.false_positive_rate.#",
        "test.classes.#.roc.true_positive_rate.#",
        *(
            f"reliability.calibration.{when}.bins.#.{fact}"
            for when in ("before", "after")
            for fact in ("low", "high", "images", "confidence", "accuracy")
        ),
        *(
            f"reliability.ood_detection.{images}.p{percentile}"
            for images in ("reference_novelty", "kinds.#.novelty")
            for percentile in (5, 25, 50, 75, 95)
        ),
        "reliability.operating_point.curve.coverage.#",
        "reliability.operating_point.curve.risk.#",
        # The Space shows titles; the card has headings.
        "figures.#.title",
        # The base model on the Hub is shown instead.
        "model.weights_origin",
        "model.weights_file",
    }
    assert fixed == {
        # Checksums: `Report.write` adds those of files, training those of images.
        "export.files",
        "data.splits.#.fingerprints",
        # Names of splits, classes and scores, which must agree, and counts, which must add up.
        "metrics.#.name",
        "data.splits.#.name",
        "data.splits.#.images",
        "data.surfaces.leakage.#.split",
        "data.surfaces.leakage.#.seen_in",
        # Optional values that other tests add.
        "unseen_test",
        "exports",
        "data.streamed_images",
        "cross_validation",
        "comparison",
        "several_defects",
        "localization",
        "boxed_mistakes",
        "robustness",
        *(f"data.splits.#.images_by_class.{label}" for label in LABELS),
        "model.labels.#",
        "test.images",
        "test.confusion.#.#",
        "test.classes.#.label",
        "test.classes.#.images",
        "test.classes.#.predicted",
        "training.epochs.#.published",
    }


def test_counts_come_from_the_confusion_matrix() -> None:
    card = words(render_card(example_report([[90, 10], [25, 175]], TWO_LABELS)))
    assert "The model classified 265 of 300 test images correctly." in card
    assert "| **88.3 %** | 300 test images, 95 % interval 84.2–91.5 % |" in card
    wrong = section(card, "### Results by class")
    assert "**good**: 90 of 100 images correct (sensitivity 90.0 %, 95 % interval" in wrong
    assert "; predicted 10 as defect; 25 false alarms: 25 of defect." in wrong
    assert "And 25 more: `report.json` lists them all." in wrong
    assert wrong.count(".jpg") == 10


def test_worst_class_comes_first() -> None:
    wrong = section(render_card(example_report()), "### Results by class")
    assert re.findall(r"^- \*\*(\w+)", wrong, re.MULTILINE) == [
        "Inclusion",
        "Pitted",
        "Scratches",
        "Patches",
    ]
    assert "predicted 1 as Inclusion and 1 as Patches." in wrong
    assert "No mistake: Crazing and Rolled." in wrong


def test_a_flawless_test_is_no_promise() -> None:
    card = render_card(reports()["flawless"])
    accuracy = section(card, "### Accuracy")
    assert "The model classified all 288 test images correctly." in accuracy
    assert "An error rate of up to 1.3 % would still agree" in accuracy
    assert "<summary>Mistakes" not in card


def test_thirty_classes_are_summed_up() -> None:
    card = render_card(reports()["thirty"], REPO_ID)
    wrong = section(card, "### Results by class")
    assert wrong.count("- **Kind") == 10
    assert "20 more classes had as many mistakes or fewer" in wrong
    assert "of its 30 classes" in section(card, "## Uses and limits")
    details = section(card, "## Model details")
    assert "| 3,376,870, 4,614 of them trained |" in details
    assert "<summary>Scores of each class</summary>" in card


def test_of_very_many_classes_the_rarest_are_listed() -> None:
    """The 45 classes have 46, 47, … training images, in the opposite order of their names."""
    labels = [f"Kind {number}" for number in range(45)]
    confusion = [[int(i == j) for j in range(45)] for i in range(45)]
    report = example_report(confusion, labels)
    counts = {label: 90 - place for place, label in enumerate(labels)}
    train, *others = report.data.splits
    train = train.model_copy(update={"images_by_class": counts})
    data = report.data.model_copy(update={"splits": [train, *others]})
    figure = Figure(file="figures/top_confusions.png", title="Confusions", alt="Most frequent.")
    changes = {"data": data, "figures": [*report.figures, figure]}
    card = words(render_card(report.model_copy(update=changes)))
    assert "The 40 rarest classes in training of 45" in card
    rows = re.findall(r"^\| (Kind \d+) \| (\d+) \| 19 \| 1 \|", card, re.MULTILINE)
    assert rows == [(f"Kind {number}", f"{90 - number}") for number in range(44, 4, -1)]


def test_precision_of_a_class_that_is_never_predicted_is_not_a_number() -> None:
    card = words(render_card(reports()["never predicted"]))
    [row] = [line for line in card.splitlines() if line.startswith("| **defect**")]
    assert "| undefined |" in row


def test_drawn_images_are_announced_before_anything_else() -> None:
    card = render_card(reports()["drawn"], REPO_ID)
    assert (
        ModelCard(card)
        .text.strip()
        .startswith("# strip-defects\n\n> ⚠️ **A demonstration, not for use.**")
    )
    assert "synthetic-images" in (front_matter(card).tags or [])
    assert "demonstration" not in render_card(example_report(), REPO_ID)


def test_skipped_files_are_listed() -> None:
    images = section(render_card(reports()["skipped"]), "### Data")
    assert "<summary>11 files could not be read</summary>\n\nThey were left out:" in images
    assert images.count(": cut off") == 10
    assert "and 1 more, listed in `report.json`" in images


def test_leakage_is_a_warning_with_what_the_score_is_worth_without() -> None:
    card = words(render_card(reports()["leaking"]))
    warning = first_screen(card)
    assert "**The scores are too good.** 200 of 288 test images (69.4 %)" in warning
    assert "On the other 88 images, its accuracy is 90.9 % (95 % interval 83.1–95.3 %)." in warning
    images = section(card, "### Data")
    assert (
        "| Pairs of images that overlap (N copies of one picture are N − 1 pairs) | 2,360 |"
        in images
    )
    assert "| Images that overlap another | 1,205 (83.7 %) |" in images
    assert "| Groups of overlapping images, including single images | 451 |" in images
    assert "The splits are those of the data, and they leak:** the accuracy" in images
    assert "On the 88 test images without overlap it is 90.9 %" in images
    everything = words(render_card(reports()["all leaking"]))
    assert "No test image is free of overlap with training" in everything
    assert "drawn at random on request, and they leak" in everything


def test_a_split_without_leakage_gets_no_warning() -> None:
    card = words(render_card(example_report()))
    assert "too good" not in card
    assert "Images that show the same piece of surface are in the same split." in card
    assert "| Test images that would overlap in a random split | 67.6 % |" in card
    assert "no two show the same piece of surface" in words(
        render_card(reports()["nothing shared"])
    )
    assert "Each image was drawn independently" in render_card(reports()["drawn"])


def test_cross_validation_is_reported_with_mean_spread_and_interval() -> None:
    card = words(render_card(reports()["folds"]))
    folds = section(card, "### Cross-validation")
    assert "each of 576 images once and classified 564 correctly: 97.9 % (95 % interval" in folds
    assert "The mean of the folds is 97.9 %, their standard deviation 1.0 points." in folds
    assert "| 1 | 260 | 288 | 7 | 98.6 % |" in folds
    assert "| 2 | 260 | 288 | 5 | 97.2 % |" in folds
    assert '<img src="figures/fold_confusion_matrix.png" alt="Of all folds"' in folds
    assert "| Accuracy | **97.9 %** | 576 test images" in first_screen(card)


def test_settings_that_differ_come_first() -> None:
    training = section(render_card(example_report()), "### Procedure")
    before, after = training.split("Left at the default:")
    assert "<summary>Settings: 2 changed from the default</summary>" in before
    assert re.findall("<code>(.*?)</code>", before) == ["--model", "--epochs"]
    assert "--lr" in after
    assert "Settings: none changed from the default" in render_card(reports()["one epoch"])


def test_the_published_epoch_is_bold() -> None:
    card = render_card(reports()["stopped"])
    training = section(card, "### Procedure")
    assert re.findall(r"^\| \*\*(.*?)\*\*", training, re.MULTILINE) == ["12 (published)"]
    assert "The weights of epoch 12 of 18 were published." in training
    assert "stopped early, after 18 epochs" in training
    assert "moving average" in training
    assert "NVIDIA H200" in card


def test_validation_decided_only_where_it_did() -> None:
    decided = "The validation split decided which epoch to publish."
    last = "The last epoch was published, regardless of its validation score"
    for choice, says in {"best": [True, False], "last": [False, True], None: [False] * 2}.items():
        card = render_card(example_report(training=example_training(epoch_choice=choice)))
        assert [decided in card, last in card] == says


def test_the_card_says_what_else_the_validation_split_decided() -> None:
    fitted = "The decision rules were fitted to the validation split."
    assert fitted in rendered("six")
    assert fitted not in rendered("no decision")


def test_a_second_class_that_can_never_be_plausible_is_not_promised() -> None:
    def set_rule(least: float) -> str:
        reliability = example_reliability(LABELS)
        sets = reliability.sets.model_copy(update={"least_probability": least})
        report = example_report(reliability=reliability.model_copy(update={"sets": sets}))
        return words(render_card(report))

    assert "the most probable class and all others with a probability of at least 43.2" in set_rule(
        0.432
    )
    assert "holds every class: it was fitted to " in set_rule(0)
    assert "the most probable class alone: others would need a probability of at least 99.6" in (
        set_rule(0.9961)
    )


def test_rare_classes_are_named_only_where_there_are_some() -> None:
    report = example_report()
    dump = report.model_dump()
    train = dump["data"]["splits"][0]
    train["images_by_class"]["Pitted"] -= 86
    train["images"] -= 86
    limits = section(render_card(Report.model_validate(dump)), "## Uses and limits")
    assert "Rare classes" not in limits, "87 of 173 is more than half"
    train["images_by_class"]["Pitted"] -= 1
    train["images"] -= 1
    limits = section(render_card(Report.model_validate(dump)), "## Uses and limits")
    assert "**Rare classes:** Pitted had 86 training images, Crazing 173" in limits


def test_a_missing_fact_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="roc_curves"):
        render_card(example_report(figures=example_figures()[:2]))
    with pytest.raises(UndefinedError, match="timm"):
        render_card(example_report(machine=example_machine(versions={"Python": "3.11.14"})))
    with pytest.raises(ValueError, match="not known"):
        render_card(example_report(model=example_model(base_model=None, weights_origin="file")))


@pytest.mark.parametrize("repo_id", [REPO_ID, None])
def test_the_example_is_python_that_names_the_model(repo_id: str | None) -> None:
    code = render_card(example_report(), repo_id).split("```python\n")[1].split("```")[0]
    strings = {n.value for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Constant)}
    assert (f"hf-hub:{REPO_ID}" if repo_id else "local-dir:.") in strings


def test_write_card_reads_the_report(tmp_path: Path) -> None:
    report = example_report()
    report.write(tmp_path)
    write_card(tmp_path, REPO_ID)
    written = (tmp_path / CARD_FILE).read_bytes()
    assert written == render_card(report, REPO_ID).encode()
    assert b"\r" not in written
    with pytest.raises(FileNotFoundError, match=r"report\.json"):
        write_card(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("test", "images"), 289, "contradict"),
        (("test", "mistakes"), [], "contradict"),
        (("test", "confusion"), FLAWLESS, "add up|contradict"),
        (("data", "splits", 0, "images"), 1, "don't add up"),
        (("model", "labels"), LABELS[::-1], "same classes"),
        (("training", "epochs", 0, "published"), True, "exactly one"),
        (("data", "splits"), [], "same test images"),
        (("test", "classes", 0, "scores", "f1"), None, "valid"),
        (("metrics", 0, "name"), "fidelity", "scores are accuracy, .* metrics fidelity"),
        (("metrics",), [], "scores are"),
        (("test", "classes", 0, "roc", "true_positive_rate"), [0, 1], "as many"),
    ],
)
def test_a_report_that_contradicts_itself_is_refused(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    dump = example_report().model_dump(mode="json")
    place: Any = dump
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValidationError, match=message):
        Report.model_validate(dump)


def test_the_example_adds_up() -> None:
    report = example_report()
    assert report.test.images == sum(map(sum, CONFUSION)) == 288
    assert len(report.test.mistakes) == 4


def extra_figures(*names: str) -> list[Figure]:
    added = [Figure(file=f"figures/{name}.png", title=name, alt=f"alt of {name}") for name in names]
    return [*example_figures(), *added]


ALL_FIGURES = extra_figures("classes", "robustness")


def test_the_last_column_of_robustness_is_the_worst_of_the_severities() -> None:
    found = example_robustness(images=120, hits=90)
    kind = found.kinds[0]
    steps = [
        step.model_copy(update={"unnoticed": step.unnoticed.model_copy(update={"value": share})})
        for step, share in zip(kind.steps, (0.11, 0.12, 0.15, 0.14, 0.13), strict=True)
    ]
    kinds = [kind.model_copy(update={"steps": steps}), *found.kinds[1:]]
    report = example_report(
        robustness=found.model_copy(update={"kinds": kinds}), figures=extra_figures("robustness")
    )
    [row] = [line for line in render_card(report).splitlines() if f"**{kind.name}**<br>" in line]
    assert row.replace("\u00a0", " ").endswith("| 15.0 % |")


def test_heatmaps_and_robustness_are_reported_in_numbers() -> None:
    card = render_card(
        example_report(
            localization=example_localization(LABELS),
            robustness=example_robustness(images=120, hits=90),
            figures=extra_figures("heatmaps", "robustness"),
        )
    )
    heatmaps, robustness = section(card, "### Heatmaps"), section(card, "### Robustness")
    assert "alt of heatmaps" in heatmaps
    assert "| Pitted | 20 | 25.0 % | 50.0 % | **2.00** | 75.0 % |" in heatmaps
    assert "alt of robustness" in robustness
    assert "120 test images of 288" in robustness
    assert "| **Noise**<br>dB signal to noise | 75.0 %<br>at 40 | 75.0 %<br>at 35 |" in robustness


def test_mistakes_that_name_a_marked_defect_are_told_apart() -> None:
    facts = BoxedMistakes(images=160, several=11, mistakes=12, present=8)
    shown = section(render_card(example_report(boxed_mistakes=facts)), "### Mistakes and boxes")
    assert "Of 160 test images with annotated boxes, 11 show defects of several" in shown
    assert "| wrong | 12 | 7.5 % |" in shown
    assert "whose box is in the image | 8 | 5.0 % |" in shown
    assert "nothing that is marked there | 4 | 2.5 % |" in shown
    assert "### Mistakes and boxes" not in render_card(example_report())


def test_the_comparison_with_the_published_model_is_shown() -> None:
    shown = section(
        render_card(example_report(comparison=example_comparison()), REPO_ID),
        "### Compared with the published model",
    )
    assert "hf-hub:mill/strip-defects@0123abcd" in shown
    assert "276 test images (of 288; the others show a surface" in shown
    assert "of 100 pieces of surface" in shown
    row = "| **All classes** | 276 | 98.2 % | 94.9 % | +3.3 points<br>(+0.5 to +6.0) | 0.021"
    assert f"{row} | **better** |" in shown
    row = "| Crazing | 46 | 95.7 % | 97.8 % | -2.2 points<br>(-4.9 to +0.6) | 0.03 | worse |"
    assert row in shown
    assert "| 1e-05 | better |" in shown
    assert "correct on 12 images, only the published one on 3 images" in shown
    assert "46 test images that both models saw corrupted in the same way, with severity 3" in shown
    row = "| Noise | 46 | 87.0 % | 67.4 % | +19.6 points<br>(+16.8 to +22.3) | 0.004 | better |"
    assert row in shown
    assert "| 0.7 | not distinguishable |" in shown
    assert "also trained on 7 images" in shown
    unknown = render_card(example_report(comparison=example_comparison(known_splits=False)))
    assert "does not name the images that it was trained on" in words(unknown)
    assert "also trained on" not in words(unknown)
    reason = render_card(example_report(comparison=example_comparison(reason="its classes differ")))
    assert "were not compared: its classes differ." in words(reason)


def test_photographs_that_are_not_shared_leave_the_numbers() -> None:
    report = example_report(localization=example_localization(LABELS))
    heatmaps = section(render_card(report), "### Heatmaps")
    assert "![" not in heatmaps
    assert "| Pitted | 20 |" in heatmaps


def test_nothing_is_said_of_what_was_not_tested() -> None:
    card = render_card(example_report())
    assert "### Heatmaps" not in card
    assert "### Robustness" not in card
    assert "| Accuracy under the worst corruption | – | robustness was not tested |" in card


@pytest.mark.slow
def test_the_card_of_a_thousand_classes_stays_readable() -> None:
    labels = [f"Kind {i}" for i in range(1000)]
    confusion = [[3 if i == j else 0 for j in range(1000)] for i in range(1000)]
    confusion[7][3], confusion[8][3] = 9, 1
    report = example_report(
        confusion, labels, figures=[*example_figures(), *extra_figures("top_confusions")]
    )
    card = words(render_card(report))
    assert len(card) < 60_000
    assert "Kind 39 and 960 more." in card
    assert "figures/top_confusions.png" in card
    table = section(card, "### Results by class")
    assert "The 40 classes with the lowest F1 of 1,000; `report.json` lists all." in table
    # The worst one comes first.
    assert table.index("**Kind 3**") < table.index("**Kind 7**") < table.index("**Kind 8**")
    assert table.count("\n| **Kind ") == 40


def test_results_of_all_folds_replace_those_of_the_first() -> None:
    folded = example_cross_validation().model_copy(
        update={"robustness": example_robustness(images=600, hits=540)}
    )
    report = example_report(
        cross_validation=folded,
        robustness=example_robustness(images=120, hits=90),
        figures=extra_figures("fold_confusion_matrix", "robustness"),
    )
    robustness = section(render_card(report), "### Robustness")
    assert "600 test images" in robustness
    assert "90.0 %" in robustness
    assert "75.0 %" not in robustness


def test_the_first_screen_has_six_numbers() -> None:
    robustness = example_robustness(images=120, hits=90)
    worst = robustness.kinds[3]
    worst.steps[-1] = worst.steps[-1].model_copy(update={"accuracy": share(30, 120)})
    card = first_screen(render_card(example_report(robustness=robustness, figures=ALL_FIGURES)))
    rows = re.findall(r"^\| ([A-Z].*?) \| (.*?) \|", card, re.MULTILINE)
    assert rows == [
        ("Key figure", "Value"),
        ("Accuracy", "**98.6 %**"),
        ("Answered automatically", "**92.4 %**"),
        ("Accuracy on automatically accepted images", "**99.6 %**"),
        ("Out-of-distribution (OOD) images detected", "**97.5 %**"),
        ("Accuracy under the worst corruption", "**25.0 %**"),
        ("Size and speed", "**3.4 M** parameters"),
    ]
    assert f"{mid_sentence(worst.name)} at the highest severity" in card
    assert "![alt of classes](figures/classes.png)" in card


def test_the_first_screen_shows_the_numbers_of_all_folds() -> None:
    folded = example_cross_validation().model_copy(
        update={
            "reliability": example_reliability(
                LABELS, operating_point=example_operating_point(unsure=share(30, 100))
            )
        }
    )
    figures = extra_figures("fold_confusion_matrix")
    card = first_screen(render_card(example_report(cross_validation=folded, figures=figures)))
    assert "| Accuracy | **97.9 %** |" in card
    assert "| Answered automatically | **68.6 %** |" in card


def test_the_first_screen_links_to_what_is_known() -> None:
    machine = example_machine(code_url="https://example.org/code")
    links = {
        "Demo Space": "https://huggingface.co/spaces/mill/demo",
        "Base model": "https://huggingface.co/timm/convnext_atto.d2_in1k",
        "Dataset": "https://huggingface.co/datasets/mill/strip",
        "Code": "https://example.org/code",
        "Citation": "#citation",
        "License": "#license",
    }
    report = example_report(data=example_data(kind="hub", source="mill/strip"), machine=machine)
    shown = dict(
        re.findall(r"\[(.*?)\]\((.*?)\)", first_screen(render_card(report, REPO_ID, "mill/demo")))
    )
    assert links.items() <= shown.items()
    few = first_screen(render_card(reports()["flawless"]))
    assert not re.search("Demo Space|Base model|Dataset|Code", few)


def test_every_link_within_the_card_has_its_heading() -> None:
    card = render_card(example_report(), REPO_ID)
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", card, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(.*?)\)", card)) <= headings


def test_sections_are_in_the_order_of_the_hub() -> None:
    assert re.findall(r"^## (.*)$", render_card(example_report()), re.MULTILINE) == [
        "Model details",
        "Uses and limits",
        "How to use",
        "Evaluation",
        "Training",
        "Citation",
        "License",
    ]


def test_the_citation_names_owner_year_and_address() -> None:
    citation = section(render_card(example_report(), "mill/strip_defects"), "## Citation")
    assert "@misc{strip-defects," in citation
    assert "author = {mill}," in citation
    assert "year = {2026}," in citation
    assert "url = {https://huggingface.co/mill/strip_defects}," in citation
    assert "url" not in section(render_card(example_report()), "## Citation")


def test_folded_blocks_are_closed_and_apart_from_the_text(any_card: str) -> None:
    blocks = any_card.count("<details>")
    assert blocks == any_card.count("</details>") > 5
    # Markdown inside HTML needs an empty line before and after.
    assert len(re.findall(r"\n\n<details>\n<summary>.+</summary>\n\n", any_card)) == blocks
    assert any_card.count("\n\n</details>\n\n") == blocks


if __name__ == "__main__":
    GOLDEN.write_text(render_card(example_report(), REPO_ID), encoding="utf-8", newline="\n")
