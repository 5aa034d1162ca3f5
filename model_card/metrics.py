"""The metrics of a report: names, meanings and intervals, for the card, the Hub and the Space."""

from __future__ import annotations

from pydantic import BaseModel, Field

WILSON = "Wilson's score interval of a proportion (Wilson 1927)"
NEWCOMBE = "method 5 of Newcombe (2006)"


class Metric(BaseModel, frozen=True, extra="forbid"):
    """A metric of the report, as card, Hub and Space name it."""

    name: str = Field(description="key in `scores`, and in the `evaluate` module that computes it")
    title: str = Field(description="heading of its column")
    meaning: str = Field(description="phrase that says what it measures")
    interval: str = Field(description="method of the 95 % interval of one class")
    mean_of_classes: bool = Field(
        description="whether the score of all classes is the mean of the classes, each against the "
        "rest; otherwise it is a share of all images"
    )
    percent: bool = Field(
        default=True, description="written in percent; otherwise as a number from 0 to 1"
    )
    hub_id: str = Field(description="id on the Hub")
    hub_name: str = Field(description="title in the front matter, which says what is averaged")
    on_hub: bool = Field(description="whether the id has a page at https://huggingface.co/metrics")


_ROWS = (
    Metric(
        name="accuracy",
        title="Accuracy",
        meaning="share of images classified correctly",
        interval=WILSON,
        mean_of_classes=False,
        hub_id="accuracy",
        hub_name="Accuracy",
        on_hub=True,
    ),
    Metric(
        name="error_rate",
        title="Error rate",
        meaning="share of images classified incorrectly",
        interval=WILSON,
        mean_of_classes=False,
        hub_id="error_rate",
        hub_name="Error rate",
        on_hub=False,
    ),
    Metric(
        name="sensitivity",
        title="Sensitivity",
        meaning="recall: share of a class's images that were found; mean over classes",
        interval=WILSON,
        mean_of_classes=True,
        hub_id="recall",
        hub_name="Sensitivity (macro recall)",
        on_hub=True,
    ),
    Metric(
        name="specificity",
        title="Specificity",
        meaning="share of other images not assigned to a class; mean over classes",
        interval=WILSON,
        mean_of_classes=True,
        hub_id="specificity",
        hub_name="Specificity (macro)",
        on_hub=False,
    ),
    Metric(
        name="precision",
        title="Precision",
        meaning="share of correct images among those assigned to a class; mean over classes",
        interval=WILSON,
        mean_of_classes=True,
        hub_id="precision",
        hub_name="Precision (macro)",
        on_hub=True,
    ),
    Metric(
        name="f1",
        title="F1",
        meaning="harmonic mean of precision and sensitivity; mean over classes",
        interval="Wilson interval of TP / (TP + FP + FN), of which F1 is a monotone function",
        mean_of_classes=True,
        hub_id="f1",
        hub_name="F1 (macro)",
        on_hub=True,
    ),
    Metric(
        name="auc",
        title="AUC",
        meaning="area under the ROC curve, one class against the rest; mean over classes",
        interval=NEWCOMBE,
        mean_of_classes=True,
        percent=False,
        hub_id="roc_auc",
        hub_name="AUC (macro, one class against the rest)",
        on_hub=True,
    ),
)
# By name, in the order in which card and Space show them.
METRICS = {metric.name: metric for metric in _ROWS}
