"""What an exported file says of itself, as text: enough to predict with the file alone."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ..core.arrays import Floats
from ..core.classifier import Facts
from ..core.decision import Decision, Rules
from ..core.errors import ModelError, listed, shortened
from ..core.novelty import MahalanobisDetector
from ..core.preprocessing import Preprocessing
from ..engines.names import PRECISIONS, Precision
from .self_test import SelfTest

Value = TypeVar("Value")

FORMAT_VERSION = 1
NAMES = (
    *("format_version", "model", "labels", "preprocessing", "bit_depth", "tile"),
    *("rules", "detector", "stages", "precision", "self_test"),
)
# Of one entry: the detector of a large network takes 8 MB.
MAX_TEXT = 64 * 2**20
MAX_LABELS = 10_000
MAX_SIDE_PX = 2048
BIT_DEPTHS = (8, 10, 12, 14, 16)
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
CROP_MODES = ("center", "squash", "border")


@dataclass(frozen=True)
class SourceModel:
    """The published model that a file was made from.

    Attributes:
        name: of the model, as its user named it.
        architecture: timm's name of the network.
        weights_sha256: of its `model.safetensors`.
    """

    name: str
    architecture: str
    weights_sha256: str


@dataclass(frozen=True)
class Metadata:
    """Everything that a file holds beside its graph.

    Attributes:
        model: the source of the file.
        facts: labels and preprocessing.
        decision: None for a model that was published without one.
        stages: of the network, whose statistics are outputs.
        precision: the lowest that decided alike; bf16 changes the decisions of some networks.
        self_test: None while the file is written; a file without one is refused.
    """

    model: SourceModel
    facts: Facts
    decision: Decision | None
    stages: list[int]
    precision: Precision = "f32"
    self_test: SelfTest | None = None

    def entries(self) -> dict[str, str]:
        """Return the entries by name, as text."""
        facts, decision = self.facts, self.decision
        detector = decision.detector if decision else None
        values = {
            "format_version": FORMAT_VERSION,
            "model": dataclasses.asdict(self.model),
            "labels": facts.labels,
            "preprocessing": dataclasses.asdict(facts.preprocessing),
            "bit_depth": facts.bit_depth,
            "tile": facts.tile,
            "rules": decision.rules.to_json() if decision else None,
            "detector": arrays_to_json(detector.arrays()) if detector else None,
            "stages": self.stages,
            "precision": self.precision,
            "self_test": self.self_test.to_json() if self.self_test else None,
        }
        return {name: json.dumps(value) for name, value in values.items()}


@dataclass(frozen=True)
class _Entries:
    """The texts of a file that may come from anywhere.

    Attributes:
        texts: by name.
        origin: of the file, for messages.
    """

    texts: Mapping[str, str]
    origin: str

    def check_names(self) -> None:
        """Check that the entries are those of this version.

        Raises:
            ModelError: there are none, others, or those of another version.
        """
        if not self.texts:
            raise ModelError(
                f"{self.origin} holds no description of a classifier: it was not written by this "
                "project. Export the model with trainer/export.py."
            )
        version = self.texts.get("format_version", "")
        if version != str(FORMAT_VERSION):
            raise ModelError(
                f"{self.origin} has version {shortened(version, 20)!r} of the format; this program "
                f"reads version {FORMAT_VERSION}. Export the model again, or update the program."
            )
        for problem, odd in (
            ("lacks the entry", set(NAMES) - self.texts.keys()),
            ("has the unknown entry", self.texts.keys() - set(NAMES)),
        ):
            if odd:
                raise ModelError(f"{self.origin} {problem} {listed(odd)}. Export the model again.")

    def read(self, name: str, convert: Callable[[Any], Value]) -> Value:
        """Return the value of an entry, converted and checked by a function.

        Raises:
            ModelError: it is too large or can't be converted; the message names it.
        """
        text = self.texts[name]
        try:
            if len(text) > MAX_TEXT:
                raise ValueError(f"it is longer than {MAX_TEXT // 2**20} MB")
            return convert(json.loads(text, parse_constant=_no_number))
        # Each is what unexpected JSON may raise; nested too deeply, a RecursionError.
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ModelError(
                f"{self.origin} can't be used: its entry {name} is wrong: "
                f"{shortened(error, 160)}. Export the model again."
            ) from error


def read_metadata(entries: Mapping[str, str], origin: str) -> Metadata:
    """Return the metadata of a file that may come from anywhere.

    Args:
        entries: of the file.
        origin: of the file, for messages.

    Raises:
        ModelError: an entry is missing, unknown, too large or out of bounds; the message names it.
    """
    given = _Entries(entries, origin)
    given.check_names()
    labels = given.read("labels", _labels)
    rules = given.read("rules", lambda value: None if value is None else Rules.from_json(value))
    facts = Facts(
        origin=origin,
        labels=labels,
        preprocessing=given.read("preprocessing", _preprocessing),
        bit_depth=given.read("bit_depth", _bit_depth),
        tile=given.read("tile", _boolean),
        multi_label=rules is not None and rules.thresholds is not None,
    )
    detector = given.read("detector", _detector)
    stages = given.read("stages", _stages)
    if rules is not None and rules.labels != labels:
        raise ModelError(f"{origin} has decision rules of other classes. Export the model again.")
    if (list(detector.stages) if detector else []) != stages:
        raise ModelError(f"{origin} lists other stages than its detector. Export the model again.")
    if (rules.novelty_limit if rules else None) is not None and detector is None:
        raise ModelError(f"{origin} has a limit of novelty, but no detector. Export it again.")
    return Metadata(
        model=given.read("model", lambda value: SourceModel(**_strings(value))),
        facts=facts,
        decision=Decision(rules, detector) if rules else None,
        stages=stages,
        precision=given.read("precision", _precision),
        self_test=given.read("self_test", SelfTest.from_json),
    )


def arrays_to_json(arrays: Mapping[str, Floats]) -> dict[str, Any]:
    """Return arrays as JSON: shapes, and float32 numbers in base64, lowest byte first."""
    return {
        name: {
            "shape": list(array.shape),
            "float32": base64.b64encode(array.astype("<f4").tobytes()).decode(),
        }
        for name, array in arrays.items()
    }


def arrays_from_json(value: Any) -> dict[str, Floats]:
    """Return what `arrays_to_json` described.

    Raises:
        ValueError: a shape does not fit its numbers, or a number is not finite.
    """
    return {str(name): _array(str(name), **fields) for name, fields in value.items()}


def _array(name: str, shape: list[int], float32: str) -> npt.NDArray[np.float32]:
    try:
        content = base64.b64decode(float32, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{shortened(name, 40)} is not base64") from error
    sizes = [size for size in shape if isinstance(size, int) and size >= 0]
    if len(sizes) != len(shape) or 4 * math.prod(sizes) != len(content):
        raise ValueError(f"{shortened(name, 40)} does not have the numbers of its shape")
    array = np.frombuffer(content, "<f4").astype(np.float32).reshape(sizes)
    if not np.isfinite(array).all():
        raise ValueError(f"{shortened(name, 40)} holds values that are not finite numbers")
    return array


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def _labels(value: Any) -> list[str]:
    fine = isinstance(value, list) and all(isinstance(each, str) and each for each in value)
    if not fine or not 1 <= len(value) <= MAX_LABELS or len(set(value)) != len(value):
        raise ValueError("it is no list of different names")
    return list(value)


def _bit_depth(value: Any) -> int:
    if value not in BIT_DEPTHS or isinstance(value, bool):
        raise ValueError(f"it is none of {', '.join(map(str, BIT_DEPTHS))}")
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it is neither true nor false")
    return value


def _precision(value: Any) -> Precision:
    if value not in PRECISIONS:
        raise ValueError(f"it is none of {', '.join(PRECISIONS)}")
    return cast(Precision, value)


def _strings(value: Any) -> dict[str, str]:
    if not all(isinstance(each, str) for each in value.values()):
        raise ValueError("a field is no text")
    return dict(value)


def _stages(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise ValueError("it is no list of numbers")
    return list(value)


def _detector(value: Any) -> MahalanobisDetector | None:
    return None if value is None else MahalanobisDetector.from_arrays(arrays_from_json(value))


def _preprocessing(value: Any) -> Preprocessing:
    found = Preprocessing.from_json(value)
    numbers = (*found.mean, *found.std, found.crop_pct)
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise ValueError("a number is none")
    sides = found.size_px
    bounded = all(type(side) is int and 16 <= side <= MAX_SIDE_PX for side in sides)
    fine = {
        "size_px": len(sides) == 2 and bounded,
        "interpolation": found.interpolation in INTERPOLATIONS,
        "crop_mode": found.crop_mode in CROP_MODES,
        "crop_pct": 0.1 < found.crop_pct <= 1,
        "mean": len(found.mean) == 3 and all(0 <= level <= 1 for level in found.mean),
        "std": len(found.std) == 3 and all(1e-3 <= spread <= 10 for spread in found.std),
    }
    wrong = [name for name, good in fine.items() if not good]
    if wrong:
        raise ValueError(f"{listed(wrong)} is out of bounds")
    return found
