"""YAML front matter of the card, by which the Hub lists and searches the model."""

from __future__ import annotations

from huggingface_hub import EvalResult, ModelCardData

from model_card.formatting import one_line
from model_card.licenses import LICENSES
from model_card.schema.report import Report

SCORE_DECIMALS = 4


def card_data(report: Report, model_name: str) -> ModelCardData:
    """Return the front matter, without the keys that do not apply."""
    on_hub = report.data.kind == "hub"
    several = [each.name for each in report.data.sources if each.kind == "hub"]
    data = ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        base_model=report.model.base_model,
        license=_license(report.model.license),
        datasets=[report.data.source] if on_hub else several or None,
        metrics=[metric.hub_id for metric in report.metrics if metric.on_hub],
        tags=_tags(report),
        model_name=model_name,
        eval_results=[
            EvalResult(
                task_type="image-classification",
                task_name="Image classification",
                dataset_type=report.data.source if on_hub else "imagefolder",
                dataset_name=one_line(report.data.source),
                dataset_split="test",
                metric_type=metric.hub_id,
                metric_name=metric.hub_name,
                metric_value=round(report.test.scores[metric.name].value, SCORE_DECIMALS),
            )
            for metric in report.metrics
        ],
    )
    if data.license != report.model.license:
        data["license_name"] = report.model.license
    if report.model.base_model is not None:
        data["base_model_relation"] = "finetune"
    return data


def _license(license_id: str | None) -> str | None:
    """Return the license id, or "other" for one that the Hub does not list."""
    return license_id if license_id is None or license_id in LICENSES else "other"


def _tags(report: Report) -> list[str]:
    tags = ["image-classification", "timm", "surface-defect-classification", "visual-inspection"]
    return [*tags, "synthetic-images"] if report.data.kind == "drawn" else tags
