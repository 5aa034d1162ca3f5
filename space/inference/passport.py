"""What the report of a published folder proves about the precision that its network needs."""

from __future__ import annotations

import logging

from pydantic import BaseModel

from .core.errors import ModelError
from .core.fingerprint import checksum
from .engines.names import Precision
from .model_config import WEIGHTS_FILE
from .model_folder import ModelFolder

logger = logging.getLogger(__name__)

REPORT_FILE = "report.json"
# The format whose engine runs a loaded model, too.
PROVING_FORMAT = "openvino"


class _Passport(BaseModel):
    """Of one exported format: the precision in which it decided as the weights do."""

    format: str
    # None in the reports of earlier versions.
    precision: Precision | None = None
    refused: str | None


class _Report(BaseModel):
    """As much of a report as matters here."""

    class Exports(BaseModel):
        """The measured formats."""

        formats: list[_Passport]

    class Export(BaseModel):
        """The checksums of the published files by name."""

        files: dict[str, str] | None = None

    exports: Exports | None = None
    export: Export = Export()


def proven_precision(folder: ModelFolder) -> Precision:
    """Return the lowest precision in which a network was shown to decide as in float32.

    bfloat16 changes the decisions of some networks: of a lite0 after few epochs, those on 13 % of
    the NEU images. So it takes a passport of these weights, over the whole test split.
    """
    if not folder.has(REPORT_FILE):
        return "f32"
    try:
        report = folder.read_json(REPORT_FILE, _Report)
    except ModelError as error:
        logger.warning("The network runs in float32: %s", error)
        return "f32"
    proven: Precision | None = next(
        (
            each.precision
            for each in (report.exports.formats if report.exports else [])
            if each.format == PROVING_FORMAT and each.refused is None
        ),
        None,
    )
    if proven is None or proven == "f32":
        return "f32"
    if (report.export.files or {}).get(WEIGHTS_FILE) != checksum(folder.file(WEIGHTS_FILE)):
        logger.warning(
            "The network runs in float32: %s is of other weights.", folder.path / REPORT_FILE
        )
        return "f32"
    return proven
