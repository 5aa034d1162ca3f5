"""The formats that a model can be exported to, and how each one's files are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from model_card.schema.checksums import file_checksum
from space.inference.core.classifier import Engine
from space.inference.engines.graph import PixelGraph, to_onnx
from space.inference.exported import onnx_file
from space.inference.exported.metadata import Metadata, SourceModel
from space.inference.exported.model_file import ExportedClassifier
from space.inference.exported.self_test import SelfTest, drawn_images
from space.inference.model_config import WEIGHTS_FILE, read_config
from space.inference.model_folder import ModelFolder
from space.inference.predictor import Predictor
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
        preprocessing = predictor.facts.preprocessing
        graph = PixelGraph(
            predictor.model, preprocessing.mean, preprocessing.std, predictor.stages
        ).eval()
        return to_onnx(graph, *preprocessing.size_px)


Write = Callable[[Source, Metadata, Calibration, Path], None]


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        title: for people.
        file: the file that is loaded, below a published folder.
        files: all its files.
        packages: that write and run it.
        calibrated: whether it is fitted to images.
        write: writes the files; the path is that of `file`.
    """

    title: str
    file: str
    files: tuple[str, ...]
    packages: tuple[str, ...]
    calibrated: bool
    write: Write

    def load(self, folder: Path) -> ExportedClassifier:
        """Return the classifier of the written files; its self-test has passed."""
        return ExportedClassifier(folder / self.file)


def _write_onnx(source: Source, metadata: Metadata, _: Calibration, file: Path) -> None:
    tested = _with_self_test(metadata, source.predictor.engine, source)
    file.write_bytes(onnx_file.with_entries(source.graph(), tested.entries()))


def _write_openvino(source: Source, metadata: Metadata, _: Calibration, file: Path) -> None:
    from space.inference.engines.openvino_library import openvino  # noqa: PLC0415 -- optional
    from space.inference.exported.openvino_file import write_files  # noqa: PLC0415

    tested = _with_self_test(metadata, source.predictor.engine, source)
    write_files(openvino.Core().read_model(source.graph()), tested.entries(), file)


def _write_int8(source: Source, metadata: Metadata, calibration: Calibration, file: Path) -> None:
    from space.inference.exported.engines import OpenVinoEngine  # noqa: PLC0415 -- optional
    from space.inference.exported.openvino_file import write_files  # noqa: PLC0415
    from trainer.exporting.quantization import quantized  # noqa: PLC0415

    model = quantized(source.graph(), source.predictor, calibration)
    # What this file computes by intent is not what the weights compute: its passport says so.
    engine = OpenVinoEngine(model, metadata.stages, str(file), "f32")
    write_files(model, _with_self_test(metadata, engine, source).entries(), file)


def _with_self_test(metadata: Metadata, engine: Engine, source: Source) -> Metadata:
    images = drawn_images()
    inputs = [source.predictor.prepare(image) for image in images]
    expected = source.predictor.observe_prepared(inputs, engine)
    return replace(metadata, self_test=SelfTest(images, expected))


_IR = "openvino/openvino_model"
FORMATS: dict[str, ExportFormat] = {
    "onnx": ExportFormat(
        title="ONNX",
        file="onnx/model.onnx",
        files=("onnx/model.onnx",),
        packages=("onnx", "onnxruntime"),
        calibrated=False,
        write=_write_onnx,
    ),
    "openvino": ExportFormat(
        title="OpenVINO",
        file=f"{_IR}.xml",
        files=(f"{_IR}.xml", f"{_IR}.bin"),
        packages=("onnx", "openvino"),
        calibrated=False,
        write=_write_openvino,
    ),
    "int8": ExportFormat(
        title="OpenVINO, int8",
        file=f"{_IR}_int8.xml",
        files=(f"{_IR}_int8.xml", f"{_IR}_int8.bin"),
        packages=("onnx", "openvino", "nncf"),
        calibrated=True,
        write=_write_int8,
    ),
}


def check_packages(names: Sequence[str]) -> None:
    """Check that what writes and runs the formats is installed.

    Raises:
        ConfigError: a package is missing.
    """
    needed = dict.fromkeys(package for name in names for package in FORMATS[name].packages)
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"Exporting {', '.join(names)} needs {', '.join(missing)}: "
            "pip install 'strip-defect-classifier[export]'"
        )
