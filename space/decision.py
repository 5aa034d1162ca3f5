"""From a network's outputs to something one can act on: probabilities, candidates, a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file

# In a Space on the Hub this folder is the root, and its modules are siblings.
if TYPE_CHECKING or __package__:
    from space.texture import KnownTextures
else:
    from texture import KnownTextures

RULES_FILE = "decision.json"
TEXTURES_FILE = "decision.safetensors"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        probabilities: of each class, in the model's order; they add up to 1.
        candidates: the classes that it may be at the published coverage, the likeliest first;
            empty where the model was published without that.
        verdict: what to do: take the likeliest class; let a person choose; or neither, because
            the image shows no surface that the model knows.
        strangeness: how far the image lies from all that was trained on; above 1 it is unknown.
            None where the model was published without that.
    """

    probabilities: dict[str, float]
    candidates: tuple[str, ...] = ()
    verdict: Literal["class", "unsure", "unknown"] = "class"
    strangeness: float | None = None

    @property
    def label(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda label: self.probabilities[label])

    @property
    def confidence(self) -> float:
        """Probability of the most probable class."""
        return self.probabilities[self.label]

    @property
    def between(self) -> tuple[str, ...]:
        """The classes that a person should choose from: the candidates, but two at least."""
        ranked = sorted(self.probabilities, key=lambda label: -self.probabilities[label])
        return tuple(ranked[: max(2, len(self.candidates))])


class Part(BaseModel):
    """Base of what `decision.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Costs(Part):
    """What each outcome costs, in any one unit."""

    missed: float = Field(ge=0, description="a defect that is not called by its name")
    false_alarm: float = Field(ge=0, description="a defect is named that is not there")
    look: float = Field(ge=0, description="a person looks at the image")
    no_defect: str | None = Field(description="the class that means that there is no defect")

    def matrix(self, labels: Sequence[str]) -> torch.Tensor:
        """Return the cost of an answer, [true class, named class].

        Where both are defects, the true one is missed and the other a false alarm.
        """
        defect = torch.tensor([label != self.no_defect for label in labels], dtype=torch.float64)
        cost = self.missed * defect[:, None] + self.false_alarm * defect[None, :]
        return cost.fill_diagonal_(0)


class Rules(Part):
    """The numbers of a decision."""

    labels: list[str]
    temperature: float = Field(gt=0, description="logits are divided by it")
    coverage: float = Field(gt=0, lt=1, description="share of sets that hold the true class")
    least_probability: float = Field(ge=0, le=1, description="of a class in the set")
    costs: Costs
    strangeness_limit: float | None = Field(gt=0, description="beyond it, an image is unknown")


@dataclass(frozen=True)
class Decision:
    """The rules by which outputs become a verdict, and what the known surfaces look like."""

    rules: Rules
    textures: KnownTextures | None

    def judge(self, logits: torch.Tensor, described: Sequence[torch.Tensor]) -> list[Prediction]:
        """Return what to say of each image.

        Args:
            logits: of the network, [image, class].
            described: textures, by stage; see `KnownTextures.strangeness`.
        """
        strangeness = self.textures.strangeness(described) if self.textures else None
        return self.conclude(logits, strangeness)

    def conclude(self, logits: torch.Tensor, strangeness: torch.Tensor | None) -> list[Prediction]:
        """Return what to say of each image, given how strange it is to `textures`, [image]."""
        rules = self.rules
        probabilities = (logits.double() / rules.temperature).softmax(dim=1)
        named = probabilities.argmax(dim=1, keepdim=True)
        risk = (probabilities @ rules.costs.matrix(rules.labels)).gather(1, named)[:, 0]
        relative: list[float | None] = [None] * len(logits)
        if strangeness is not None and rules.strangeness_limit is not None:
            relative = (strangeness / rules.strangeness_limit).tolist()
        return [
            self._prediction(row, expected_cost > rules.costs.look, strange)
            for row, expected_cost, strange in zip(
                probabilities.tolist(), risk.tolist(), relative, strict=True
            )
        ]

    def _prediction(self, row: list[float], unsure: bool, strange: float | None) -> Prediction:
        probabilities = dict(zip(self.rules.labels, row, strict=True))
        ranked = sorted(probabilities, key=lambda label: -probabilities[label])
        # The likeliest class is a candidate in any case: an empty set would help nobody.
        candidates = [
            label
            for rank, label in enumerate(ranked)
            if rank == 0 or probabilities[label] >= self.rules.least_probability
        ]
        verdict: Literal["class", "unsure", "unknown"] = "unsure" if unsure else "class"
        if strange is not None and strange > 1:
            verdict = "unknown"
        return Prediction(probabilities, tuple(candidates), verdict, strange)

    def write(self, folder: Path) -> None:
        """Write the decision into a published folder."""
        text = self.rules.model_dump_json(indent=2)
        (folder / RULES_FILE).write_text(text + "\n", encoding="utf-8")
        if self.textures is not None:
            tensors = {n: t.float().contiguous() for n, t in self.textures.tensors().items()}
            save_file(tensors, folder / TEXTURES_FILE)

    @classmethod
    def read(cls, folder: Path, labels: list[str]) -> Decision | None:
        """Read what `write` wrote; None if the folder was published without a decision.

        Raises:
            ValueError: it is damaged, or that of another model.
        """
        if not (folder / RULES_FILE).is_file():
            return None
        rules = Rules.model_validate_json((folder / RULES_FILE).read_bytes())
        if rules.labels != labels:
            raise ValueError(f"{RULES_FILE} is that of a model with the classes {rules.labels}")
        if rules.strangeness_limit is None:
            return cls(rules, None)
        textures = KnownTextures.from_tensors(load_file(folder / TEXTURES_FILE))
        return cls(rules, textures)
