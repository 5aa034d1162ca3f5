"""Load a published classifier and predict images: the same code for evaluation and demo.

PyTorch takes seconds to import, and building a network takes more. Both happen when the network
itself is needed: by PyTorch as the engine, to convert it for another one, or for heatmaps.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .core.arrays import Floats
from .core.classifier import Classifier, Engine, Facts, Observation
from .core.decision import Prediction
from .core.errors import ModelError, shortened
from .core.model_id import CONFIG_FILE, split_model_id
from .core.preprocessing import Preprocessing
from .decision_file import DETECTOR_FILE, RULES_FILE, load_decision
from .drift.baseline import BASELINE_FILE
from .engines.choice import choose_engine
from .engines.conversion import Conversion, Converted, compared_pixels
from .engines.gpu import has_gpu
from .engines.names import EngineName
from .images.reader import ImageError, read_image
from .model_config import WEIGHTS_FILE, read_config
from .model_folder import ModelFolder
from .passport import REPORT_FILE, proven_precision

if TYPE_CHECKING:
    import torch

    from .engines.graph import PixelGraph
    from .engines.pytorch import PyTorchEngine

__all__ = [
    "ImageError",
    "ModelError",
    "Observation",
    "Prediction",
    "Predictor",
    "find_model_folder",
    "read_image",
]

logger = logging.getLogger(__name__)

# All that determines an answer.
MODEL_FILES = (WEIGHTS_FILE, CONFIG_FILE, RULES_FILE, DETECTOR_FILE)
PUBLISHED_FILES = [*MODEL_FILES, BASELINE_FILE, REPORT_FILE, "figures/*", "examples/*"]


def find_model_folder(model_id: str) -> Path:
    """Return the published folder that `hf-hub:user/name[@revision]` or `local-dir:path` names.

    Raises:
        ModelError: the id has neither form, or the download failed.
    """
    kind, place = split_model_id(model_id)
    if kind == "local-dir":
        return Path(place).expanduser()
    # It takes a while to import, and a local model needs none of it.
    from huggingface_hub import snapshot_download

    repo_id, _, revision = place.partition("@")
    try:
        path = snapshot_download(repo_id, revision=revision or None, allow_patterns=PUBLISHED_FILES)
    # The client raises errors of three libraries here; the advice is the same for all.
    except Exception as error:
        raise ModelError(
            f"The model {shortened(repo_id, 200)} could not be downloaded from the Hub: "
            f"{shortened(error)}\n"
            "Check the name, the network and, for a private model, HF_TOKEN."
        ) from error
    return Path(path)


class Predictor(Classifier):
    """A published classifier, loaded from its folder.

    Args:
        folder: a published folder: `model.safetensors`, timm's `config.json` and, unless it was
            published without, `decision.json` and `decision.safetensors`.
        device: where PyTorch runs the network.
        engine: what predicts; see `engines.choice`. PyTorch is the reference.
        at_once: images that are predicted at the same time, in as many threads.

    Raises:
        ModelError: a file of the folder can't be used, an output is not a finite number, or the
            engine can't run the network.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device | str = "cpu",
        engine: EngineName = "pytorch",
        at_once: int = 1,
    ) -> None:
        self.folder = folder
        self._files = ModelFolder(folder)
        self._config = read_config(self._files)
        labels = list(self._config.label_names)
        decision = load_decision(folder, labels)
        multi_label = self._config.multi_label
        if decision is not None and (decision.rules.thresholds is not None) != multi_label:
            raise ModelError(
                f"{folder / CONFIG_FILE} says that the model names "
                f"{'several defects' if multi_label else 'one class'} of an image, but "
                f"{RULES_FILE} {'lacks' if multi_label else 'has'} thresholds for several. "
                "Publish the model again."
            )
        preprocessing = Preprocessing.from_timm(self._config.pretrained_cfg.model_dump())
        # The graph needs them, and the engine needs the graph.
        self.facts = Facts(
            str(folder),
            labels,
            preprocessing,
            self._config.bit_depth,
            self._config.tile,
            multi_label,
        )
        detector = decision and decision.detector
        self.stages = list(detector.stages) if detector else []
        self._device, self._at_once = str(device), at_once
        super().__init__(self.facts, decision, self.engine_for(engine, self.stages))
        self.try_out()

    @classmethod
    def load(cls, model_id: str, engine: EngineName = "auto", at_once: int = 1) -> Predictor:
        """Load what `hf-hub:user/name` or `local-dir:path` names, for the fastest engine.

        Raises:
            ModelError: as for `find_model_folder` and the class.
        """
        # The other engines run on the processor, and convert a network that is there.
        on_gpu = engine in ("auto", "pytorch") and has_gpu()
        device = "cuda" if on_gpu else "cpu"
        predictor = cls(find_model_folder(model_id), device, engine, at_once)
        if predictor.decision is None:
            logger.warning(
                "%s was published without %s: its confidence is not calibrated, and it rejects "
                "no image.",
                model_id,
                RULES_FILE,
            )
        return predictor

    @property
    def device(self) -> torch.device:
        """Where PyTorch runs the network."""
        import torch

        return torch.device(self._device)

    @cached_property
    def model(self) -> torch.nn.Module:
        """The network.

        Raises:
            ModelError: network and weights do not match, or the weights are damaged.
        """
        from .networks.network import load_network

        return load_network(self._files, self._config).to(self.device)

    @property
    def files(self) -> list[Path]:
        """The files that determine an answer."""
        return [self._files.file(name) for name in MODEL_FILES if self._files.has(name)]

    def observe(
        self, images: Sequence[Image.Image], stages: Sequence[int] | None = None
    ) -> Observation:
        """Run the network on RGB images, once for each tile.

        Args:
            images: from `read_image`.
            stages: those to compute statistics for, with PyTorch; by default those of the decision.

        Raises:
            ModelError: an output is not a finite number.
        """
        inputs = [self.prepare(image) for image in images]
        engine = None if stages is None else self._pytorch(self.graph(stages))
        return self.observe_prepared(inputs, engine)

    def logits(self, images: Sequence[Image.Image]) -> Floats:
        """Return the network's outputs for RGB images: float32, [image, class]."""
        return self.observe(images).logits

    def normalized(self, image: Image.Image) -> torch.Tensor:
        """Return the network's input for an RGB image: float32, [tile, 3, row, column]."""
        import torch

        from .engines.graph import normalized

        preprocessing = self.facts.preprocessing
        colors = (preprocessing.mean, preprocessing.std)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in colors)
        return normalized(torch.from_numpy(self.prepare(image)), mean, std)

    def graph(self, stages: Sequence[int]) -> PixelGraph:
        """Return the network from pixels to logits and the statistics of stages."""
        from .engines.graph import PixelGraph

        preprocessing = self.facts.preprocessing
        return PixelGraph(self.model, preprocessing.mean, preprocessing.std, stages)

    def _pytorch(self, graph: PixelGraph) -> PyTorchEngine:
        from .engines.pytorch import PyTorchEngine

        return PyTorchEngine(graph, self.device)

    def engine_for(self, name: EngineName, stages: Sequence[int]) -> Engine:
        """Return the engine of this name, which computes the statistics of these stages too.

        Args:
            name: "auto" takes the fastest.
            stages: of the network.

        Raises:
            ModelError: the engine is not installed, or can't run this network.
        """
        size_px = self.facts.preprocessing.size_px

        def pytorch() -> PyTorchEngine:
            return self._pytorch(self.graph(stages))

        def convert() -> Conversion:
            from .engines.graph import to_onnx

            engine = pytorch()
            expected = engine.run(compared_pixels(size_px))
            return Conversion(to_onnx(engine.graph, *size_px), expected)

        if name == "pytorch":
            return pytorch()
        sources = [self._files.file(WEIGHTS_FILE), self._files.file(CONFIG_FILE)]
        return choose_engine(
            name,
            Converted(sources, stages, size_px),
            pytorch,
            convert,
            gpu=self._device.startswith("cuda"),
            precision=proven_precision(self._files),
            at_once=self._at_once,
        )
