"""Facts of the checks after training.

Each field has a template of its name in `model_card/sections/`, in this order, and an entry of its
name in `trainer.evaluation.checks.post_training.CHECKS`.
"""

from __future__ import annotations

from pydantic import Field

from model_card.schema.base import Schema
from model_card.schema.localization import BoxedMistakes, Localization
from model_card.schema.robustness import Robustness


class Checks(Schema):
    """Facts of the checks; of all folds in a cross-validation."""

    robustness: Robustness | None = Field(default=None, description="None: not tested")
    localization: Localization | None = Field(
        default=None, description="None: there are no boxes, or the network exposes no stages"
    )
    boxed_mistakes: BoxedMistakes | None = Field(
        default=None, description="None: there are no boxes"
    )
