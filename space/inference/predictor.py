"""Load a published classifier and predict images: the same code for evaluation and demo."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from PIL import Image
from timm.data import resolve_model_data_config

from .core.arrays import Floats
from .core.classifier import Classifier, Facts, Observation
from .core.decision import Prediction
from .core.errors import ModelError, shortened
from .core.model_id import CONFIG_FILE, split_model_id
from .core.preprocessing import Preprocessing
from .decision_file import DETECTOR_FILE, RULES_FILE, load_decision
from .engines.choice import choose_engine
from .engines.graph import PixelGraph, normalized
from .engines.names import EngineName
from .engines.pytorch import PyTorchEngine
from .images.reader import ImageError, read_image
from .model_config import WEIGHTS_FILE, load_network, read_config
from .model_folder import ModelFolder

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

PUBLISHED_FILES = [
    WEIGHTS_FILE,
    CONFIG_FILE,
    RULES_FILE,
    DETECTOR_FILE,
    "report.json",
    "figures/*",
    "examples/*",
]


def find_model_folder(model_id: str) -> Path:
    """Return the published folder that `hf-hub:user/name[@revision]` or `local-dir:path` names.

    Raises:
        ModelError: the id has neither form, or the download failed.
    """
    kind, place = split_model_id(model_id)
    if kind == "local-dir":
        return Path(place).expanduser()
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
        engine: what predicts; see `engines.choice`. Training evaluates with PyTorch, the reference.

    Raises:
        ModelError: a file of the folder can't be used, an output is not a finite number, or the
            engine can't run the network.
    """

    def __init__(
        self, folder: Path, device: torch.device | str = "cpu", engine: EngineName = "pytorch"
    ) -> None:
        self.folder = folder
        self.device = torch.device(device)
        files = ModelFolder(folder)
        config = read_config(files)
        labels = list(config.label_names)
        decision = load_decision(folder, labels)
        self.model: torch.nn.Module = load_network(files, config).to(self.device)
        preprocessing = Preprocessing.from_timm(resolve_model_data_config(self.model))
        facts = Facts(str(folder), labels, preprocessing, config.bit_depth, config.tile)
        detector = decision and decision.detector
        self.stages = list(detector.stages) if detector else []
        super().__init__(facts, decision, self._pytorch(preprocessing, self.stages))
        self.try_out()
        if engine != "pytorch":
            sources = [files.file(WEIGHTS_FILE), files.file(CONFIG_FILE)]
            graph, size_px = self._graph(preprocessing, self.stages), preprocessing.size_px
            self.engine = choose_engine(engine, graph, size_px, sources, self.device)

    @classmethod
    def load(cls, model_id: str, engine: EngineName = "auto") -> Predictor:
        """Load what `hf-hub:user/name` or `local-dir:path` names, for the fastest engine.

        Raises:
            ModelError: as for `find_model_folder` and the class.
        """
        # The other engines run on the processor, and convert a network that is there.
        on_gpu = engine in ("auto", "pytorch") and torch.cuda.is_available()
        device = "cuda" if on_gpu else "cpu"
        predictor = cls(find_model_folder(model_id), device, engine)
        if predictor.decision is None:
            logger.warning(
                "%s was published without %s: its confidence is not calibrated, and it rejects "
                "no image.",
                model_id,
                RULES_FILE,
            )
        return predictor

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
        engine = None if stages is None else self._pytorch(self.facts.preprocessing, stages)
        return self.observe_prepared(inputs, engine)

    def logits(self, images: Sequence[Image.Image]) -> Floats:
        """Return the network's outputs for RGB images: float32, [image, class]."""
        return self.observe(images).logits

    def normalized(self, image: Image.Image) -> torch.Tensor:
        """Return the network's input for an RGB image: float32, [tile, 3, row, column]."""
        preprocessing = self.facts.preprocessing
        colors = (preprocessing.mean, preprocessing.std)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in colors)
        return normalized(torch.from_numpy(self.prepare(image)), mean, std)

    def _graph(self, preprocessing: Preprocessing, stages: Sequence[int]) -> PixelGraph:
        return PixelGraph(self.model, preprocessing.mean, preprocessing.std, stages)

    def _pytorch(self, preprocessing: Preprocessing, stages: Sequence[int]) -> PyTorchEngine:
        return PyTorchEngine(self._graph(preprocessing, stages), self.device)
