"""OpenVINO as the engine: for x86 processors."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..core.arrays import Pixels
from ..core.classifier import Observation
from .names import Precision, output_names
from .openvino_library import fold_constants, openvino, the_core

TITLES: dict[Precision, str] = {
    "f32": "float32",
    "mixed": "bfloat16, first layers float32",
    "bf16": "bfloat16",
}
# What "mixed" leaves in float32: the first quarter of the layers with weights. They see the raw
# image, and all later layers and the novelty stages inherit their rounding.
LAYERS = ("Convolution", "GroupConvolution", "MatMul")
FLOAT_SHARE = 0.25
# Images in one inference, the largest number first. A network that is compiled for a fixed number
# is up to a third faster than for any, and needs its weights once more.
BATCHES = (4, 1)
# Inferences that are started before the first one is awaited. Several run at the same time, each on
# its own cores: unlike threads that share the layers of one inference, they never wait for each
# other, not even while a core decodes images.
STARTED = 4


class OpenVINOEngine:
    """Runs a converted graph on the processor.

    The graph is compiled for each number of `BATCHES` when it is needed.

    Args:
        model: an `openvino.Model`, or the bytes of ONNX.
        stages: whose statistics are outputs.
        threads: the most to use; None leaves the choice to OpenVINO.
        precision: "bf16" and "mixed" allow bfloat16 where the processor has it.
        at_once: threads that may run a single image each at the same time.

    Raises:
        RuntimeError: OpenVINO can't read or compile the model.
    """

    # The cores that have nothing more to do for one begin with the next.
    batches_at_once = 2

    def __init__(
        self,
        model: Any,
        stages: Sequence[int],
        threads: int | None = None,
        precision: Precision = "f32",
        at_once: int = 1,
    ) -> None:
        used = precision if has_bf16() else "f32"
        self._settings: dict[str, str | int] = {
            "INFERENCE_PRECISION_HINT": "f32" if used == "f32" else "bf16"
        }
        self._mixed = used == "mixed"
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        self._model = the_core().read_model(model) if isinstance(model, bytes) else model
        self._names = output_names(stages)
        self._at_once = at_once
        # Those of a number of images that no thread uses.
        self._idle: dict[int, queue.LifoQueue[_Network]] = {}
        self._lock = threading.Lock()
        version = openvino.__version__.partition("-")[0]
        self.name = f"OpenVINO {version}, {TITLES[used]}"
        # Not every network can be compiled in mixed precision; this shows at once.
        for images in BATCHES if self._mixed else (1,):
            self._networks(images)

    def run(self, pixels: Pixels) -> Observation:
        """Run the network on pixels of its input size, [image, row, column, 3]."""
        seen, at = [], 0
        for size in BATCHES:
            end = at + (len(pixels) - at) // size * size
            if end > at:
                with self._network(size) as network:
                    seen += network.infer(pixels[at:end])
            at = end
        logits, *statistics = (np.concatenate(each) for each in zip(*seen, strict=True))
        return Observation(logits, statistics)

    @contextmanager
    def _network(self, images: int) -> Iterator[_Network]:
        """Yield a network that no other thread uses."""
        idle = self._networks(images)
        network = idle.get()
        try:
            yield network
        finally:
            idle.put(network)

    def _networks(self, images: int) -> queue.LifoQueue[_Network]:
        with self._lock:
            if images not in self._idle:
                self._idle[images] = self._compiled(images)
            return self._idle[images]

    def _compiled(self, images: int) -> queue.LifoQueue[_Network]:
        fixed = self._model.clone()
        fixed.reshape([images, *list(fixed.input(0).partial_shape)[1:]])
        if self._mixed:
            fixed = _with_first_layers_in_float(fixed)
        # Two threads of one inference wait for each other: on busy cores they take twice the time
        # of two inferences.
        hints: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": self._at_once}
        if images > 1:
            hints = {"PERFORMANCE_HINT": "THROUGHPUT", "PERFORMANCE_HINT_NUM_REQUESTS": STARTED}
        compiled = the_core().compile_model(fixed, "CPU", self._settings | hints)
        networks: queue.LifoQueue[_Network] = queue.LifoQueue()
        for _ in range(self._at_once if images == 1 else self.batches_at_once):
            networks.put(_Network(compiled, self._names, images))
        return networks


class _Network:
    """A network that is compiled for a fixed number of images."""

    def __init__(self, compiled: Any, names: Sequence[str], images: int) -> None:
        self._images = images
        self._outputs = [compiled.output(name) for name in names]
        self._requests = [
            compiled.create_infer_request() for _ in range(STARTED if images > 1 else 1)
        ]

    def infer(self, pixels: Pixels) -> list[list[Any]]:
        """Return the outputs of each inference; the images are a multiple of its number."""
        idle, running, found = deque(self._requests), deque[Any](), []
        try:
            for first in range(0, len(pixels), self._images):
                if not idle:
                    idle.append(running.popleft())
                    found.append(self._awaited(idle[-1]))
                request = idle.popleft()
                request.start_async([pixels[first : first + self._images]], share_inputs=True)
                running.append(request)
            while running:
                found.append(self._awaited(running.popleft()))
        finally:
            # After an error: they read the pixels.
            for request in running:
                request.cancel()
        return found

    def _awaited(self, request: Any) -> list[Any]:
        request.wait()
        # Copies: the next inference writes into the same memory.
        return [request.get_tensor(output).data.copy() for output in self._outputs]


def _with_first_layers_in_float(model: Any) -> Any:
    """Return a network whose first layers stay in float32 when it is compiled for bf16.

    OpenVINO has a mark for such layers, which can be set only in the text of a saved network.

    Args:
        model: with a fixed number of images; it is changed.
    """
    # Moves padding into the convolutions, as compiling would: that makes a layer without the mark.
    fold_constants(model)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        # Written by the line above.
        root = ElementTree.parse(file).getroot()  # noqa: S314
        layers = [each for each in root.iter("layer") if each.get("type") in LAYERS]
        for layer in layers[: max(1, round(FLOAT_SHARE * len(layers)))]:
            marks = ElementTree.Element("rt_info")
            ElementTree.SubElement(marks, "attribute", name="precise", version="0")
            for old in layer.findall("rt_info"):
                marks.extend(old)
                layer.remove(old)
            # Behind the element with the settings of the layer.
            layer.insert(1, marks)
        weights = file.with_suffix(".bin").read_bytes()
        return the_core().read_model(ElementTree.tostring(root), weights)


def has_bf16() -> bool:
    """Return whether OpenVINO computes in bfloat16 on this machine."""
    return "BF16" in the_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
