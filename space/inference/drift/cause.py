"""The likeliest cause of a drift: which corruption shifts images as these are shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Floats
from .baseline import ImageReference, Signature

# Between the severities that were measured; 0 is a healthy image.
STEP = 0.25
# A smaller share of the shift is explained by chance.
LEAST_EXPLAINED = 0.5
# A corruption that explains almost as much is named, too.
ALMOST = 0.1
MOST_NAMED = 2


@dataclass(frozen=True)
class Cause:
    """A corruption that explains a shift.

    Attributes:
        name: of the corruption.
        place: of the severity, counted from 1, the weakest.
        severity: the same in the corruption's unit.
        unit: of the severity.
        check: what to check.
        explained: share of the squared shift, at most 1.
    """

    name: str
    place: int
    severity: float
    unit: str
    check: str
    explained: float

    @property
    def words(self) -> str:
        """Name and severity."""
        name = self.name if self.name.isupper() else self.name.lower()
        return f"{name}, about severity {self.place} ({self.severity:g} {self.unit})"


def likeliest_causes(reference: ImageReference, mean: Floats) -> list[Cause]:
    """Return the corruptions whose shift is near that of a batch, the nearest first.

    Args:
        reference: of the model.
        mean: of the batch's image statistics, [statistic].

    Returns:
        none if no corruption explains the shift; more than one if they explain it almost equally.
    """
    whitening = reference.whitening()
    shift = (mean - np.asarray(reference.mean)) @ whitening
    found = [_fitted(signature, whitening, shift) for signature in reference.signatures]
    found.sort(key=lambda cause: -cause.explained)
    near = max([LEAST_EXPLAINED, *(cause.explained - ALMOST for cause in found[:1])])
    return [cause for cause in found if cause.explained >= near]


def described(causes: Sequence[Cause]) -> str:
    """Return the causes in a sentence, with what to check."""
    if not causes:
        return "No known fault of light, lens or sensor explains it."
    names = " or ".join(cause.words for cause in causes[:MOST_NAMED])
    return f"The images look like {names}: check {causes[0].check}."


def _fitted(signature: Signature, whitening: Floats, shift: Floats) -> Cause:
    """Return a corruption at the severity that explains a whitened shift best."""
    known = np.vstack([0 * shift, np.asarray(signature.shifts) @ whitening])
    places = np.arange(STEP, len(known) - 1 + STEP / 2, STEP)
    below = np.minimum(places.astype(int), len(known) - 2)
    expected = known[below] + (places - below)[:, None] * (known[below + 1] - known[below])
    rest = np.square(shift - expected).sum(axis=1) / max(float(shift @ shift), 1e-12)
    best = int(rest.argmin())
    nearest = max(1, round(float(places[best])))
    return Cause(
        name=signature.name,
        place=nearest,
        severity=signature.severities[nearest - 1],
        unit=signature.unit,
        check=signature.check,
        explained=1 - float(rest[best]),
    )
