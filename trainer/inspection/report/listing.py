"""All findings of a report, by how much they matter."""

from __future__ import annotations

from trainer.inspection.report.classes import on_classes
from trainer.inspection.report.files import on_files
from trainer.inspection.report.finding import Finding
from trainer.inspection.report.labels import on_feedback, on_labels
from trainer.inspection.report.schema import DataReport
from trainer.inspection.report.surfaces import on_leakage, on_surfaces


def list_findings(report: DataReport) -> list[Finding]:
    """Return the findings of a report, problems first."""
    order = ("problem", "review", "ok")
    found = [
        *on_leakage(report),
        *on_surfaces(report),
        *on_labels(report),
        *on_files(report),
        *on_classes(report),
        *on_feedback(report),
    ]
    return sorted(found, key=lambda finding: order.index(finding.level))
