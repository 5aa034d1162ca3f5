"""Load an exported file: the whole classifier, from one file or OpenVINO's pair."""

from __future__ import annotations

import logging
from pathlib import Path

from ..core.classifier import Classifier, Engine
from ..core.errors import ModelError, shortened
from ..engines.names import Precision
from . import onnx_file
from .metadata import Metadata, read_metadata

logger = logging.getLogger(__name__)

ONNX_SUFFIX, OPENVINO_SUFFIX = ".onnx", ".xml"
SUFFIXES = (ONNX_SUFFIX, OPENVINO_SUFFIX)
# The limit of protocol buffers; the largest network of timm that is useful here takes 1.4 GB.
MAX_FILE_BYTES = 2 * 2**30


class ExportedClassifier(Classifier):
    """A classifier from an exported file; its self-test has passed.

    Args:
        file: ends in .onnx or .xml; beside an .xml lies its .bin.
        precision: of OpenVINO, instead of the one that the file names; the file's own gives way
            to float32, with a warning, where OpenVINO can't compile it.

    Raises:
        ModelError: the file can't be used, or this machine computes wrong outputs.
    """

    def __init__(self, file: Path, precision: Precision | None = None) -> None:
        metadata, engine = _load(file, precision)
        super().__init__(metadata.facts, metadata.decision, engine)
        self.file, self.metadata = file, metadata
        if metadata.self_test is None:
            raise ModelError(f"{file} carries no self-test. Export the model again.")
        self.try_out()
        metadata.self_test.check(self)
        if metadata.self_test.expected.logits.shape[1] != len(self.labels):
            raise ModelError(
                f"{file} has {len(self.labels)} class names, but its network another number of "
                "outputs. Export the model again."
            )

    @property
    def files(self) -> list[Path]:
        """The file, and the weights that OpenVINO keeps beside it."""
        beside = self.file.suffix.lower() == OPENVINO_SUFFIX
        return [self.file, *([self.file.with_suffix(".bin")] if beside else [])]


def _load(file: Path, precision: Precision | None) -> tuple[Metadata, Engine]:
    origin = str(file)
    if file.suffix.lower() == ONNX_SUFFIX:
        content = _content(file)
        metadata = read_metadata(onnx_file.read_entries(content, origin), origin)
        try:
            from ..engines.onnx_runtime import OnnxRuntimeEngine
        except ImportError as error:
            raise ModelError(
                f"{origin} needs the package onnxruntime: pip install onnxruntime"
            ) from error
        try:
            return metadata, OnnxRuntimeEngine(content, metadata.stages)
        # Each kind of damage has an exception of its own.
        except Exception as error:
            raise ModelError(f"{origin} can't be loaded: {shortened(error, 200)}") from error
    if file.suffix.lower() != OPENVINO_SUFFIX:
        raise ModelError(f"{file} has none of the suffixes {' and '.join(SUFFIXES)}.")
    try:
        from ..engines.openvino_cpu import OpenVINOEngine
        from . import openvino_file
    except ImportError as error:
        raise ModelError(f"{origin} needs the package openvino: pip install openvino") from error
    model = openvino_file.read_model(_content(file), _content(file.with_suffix(".bin")), origin)
    metadata = read_metadata(openvino_file.entries_of(model), origin)
    own: list[Precision] = [metadata.precision, "f32"]
    trouble: RuntimeError | None = None
    for each in [precision] if precision else dict.fromkeys(own):
        if trouble is not None:
            logger.warning("%s runs in float32: %s", origin, shortened(trouble, 200))
        try:
            return metadata, OpenVINOEngine(model, metadata.stages, precision=each)
        except RuntimeError as error:
            trouble = error
    raise ModelError(f"{origin} can't be loaded: {shortened(str(trouble), 200)}") from trouble


def _content(file: Path) -> bytes:
    """Return the content of a regular file of bounded size.

    Raises:
        ModelError: there is none.
    """
    if not file.is_file():
        raise ModelError(f"There is no file {file}. Check the path.")
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"{file} is larger than {MAX_FILE_BYTES // 2**30} GB.")
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file} can't be read: {error.strerror}.") from error
