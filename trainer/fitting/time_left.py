"""The remaining time of a run, estimated from its own steps, and advice to make it shorter."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.inputs.corruptions import CORRUPTIONS
from trainer.monitoring.progress import duration

# The mean speed is that of the last epochs: other programs may start or stop using the cores.
RECENT_EPOCHS = 3
# A training step is a forward pass, and a backward pass of twice the work.
FORWARD_SHARE = 1 / 3
LONG_RUN_S = 3600
# Fewer steps, or less time, would say little about the speed.
TIMED_STEPS, TIMED_S = 3, 10.0
SMALL_IMAGE_PX = 128
SMALL_MODEL, SMALL_MODEL_PARAMETERS = "convnext_atto.d2_in1k", 3_400_000


@dataclass(frozen=True)
class Workload:
    """The size of a run.

    Attributes:
        train_images: in each epoch.
        validation_images: in each epoch.
        tested_images: approximate number of passes of an image through the finished network.
        side_px: of the network's input.
        views: augmented views of each image if a head alone were trained.
        trainings_after: further trainings of the same size, each with its tests.
    """

    train_images: int
    validation_images: int
    tested_images: int
    side_px: int
    views: int = 0
    trainings_after: int = 0


@dataclass
class TimeLeft:
    """Estimates the remaining time of a run.

    Attributes:
        work: the size of the run.
        epochs: of this training.
        test_image_s: seconds of a pass through the finished network; None: as long as in
            validation.
    """

    work: Workload
    epochs: int
    test_image_s: float | None = None
    _epochs_done: int = 0
    _images_done: int = 0
    # The timed steps of the current epoch, their images, and the start of the first one.
    _steps: int = -1
    _images: int = 0
    _start_s: float = 0.0
    _now_s: float = 0.0
    _train_s: list[float] = field(default_factory=list)
    _validation_s: list[float] = field(default_factory=list)

    def start_epoch(self, epochs_done: int, images_done: int = 0) -> None:
        """Start an epoch; some of its images may have been used before a stop."""
        self._epochs_done, self._images_done = epochs_done, images_done
        self._steps, self._images = -1, 0

    def step(self, images: int, now_s: float) -> None:
        """Record the end of a step; the first step warms up and is not timed."""
        self._images_done += images
        self._steps += 1
        self._now_s = now_s
        if self._steps == 0:
            self._start_s = now_s
        else:
            self._images += images

    def end_epoch(self, train_s: float, validation_s: float) -> None:
        """Record the seconds of training and validation."""
        self._train_s.append(train_s / self.work.train_images)
        self._validation_s.append(validation_s / self.work.validation_images)
        self._epochs_done += 1
        self._images_done = 0

    @property
    def certain(self) -> bool:
        """Whether the measurements suffice to warn of a long run."""
        return self._steps >= TIMED_STEPS and self._now_s - self._start_s > TIMED_S

    @property
    def train_image_s(self) -> float | None:
        """Seconds per image in training; None before anything is timed."""
        if self._train_s:
            return _mean_of_recent(self._train_s)
        return (self._now_s - self._start_s) / self._images if self._images else None

    @property
    def validation_image_s(self) -> float | None:
        """Seconds per image in validation, estimated before the first validation."""
        if self._validation_s:
            return _mean_of_recent(self._validation_s)
        return FORWARD_SHARE * self.train_image_s if self.train_image_s else None

    @property
    def run_s(self) -> float | None:
        """Remaining seconds of the run; None before anything is timed."""
        train_s, validation_image_s = self.train_image_s, self.validation_image_s
        if train_s is None or validation_image_s is None:
            return None
        work = self.work
        epoch_s = work.train_images * train_s + work.validation_images * validation_image_s
        tests_s = work.tested_images * (self.test_image_s or validation_image_s)
        rest_s = (self.epochs - self._epochs_done) * epoch_s - self._images_done * train_s + tests_s
        return rest_s + work.trainings_after * (self.epochs * epoch_s + tests_s)


def _mean_of_recent(values: list[float]) -> float:
    recent = values[-RECENT_EPOCHS:]
    return sum(recent) / len(recent)


def tested_images(images: dict[str, int], reference_images: int, robustness_images: int) -> int:
    """Return the approximate number of passes through the network in the tests.

    Args:
        images: their number in each split.
        reference_images: wanted of the training split, see `DecisionConfig`.
        robustness_images: wanted of the test split, see `ChecksConfig`.
    """
    reference = min(reference_images, images["train"])
    kinds = sum(len(kind.severities) for kind in CORRUPTIONS)
    corrupted = min(robustness_images, images["test"])
    return reference + images["validation"] + images["test"] + (1 + kinds) * corrupted


def advice(left: TimeLeft, parameters: int) -> str | None:
    """Return a warning if the run takes over an hour on a CPU, with settings that shorten it.

    Args:
        left: the size and speed of the run.
        parameters: of the network.
    """
    run_s, train_s, validation_image_s = left.run_s, left.train_image_s, left.validation_image_s
    if run_s is None or train_s is None or validation_image_s is None or run_s <= LONG_RUN_S:
        return None
    work = left.work
    trainings = 1 + work.trainings_after
    tests_s = work.tested_images * validation_image_s
    once = (1 + work.views) * work.train_images + work.validation_images
    rows = [("--tune head", f"about {duration(trainings * (once * validation_image_s + tests_s))}")]
    if work.side_px > SMALL_IMAGE_PX:
        small_s = run_s * (SMALL_IMAGE_PX / work.side_px) ** 2
        rows.append((f"--image-size {SMALL_IMAGE_PX}", f"about {duration(small_s)}"))
    epoch_s = work.train_images * train_s + work.validation_images * validation_image_s
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
