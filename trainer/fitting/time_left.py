"""How long a run will still take, from the speed of its own steps; and what makes it shorter."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.config.settings import TrainConfig
from trainer.data.splits.dataset import Images
from trainer.inputs.corruptions import CORRUPTIONS
from trainer.monitoring.progress import duration

# Epochs whose mean speed counts: another program may take cores, or give them back.
RECENT_EPOCHS = 3
# A training step is a forward pass and a backward pass of twice the work.
FORWARD_SHARE = 1 / 3
LONG_RUN_S = 3600
# Fewer steps, or less time, would say little about the speed.
TIMED_STEPS, TIMED_S = 3, 10.0
SMALL_IMAGE_PX = 128
SMALL_MODEL, SMALL_MODEL_PARAMETERS = "convnext_atto.d2_in1k", 3_400_000


@dataclass
class TimeLeft:
    """Estimates the rest of a run.

    Attributes:
        epochs: of this training.
        train_images: in each epoch.
        validation_images: looked at after each epoch.
        tested_images: passes of an image through the finished network, about.
        trainings_after: further trainings of the same size, each with its tests.
        test_image_s: seconds that such a pass takes; None: as long as in validation.
    """

    epochs: int
    train_images: int
    validation_images: int
    tested_images: int
    trainings_after: int = 0
    test_image_s: float | None = None
    _epochs_done: int = 0
    _images_done: int = 0
    # Steps of the epoch under way that were timed, their images, and when the first one began.
    _steps: int = -1
    _images: int = 0
    _begun_s: float = 0.0
    _now_s: float = 0.0
    _train_s: list[float] = field(default_factory=list)
    _validation_s: list[float] = field(default_factory=list)

    def start_epoch(self, epochs_done: int, images_done: int = 0) -> None:
        """Begin an epoch, some images of which may have been trained on before a stop."""
        self._epochs_done, self._images_done = epochs_done, images_done
        self._steps, self._images = -1, 0

    def step(self, images: int, now_s: float) -> None:
        """Note that a step on so many images ended; the first one warms up and is not timed."""
        self._images_done += images
        self._steps += 1
        self._now_s = now_s
        if self._steps == 0:
            self._begun_s = now_s
        else:
            self._images += images

    def end_epoch(self, train_s: float, validation_s: float) -> None:
        """Note the seconds that training and validation took."""
        self._train_s.append(train_s / self.train_images)
        self._validation_s.append(validation_s / self.validation_images)
        self._epochs_done += 1
        self._images_done = 0

    @property
    def certain(self) -> bool:
        """Whether enough was measured to warn of a long run."""
        return self._steps >= TIMED_STEPS and self._now_s - self._begun_s > TIMED_S

    @property
    def train_image_s(self) -> float | None:
        """Seconds that an image takes in training; None before anything was timed."""
        if self._train_s:
            return _mean_of_recent(self._train_s)
        return (self._now_s - self._begun_s) / self._images if self._images else None

    @property
    def look_s(self) -> float | None:
        """Seconds that an image takes in validation, estimated before the first one."""
        if self._validation_s:
            return _mean_of_recent(self._validation_s)
        return FORWARD_SHARE * self.train_image_s if self.train_image_s else None

    @property
    def run_s(self) -> float | None:
        """Seconds that the run will still take; None before anything was timed."""
        train_s, look_s = self.train_image_s, self.look_s
        if train_s is None or look_s is None:
            return None
        epoch_s = self.train_images * train_s + self.validation_images * look_s
        tests_s = self.tested_images * (self.test_image_s or look_s)
        rest_s = (self.epochs - self._epochs_done) * epoch_s - self._images_done * train_s + tests_s
        return rest_s + self.trainings_after * (self.epochs * epoch_s + tests_s)


def _mean_of_recent(values: list[float]) -> float:
    recent = values[-RECENT_EPOCHS:]
    return sum(recent) / len(recent)


def tested_images(config: TrainConfig, images: Images) -> int:
    """Return about how many passes of an image through the network the tests take."""
    test = len(images.parts["test"])
    known = min(config.decision.reference_images, len(images.parts["train"]))
    kinds = sum(len(kind.severities) for kind in CORRUPTIONS)
    corrupted = min(config.checks.robustness_images, test)
    return known + len(images.parts["validation"]) + test + (1 + kinds) * corrupted


def advice(left: TimeLeft, config: TrainConfig, parameters: int) -> str | None:
    """Return a warning if the run takes over an hour on a processor, with what makes it shorter.

    Args:
        left: what the run consists of, and its speed.
        config: its settings.
        parameters: of the network.
    """
    run_s, train_s, look_s = left.run_s, left.train_image_s, left.look_s
    if run_s is None or train_s is None or look_s is None or run_s <= LONG_RUN_S:
        return None
    trainings = 1 + left.trainings_after
    tests_s = left.tested_images * look_s
    once = (1 + config.recipe.views) * left.train_images + left.validation_images
    rows = [("--tune head", f"about {duration(trainings * (once * look_s + tests_s))}")]
    if config.model.image_size > SMALL_IMAGE_PX:
        small_s = run_s * (SMALL_IMAGE_PX / config.model.image_size) ** 2
        rows.append((f"--image-size {SMALL_IMAGE_PX}", f"about {duration(small_s)}"))
    epoch_s = left.train_images * train_s + left.validation_images * look_s
    epochs = int((LONG_RUN_S / trainings - tests_s) / epoch_s)
    if 1 <= epochs < left.epochs:
        epochs_s = trainings * (epochs * epoch_s + tests_s)
        rows.append((f"--epochs {epochs}", f"about {duration(epochs_s)}"))
    if parameters > 2 * SMALL_MODEL_PARAMETERS:
        size = f"{SMALL_MODEL_PARAMETERS / 1e6:.1f} instead of {parameters / 1e6:.0f} million"
        rows.append((f"--model {SMALL_MODEL}", f"{size} parameters"))
    width = max(len(flag) for flag, _ in rows)
    return "\n".join(
        [
            f"WARNING: on this processor the run takes about {duration(run_s)}.",
            "Ctrl-C stops it. A GPU is faster, and so is a new run with any of these:",
            *(f"  {flag:{width}}  {gain}" for flag, gain in rows),
        ]
    )
