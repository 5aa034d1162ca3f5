"""The metrics of a report: how each is named, here and on the Hub."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        field: of `Scores`, and name in the `evaluate` module that computes it.
        name: what a reader calls it.
        hub_id: what the Hub calls it.
        hub_name: its title in the front matter, with what is averaged.
        on_hub: whether it has a page at https://huggingface.co/metrics.
    """

    field: str
    name: str
    hub_id: str
    hub_name: str
    on_hub: bool


METRICS = (
    Metric("accuracy", "Accuracy", "accuracy", "Accuracy", on_hub=True),
    Metric("sensitivity", "Sensitivity", "recall", "Sensitivity (macro recall)", on_hub=True),
    Metric("specificity", "Specificity", "specificity", "Specificity (macro)", on_hub=False),
    Metric("precision", "Precision", "precision", "Precision (macro)", on_hub=True),
    Metric("f1", "F1", "f1", "F1 (macro)", on_hub=True),
    Metric("auc", "AUC", "roc_auc", "AUC (macro, one class against the rest)", on_hub=True),
    Metric("error_rate", "Error rate", "error_rate", "Error rate", on_hub=False),
)
