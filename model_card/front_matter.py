"""The machine-readable head of the card, which the Hub files and searches the model by."""

from __future__ import annotations

from huggingface_hub import EvalResult, ModelCardData

from model_card.formatting import one_line
from model_card.licenses import LICENSES
from model_card.schema.report import Report

# Field of `Scores`, the Hub's id of the metric, and what a reader calls it.
_METRICS = (
    ("accuracy", "accuracy", "Accuracy"),
    ("sensitivity", "recall", "Sensitivity (macro recall)"),
    ("specificity", "specificity", "Specificity (macro)"),
    ("precision", "precision", "Precision (macro)"),
    ("f1", "f1", "F1 (macro)"),
    ("auc", "roc_auc", "AUC (macro, one class against the rest)"),
    ("error_rate", "error_rate", "Error rate"),
)
# Those that have a page at https://huggingface.co/metrics.
_METRICS_ON_HUB = ["accuracy", "recall", "precision", "f1", "roc_auc"]


def card_data(report: Report, model_name: str) -> ModelCardData:
    """Return the front matter; a key that does not apply, such as the base model, is left out."""
    on_hub = report.data.kind == "hub"
    data = ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        base_model=report.model.base_model,
        license=_license(report.model.license),
        datasets=[report.data.source] if on_hub else None,
        metrics=_METRICS_ON_HUB,
        tags=_tags(report),
        model_name=model_name,
        eval_results=[
            EvalResult(
                task_type="image-classification",
                task_name="Image classification",
                dataset_type=report.data.source if on_hub else "imagefolder",
                dataset_name=one_line(report.data.source),
                dataset_split="test",
                metric_type=metric,
                metric_name=name,
                metric_value=getattr(report.test.scores, field).value,
            )
            for field, metric, name in _METRICS
        ],
    )
    if data.license != report.model.license:
        data["license_name"] = report.model.license
    if report.model.base_model is not None:
        data["base_model_relation"] = "finetune"
    return data


def _license(license_id: str | None) -> str | None:
    """Return the license as the Hub takes it: base weights may carry one that it does not list."""
    return license_id if license_id is None or license_id in LICENSES else "other"


def _tags(report: Report) -> list[str]:
    tags = ["image-classification", "timm", "surface-defect-classification", "visual-inspection"]
    return [*tags, "synthetic-images"] if report.data.kind == "drawn" else tags
