"""All settings of a run: frozen, checked when built, saved beside the run as `config.json`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path, PureWindowsPath
from typing import Annotated, Literal

import tyro
from pydantic import ConfigDict, TypeAdapter, ValidationError

from model_card.licenses import LICENSES, suggested_license
from trainer.config.option_types import File, Folder, RepoId, Text
from trainer.errors import ConfigError
from trainer.runtime.files import replaced_whole
from trainer.text.names import printable

CONFIG_FILE = "config.json"
# A file with other keys is the `config.json` of something else.
_STRICT = ConfigDict(extra="forbid")
# They do not affect a run's result and can be corrected after it is finished.
FACTS = ("--license", "--publish-images")


@dataclass(frozen=True)
class DataConfig:
    """Images and how they are split."""

    __pydantic_config__ = _STRICT

    data_dir: Text = None
    """Folder of class folders, with or without train/ and test/, or a Hub dataset id."""
    class_from_name: bool = False
    """Images are in no class folders; file names begin with the class, as in Cr_1.bmp."""
    label_column: Text = None
    """Column of the classes, in a Hub dataset or in metadata.csv beside the images."""
    image_column: Text = None
    """Column of the images in a Hub dataset."""
    stream_images: int = 0
    """Stream at most this many images of each split of a Hub dataset; 0 downloads all."""
    test_fraction: float = 0.2
    """Share of each class for the test split, if the data have none."""
    validation_fraction: float = 0.1
    """Share of each training class for the validation split, if the data have none."""
    split_file: File = None
    """CSV with the columns file and split that sets the split, such as a run's split.csv."""
    resplit: bool = False
    """Join the data's splits and split again, with no surface on both sides."""
    random_split: bool = False
    """Split at random, even if images show the same surface; the scores will be too high."""
    folds: int = 0
    """Number of cross-validation folds, so that each image is tested once; 0 disables it."""
    skip_bad_images: bool = False
    """Skip files that can't be read as images, and list them, instead of stopping."""
    publish_images: bool = False
    """Publish example images of the test split; drawn images are always published."""


@dataclass(frozen=True)
class ModelConfig:
    """The network and its initial weights."""

    __pydantic_config__ = _STRICT

    model: str = "convnext_base.fb_in22k_ft_in1k"
    """Name of a timm model, with the tag of its pretrained weights."""
    pretrained: bool = True
    """Start from pretrained weights from the Hub; otherwise from random weights."""
    weights: File = None
    """Start from this safetensors file instead of the weights on the Hub."""
    tune: Literal["all", "head"] = "all"
    """Train all layers, or only the linear head on a frozen backbone."""
    image_size: int = 224
    """Side length of the network's input in pixels, 32 to 2048."""
    tile: bool = False
    """Cut long images into squares and combine the outputs; N squares cost as much as N images."""
    drop_path: float = 0.0
    """Stochastic depth rate, for networks that support it."""
    layer_scale: float = 0.0
    """Initial ConvNeXt layer scale, with --no-pretrained; 0 uses the network's default."""
    license: Text = None
    """License id for the card, such as apache-2.0; default: the license of the weights."""


@dataclass(frozen=True)
class RecipeConfig:
    """The training recipe."""

    __pydantic_config__ = _STRICT

    preset: Literal["reference", "recommended", "from-scratch"] = "reference"
    """Recipe that sets the defaults of this group; other options override it."""
    epochs: int = 50
    """Number of passes over the training images."""
    batch_size: int = 16
    """Images per batch, over all processes."""
    accumulate: int = 1
    """Number of batches to accumulate gradients over before a step; saves memory."""
    lr: float = 1e-4
    """Peak learning rate of AdamW; 0: 1e-3 for batch normalization or a head, else 1e-4."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW; biases and norms are exempt."""
    search_decay: bool = True
    """With --tune head: try this weight decay, 100 and 1,000 times it, and use the best."""
    layer_decay: float = 1.0
    """Factor of the learning rate from each layer to the layer before it; 1 disables it."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning-rate schedule after warm-up."""
    warmup_epochs: int = 0
    """Epochs in which the learning rate rises from near zero."""
    label_smoothing: float = 0.0
    """Label smoothing: share of each target that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weight the loss by the inverse frequency of the classes."""
    early_stopping: int = 0
    """Stop after this many epochs without a better validation result; 0 disables it."""
    keep: Literal["best", "last"] = "best"
    """Publish the epoch with the best validation result, or the last one."""
    ema_decay: float = 0.0
    """Decay per step of the weights' moving average, which is published; 0 disables it."""
    clip_grad: float = 0.0
    """Largest norm of the gradient; 0 disables clipping."""
    rotation: float = 45.0
    """Augmentation: random rotation by up to this angle in degrees, in both directions."""
    shear: float = 5.0
    """Augmentation: random shear by up to this angle in degrees, in x and y."""
    translation: float = 0.1
    """Augmentation: random shift by up to this share of the side."""
    zoom: float = 0.0
    """Augmentation: random zoom, in or out, by up to this share."""
    flip: bool = True
    """Augmentation: random horizontal and vertical flips."""
    brightness: float = 0.0
    """Augmentation: random brightness, up to this share of the full range."""
    contrast: float = 0.0
    """Augmentation: random contrast, up to this share more or less."""
    plain_epochs: int = 0
    """Augmentation: last epochs without rotation, shear, shift and zoom."""
    corrupt: float = 0.0
    """Augmentation: share of images with corruptions of light, lens, resolution or sensor."""
    mixup: float = 0.0
    """Augmentation: parameter of MixUp's beta distribution; 0 disables it."""
    cutmix: float = 0.0
    """Augmentation: parameter of CutMix's beta distribution; 0 disables it."""
    views: int = 0
    """With --tune head: augmented views of each training image, in addition to the image."""


PRESETS = {
    "reference": RecipeConfig(),
    "recommended": RecipeConfig(
        preset="recommended",
        keep="last",
        epochs=16,
        lr=0,
        schedule="cosine",
        warmup_epochs=1,
        contrast=0.8,
        brightness=0.3,
        plain_epochs=5,
        corrupt=0.1,
    ),
    "from-scratch": RecipeConfig(
        preset="from-scratch",
        keep="last",
        epochs=100,
        lr=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warmup_epochs=5,
        label_smoothing=0.1,
        ema_decay=0.998,
        clip_grad=1.0,
        contrast=0.8,
        brightness=0.3,
    ),
}


@dataclass(frozen=True)
class RunConfig:
    """The run and the machine."""

    __pydantic_config__ = _STRICT

    run_dir: Folder = None
    """Folder of the run; default: a new one under runs/."""
    resume: bool = False
    """Resume the run in --run-dir, with its own settings."""
    seed: int = 0
    """Seed of split, weights, order and augmentation."""
    workers: int = 0
    """Processes that load images; 0 loads in the main process, the best choice on a CPU."""
    cache_dir: Folder = None
    """Cache of overlap searches and backbone features; default: the user's cache folder."""
    compile: bool = False
    """Compile the network: takes a minute or more, then steps are faster, mainly on a GPU."""
    find_batch_size: bool = False
    """Find the largest batch that fits into GPU memory; the effective batch size is the same."""
    log_with: Literal["none", "tensorboard", "trackio"] = "none"
    """Write curves for TensorBoard or trackio, on this machine only."""
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Precision; auto uses bf16 if the processor or GPU supports it natively."""


@dataclass(frozen=True)
class DecisionConfig:
    """When an answer is accepted, reviewed by a person, or rejected as unknown."""

    __pydantic_config__ = _STRICT

    coverage: float = 0.95
    """Share of prediction sets that should contain the true class."""
    max_rejected: float = 0.02
    """Largest share of in-distribution images that may be rejected as unknown."""
    reference_images: int = 2000
    """Training images used to fit the novelty detector; 0 disables rejection."""
    cost_missed: float = 20.0
    """Cost of a missed or misnamed defect, in the same unit as the other two costs."""
    cost_false_alarm: float = 2.0
    """Cost of a defect named where there is none."""
    cost_review: float = 1.0
    """Cost of a review by a person."""
    no_defect: Text = None
    """Name of the class of images without a defect, if there is one."""
    ood_dir: Folder = None
    """Folder of images of none of the classes, to measure the share that is rejected."""

    @property
    def costs(self) -> tuple[float, float, float]:
        """Costs of a missed defect, a false alarm and a review."""
        return self.cost_missed, self.cost_false_alarm, self.cost_review


@dataclass(frozen=True)
class ChecksConfig:
    """Further tests of the finished model."""

    __pydantic_config__ = _STRICT

    boxes: Folder = None
    """Folder of Pascal VOC files, <stem>.xml for <stem>.jpg, to evaluate the heatmaps."""
    robustness_images: int = 120
    """Test images for the robustness check, 55 passes each; 0 skips it."""


@dataclass(frozen=True)
class Setting:
    """One option with its value."""

    flag: str
    value: object
    default: object

    def __str__(self) -> str:
        return _text(self.value)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `trainer/train.py`.

    Raises:
        ConfigError: one message that lists all invalid settings.
    """

    __pydantic_config__ = _STRICT

    data: Annotated[DataConfig, tyro.conf.arg(name="data")] = field(default_factory=DataConfig)
    model: Annotated[ModelConfig, tyro.conf.arg(name="network")] = field(
        default_factory=ModelConfig
    )
    recipe: Annotated[RecipeConfig, tyro.conf.arg(name="training")] = field(
        default_factory=RecipeConfig
    )
    decision: Annotated[DecisionConfig, tyro.conf.arg(name="decision")] = field(
        default_factory=DecisionConfig
    )
    checks: Annotated[ChecksConfig, tyro.conf.arg(name="test")] = field(
        default_factory=ChecksConfig
    )
    run: Annotated[RunConfig, tyro.conf.arg(name="run")] = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        problems = [message for bad, message in self._rules() if bad]
        if problems:
            count = f"{len(problems)} settings" if len(problems) > 1 else "A setting"
            raise ConfigError(f"{count} can't work:\n" + "\n".join(f"  {p}" for p in problems))

    def _rules(self) -> list[tuple[bool, str]]:
        data, model, recipe, run = self.data, self.model, self.recipe, self.run
        decision = self.decision
        return [
            (not 0 < data.test_fraction < 1, "--test-fraction must be between 0 and 1"),
            (
                not 0 < data.validation_fraction < 1,
                "--validation-fraction must be between 0 and 1",
            ),
            (
                data.split_file is not None and (data.resplit or data.random_split),
                "--split-file excludes --resplit and --random-split",
            ),
            (
                data.split_file is not None and bool(data.folds),
                "--split-file and --folds exclude each other: folds make their own splits",
            ),
            (data.folds < 0 or data.folds == 1, "--folds must be at least 2"),
            (
                not 32 <= model.image_size <= 2048,
                "--image-size must be at least 32 and at most 2048 pixels",
            ),
            (not 0 <= model.drop_path < 1, "--drop-path must be at least 0 and below 1"),
            (not 0 <= model.layer_scale <= 1000, "--layer-scale must be in [0, 1000]"),
            (
                model.layer_scale > 0 and model.pretrained,
                "--layer-scale needs --no-pretrained: pretrained weights have their own",
            ),
            (
                model.weights is not None and not model.pretrained,
                "--weights and --no-pretrained exclude each other",
            ),
            *_license_rule(model.license),
            (
                model.tile and recipe.mixup + recipe.cutmix > 0,
                "--tile excludes --mixup and --cutmix: images of several tiles can't be mixed",
            ),
            (
                model.tile and run.compile,
                "--tile excludes --compile: the number of tiles changes from batch to batch",
            ),
            (not 1 <= recipe.epochs <= 100_000, "--epochs must be in [1, 100000]"),
            (not 1 <= recipe.batch_size <= 65_536, "--batch-size must be in [1, 65536]"),
            (not 1 <= recipe.accumulate <= 65_536, "--accumulate must be in [1, 65536]"),
            (not 0 <= recipe.lr < float("inf"), "--lr must be at least 0"),
            (not 0 <= recipe.weight_decay < float("inf"), "--weight-decay must be at least 0"),
            (not 0 < recipe.layer_decay <= 1, "--layer-decay must be above 0 and at most 1"),
            (
                not 0 <= recipe.warmup_epochs < max(recipe.epochs, 1),
                "--warmup-epochs must be at least 0 and fewer than --epochs",
            ),
            (not 0 <= recipe.label_smoothing < 1, "--label-smoothing must be in [0, 1)"),
            (recipe.early_stopping < 0, "--early-stopping must be at least 0"),
            (not 0 <= recipe.ema_decay < 1, "--ema-decay must be in [0, 1)"),
            (not 0 <= recipe.clip_grad < float("inf"), "--clip-grad must be at least 0"),
            (not 0 <= recipe.rotation <= 180, "--rotation must be in [0, 180] degrees"),
            (not 0 <= recipe.shear < 90, "--shear must be in [0, 90) degrees"),
            (not 0 <= recipe.translation < 1, "--translation must be in [0, 1)"),
            (not 0 <= recipe.zoom <= 4, "--zoom must be in [0, 4]"),
            (recipe.plain_epochs < 0, "--plain-epochs must be at least 0"),
            (not 0 <= recipe.brightness < 1, "--brightness must be in [0, 1)"),
            (not 0 <= recipe.contrast <= 4, "--contrast must be in [0, 4]"),
            (not 0 <= recipe.corrupt <= 1, "--corrupt must be in [0, 1]"),
            (not 0 <= recipe.mixup < float("inf"), "--mixup must be at least 0"),
            (not 0 <= recipe.cutmix < float("inf"), "--cutmix must be at least 0"),
            (
                model.tune == "head" and recipe.mixup + recipe.cutmix > 0,
                "--mixup and --cutmix need --tune all: with --tune head, images are used only once",
            ),
            (
                model.tune == "head" and recipe.layer_decay != 1,
                "--layer-decay needs --tune all: with --tune head, one layer is trained",
            ),
            (
                model.tune == "head" and (run.compile or run.find_batch_size),
                "--compile and --find-batch-size need --tune all: a head alone is small",
            ),
            (not 0 <= recipe.views <= 100, "--views must be in [0, 100]"),
            (
                recipe.views > 0 and model.tune == "all",
                "--views needs --tune head: with --tune all, each epoch draws its own views",
            ),
            (not 0 < decision.coverage < 1, "--coverage must be between 0 and 1"),
            (not 0 < decision.max_rejected < 1, "--max-rejected must be between 0 and 1"),
            (decision.reference_images < 0, "--reference-images must be at least 0"),
            (
                not all(
                    0 <= cost < float("inf")
                    for cost in (
                        decision.cost_missed,
                        decision.cost_false_alarm,
                        decision.cost_review,
                    )
                ),
                "--cost-missed, --cost-false-alarm and --cost-review must be at least 0",
            ),
            (self.checks.robustness_images < 0, "--robustness-images must be at least 0"),
            (not 0 <= run.seed < 2**31, "--seed must be at least 0 and below 2^31"),
            (not 0 <= run.workers <= 256, "--workers must be in [0, 256]"),
            (run.resume and run.run_dir is None, "--resume needs --run-dir"),
        ]

    def settings(self) -> list[Setting]:
        """Return each setting with its value, in the order of `--help`."""
        groups = (self.data, self.model, self.recipe, self.decision, self.checks, self.run)
        return [
            Setting(f"--{item.name.replace('_', '-')}", getattr(group, item.name), item.default)
            for group in groups
            for item in fields(group)
        ]

    def flags(self) -> list[tuple[str, str, str]]:
        """Return (flag, value, default) of each setting, as text, in the order of `--help`."""
        return [(item.flag, str(item), _text(item.default)) for item in self.settings()]

    def command(self) -> str:
        """Return the command line that starts a run with these settings."""
        words = ["python trainer/train.py"]
        preset = TrainConfig(recipe=PRESETS[self.recipe.preset]).settings()
        for item, start in zip(self.settings(), preset, strict=True):
            same = item.value == (item.default if item.flag == "--preset" else start.value)
            if same or item.flag in ("--resume", "--run-dir"):
                continue
            if isinstance(item.value, bool):
                words.append(item.flag if item.value else item.flag.replace("--", "--no-", 1))
            else:
                words.append(f"{item.flag} {shlex.quote(str(item))}")
        return " ".join(words)

    def write(self, run_dir: Path) -> None:
        """Save the resolved settings as `config.json` in `run_dir`, whole or not at all."""
        with replaced_whole(run_dir / CONFIG_FILE) as partial:
            partial.write_bytes(_JSON.dump_json(self, indent=2) + b"\n")

    @classmethod
    def read(cls, run_dir: Path) -> TrainConfig:
        """Read the settings that `write` saved.

        Raises:
            ConfigError: the file is missing, or was written by another version of this program.
        """
        file = run_dir / CONFIG_FILE
        try:
            # Reading a pipe would block.
            if file.exists() and not file.is_file():
                raise ConfigError(f"{file} is not a regular file. Remove it.")
            return _JSON.validate_json(file.read_bytes())
        except FileNotFoundError as error:
            raise ConfigError(
                f"{run_dir} has no run: there is no {CONFIG_FILE}. Start one without --resume."
            ) from error
        except OSError as error:
            raise ConfigError(f"{file} can't be read: {error.strerror}.") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"{file} has no settings of this program: {where or 'the file'}: {first['msg']}. "
                "Start a new run in another folder."
            ) from error


@dataclass(frozen=True)
class HubConfig:
    """Where the model goes on the Hugging Face Hub."""

    repo_id: RepoId = None
    """USER/NAME of the model on the Hub; without it, nothing is uploaded."""
    space_id: RepoId = None
    """USER/NAME of a Space that serves the model, to upload as well."""
    private: bool = False
    """Make new repositories private."""


@dataclass(frozen=True)
class PushConfig:
    """Settings of `trainer/push.py`: the repositories, and the training if there is no run yet.

    Raises:
        ConfigError: a Space is set without a model.
    """

    hub: Annotated[HubConfig, tyro.conf.arg(name="publishing")] = field(default_factory=HubConfig)
    train: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if self.hub.space_id and not self.hub.repo_id:
            raise ConfigError("--space-id needs --repo-id: a Space serves a model from the Hub")
        for flag, name in (("--repo-id", self.hub.repo_id), ("--space-id", self.hub.space_id)):
            address = _HUB_ADDRESS.match(name or "")
            if address:
                raise ConfigError(
                    f"{flag} takes a name, not an address: write {flag} "
                    f"{printable(address[1]) if address[1] else 'USER/NAME'}"
                )


_JSON = TypeAdapter(TrainConfig)
# The second group matches the rest of the URL: /tree/main, .git, …
_HUB_ADDRESS = re.compile(
    r"(?:[a-z]+://[^/]*/?|(?:www\.)?(?:huggingface\.co|hf\.co)/)"
    r"(?:(?:models|spaces|datasets)/)?([\w.-]+/[\w.-]+?)?(?:\.git|[/?#].*)?$",
    re.IGNORECASE,
)


def _license_rule(license_id: str | None) -> list[tuple[bool, str]]:
    if license_id is None or license_id in LICENSES:
        return []
    meant = suggested_license(license_id)
    hint = f": did you mean {meant}?" if meant else ", such as apache-2.0, mit or other"
    return [(True, f"--license {printable(license_id)} is not a license id of the Hub{hint}")]


def _text(value: object) -> str:
    """Format a setting as on the command line.

    Only the last component of an absolute or upward path is shown: these texts are published, and
    the folders of the machine are private.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if str(value).startswith(("/", "..", "~")) or "\\" in str(value):
        return PureWindowsPath(str(value)).name
    return str(value)
