"""The formats that a model can be exported to, and how each one's files are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from model_card.schema.checksums import file_checksum
from space.inference.core.classifier import Engine
from space.inference.engines.graph import to_onnx
from space.inference.engines.names import Precision
from space.inference.exported import onnx_file
from space.inference.exported.metadata import Metadata, SourceModel
from space.inference.exported.model_file import ExportedClassifier
from space.inference.exported.self_test import SelfTest, drawn_images
from space.inference.model_config import WEIGHTS_FILE, read_config
from space.inference.model_folder import ModelFolder
from space.inference.predictor import Predictor
from trainer.config.option_types import FormatName
from trainer.errors import ConfigError

# torch's exporter stops there: a file of protocol buffers holds no more.
MAX_WEIGHTS_BYTES = 2 * 2**30 - 2**26


@dataclass(frozen=True)
class Calibration:
    """Images that int8 is fitted to.

    Attributes:
        images: training images, corrupted ones among them.
        compared: other images, whose decisions must stay the same.
    """

    images: Sequence[Image.Image]
    compared: Sequence[Image.Image]


@dataclass(frozen=True)
class Source:
    """The model to export, as loaded from its published folder.

    Attributes:
        predictor: computes what every file must compute.
        name: of the model, as its user named it.
    """

    predictor: Predictor
    name: str

    def metadata(self) -> Metadata:
        """Return what every file says of itself, without the self-test."""
        predictor = self.predictor
        folder = ModelFolder(predictor.folder)
        model = SourceModel(
            name=self.name,
            architecture=read_config(folder).architecture,
            weights_sha256=file_checksum(folder.file(WEIGHTS_FILE)),
        )
        return Metadata(model, predictor.facts, predictor.decision, predictor.stages)

    def graph(self) -> bytes:
        """Return the network from pixels to outputs, in ONNX.

        Raises:
            ConfigError: it is too large for the format.
        """
        predictor = self.predictor
        if (predictor.folder / WEIGHTS_FILE).stat().st_size > MAX_WEIGHTS_BYTES:
            raise ConfigError("The model is larger than 2 GB, which an ONNX file can't hold.")
        size_px = predictor.facts.preprocessing.size_px
        return to_onnx(predictor.graph(predictor.stages), *size_px)


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        title: for people.
        file: the file that is loaded, below a published folder.
        files: all its files.
        precisions: that its engine computes in, the fastest first, float32 last; the first that
            decides alike is used.
        build: returns what is saved; it may take minutes.
        engine: runs what `build` returned; None for that of the weights.
        save: writes what `build` returned, with the entries of its metadata.
    """

    title: str
    file: str
    files: tuple[str, ...]
    precisions: tuple[Precision, ...]
    build: Callable[[Source, Calibration], Any]
    engine: Callable[[Any, Source], Engine] | None
    save: Callable[[Any, Mapping[str, str], Path], None]

    def write(
        self, built: Any, source: Source, folder: Path, precision: Precision = "f32"
    ) -> ExportedClassifier:
        """Write the files, and load them as their users will.

        Args:
            built: by `build`.
            source: the model.
            folder: that `file` is relative to.
            precision: that the file asks for.

        Raises:
            ModelError: the written file fails its self-test on this machine.
        """
        images = drawn_images()
        inputs = [source.predictor.prepare(image) for image in images]
        engine = self.engine(built, source) if self.engine else source.predictor.engine
        expected = source.predictor.observe_prepared(inputs, engine)
        metadata = replace(
            source.metadata(), precision=precision, self_test=SelfTest(images, expected)
        )
        file = folder / self.file
        file.parent.mkdir(parents=True, exist_ok=True)
        self.save(built, metadata.entries(), file)
        return ExportedClassifier(file, precision)


def _save_onnx(graph: bytes, entries: Mapping[str, str], file: Path) -> None:
    file.write_bytes(onnx_file.with_entries(graph, entries))


# Each of the following needs optional packages.


def _build_openvino(source: Source, _: Calibration) -> Any:
    from space.inference.engines.openvino_library import the_core  # noqa: PLC0415

    return the_core().read_model(source.graph())


def _build_int8(source: Source, calibration: Calibration) -> Any:
    from trainer.exporting.quantization import quantized  # noqa: PLC0415

    return quantized(source.graph(), source.predictor, calibration)


def _int8_engine(model: Any, source: Source) -> Engine:
    """Return the engine of the file itself: by intent it computes other outputs."""
    from space.inference.engines.openvino_cpu import OpenVINOEngine  # noqa: PLC0415

    return OpenVINOEngine(model, source.predictor.stages, precision="f32")


def _save_openvino(model: Any, entries: Mapping[str, str], file: Path) -> None:
    from space.inference.exported.openvino_file import write_files  # noqa: PLC0415

    write_files(model, entries, file)


_IR = "openvino/openvino_model"
FORMATS: dict[FormatName, ExportFormat] = {
    "onnx": ExportFormat(
        title="ONNX",
        file="onnx/model.onnx",
        files=("onnx/model.onnx",),
        precisions=("f32",),
        build=lambda source, _: source.graph(),
        engine=None,
        save=_save_onnx,
    ),
    "openvino": ExportFormat(
        title="OpenVINO",
        file=f"{_IR}.xml",
        files=(f"{_IR}.xml", f"{_IR}.bin"),
        precisions=("bf16", "mixed", "f32"),
        build=_build_openvino,
        engine=None,
        save=_save_openvino,
    ),
    "int8": ExportFormat(
        title="OpenVINO, int8",
        file=f"{_IR}_int8.xml",
        files=(f"{_IR}_int8.xml", f"{_IR}_int8.bin"),
        precisions=("bf16", "f32"),
        build=_build_int8,
        engine=_int8_engine,
        save=_save_openvino,
    ),
}
