"""The groups of settings beside the recipe: each option with its bounds and its help."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from trainer.config.option_types import STRICT, File, Folder, Formats, Text, Texts


@dataclass(frozen=True)
class SourceConfig:
    """Images and their classes."""

    __pydantic_config__ = STRICT

    data_dir: Texts = ()
    """Folder of class folders, with or without train/ and test/, or a Hub dataset; repeatable."""
    class_map: File = None
    """CSV of the columns name and class, perhaps source; an empty class leaves images out."""
    class_from_name: bool = False
    """Images are in no class folders; file names begin with the class, as in Cr_1.bmp."""
    label_column: Text = None
    """Column of the classes, in a Hub dataset or in metadata.csv beside the images."""
    image_column: Text = None
    """Column of the images in a Hub dataset."""
    stream_images: Annotated[int, Field(ge=0)] = 0
    """Stream at most this many images of each split of a Hub dataset; 0 downloads all."""

    def sources(self) -> dict[str, Any]:
        """Return these settings by name, without those that a subclass adds."""
        return {item.name: getattr(self, item.name) for item in fields(SourceConfig)}


@dataclass(frozen=True)
class DataConfig(SourceConfig):
    """Images and how they are split."""

    train_on: Texts = ()
    """Train on this source only (its name) and test on all; repeatable."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class for the test split, if the data have none."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of each training class for the validation split, if the data have none."""
    split_file: File = None
    """CSV with the columns file and split that sets the split, such as a run's split.csv."""
    resplit: bool = False
    """Join the data's splits and split again, with no surface on both sides."""
    random_split: bool = False
    """Split at random, even if images show the same surface; the scores will be too high."""
    folds: Annotated[int, Field(ge=0)] = 0
    """Number of cross-validation folds, so that each image is tested once; 0 disables it."""
    feedback: Folder = None
    """Folder of a web page's corrections; their images join the training split only."""
    multi_label: bool = False
    """Name all defects of an image, of boxes beside it or in --boxes, not only its class."""
    defects: File = None
    """With --multi-label: CSV with the columns file and classes, as in A; B, instead of boxes."""
    skip_bad_images: bool = False
    """Skip files that can't be read as images, and list them, instead of stopping."""
    publish_images: bool = False
    """Publish example images of the test split; drawn images are always published."""


@dataclass(frozen=True)
class ModelConfig:
    """The network and its initial weights."""

    __pydantic_config__ = STRICT

    model: str = "convnext_base.fb_in22k_ft_in1k"
    """Name of a timm model, with the tag of its pretrained weights."""
    pretrained: bool = True
    """Start from pretrained weights from the Hub; otherwise from random weights."""
    weights: File = None
    """Start from this safetensors file instead of the weights on the Hub."""
    tune: Literal["all", "head"] = "all"
    """Train all layers, or only the linear head on a frozen backbone."""
    image_size: Annotated[int, Field(ge=32, le=2048)] = 224
    """Side length of the network's input in pixels, 32 to 2048."""
    tile: bool = False
    """Cut long images into squares and combine the outputs; N squares cost as much as N images."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Stochastic depth rate, for networks that support it."""
    layer_scale: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Initial ConvNeXt layer scale, with --no-pretrained; 0 uses the network's default."""
    license: Text = None
    """License id for the card, such as apache-2.0; default: the license of the weights."""


@dataclass(frozen=True)
class RunConfig:
    """The run and the machine."""

    __pydantic_config__ = STRICT

    run_dir: Folder = None
    """Folder of the run; default: a new one under runs/."""
    resume: bool = False
    """Resume the run in --run-dir, with its own settings."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of split, weights, order and augmentation."""
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    """Processes that load images; 0 loads in the main process, the best choice on a CPU."""
    cache_dir: Folder = None
    """Cache of overlap searches and backbone features; default: the user's cache folder."""
    compile: bool = False
    """Compile the network, which takes a minute; long GPU trainings compile it unasked."""
    graphs: bool = True
    """On a GPU, record steps as CUDA graphs if the first ones equal plain steps."""
    find_batch_size: bool = False
    """Find the largest batch that fits into GPU memory; the effective batch size is the same."""
    log_with: Literal["none", "tensorboard", "trackio"] = "none"
    """Write curves for TensorBoard or trackio, on this machine only."""
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Precision; auto uses bf16 if the processor or GPU supports it natively."""


@dataclass(frozen=True)
class DecisionConfig:
    """When an answer is accepted, reviewed by a person, or rejected as unknown."""

    __pydantic_config__ = STRICT

    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of prediction sets that should contain the true class."""
    max_rejected: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """Largest share of in-distribution images that may be rejected as unknown."""
    reference_images: Annotated[int, Field(ge=0)] = 2000
    """Training images used to fit the novelty detector; 0 disables rejection."""
    cost_missed: Annotated[float, Field(ge=0)] = 20.0
    """Cost of a missed or misnamed defect, in the same unit as the other two costs."""
    cost_false_alarm: Annotated[float, Field(ge=0)] = 2.0
    """Cost of a defect named where there is none."""
    cost_review: Annotated[float, Field(ge=0)] = 1.0
    """Cost of a review by a person."""
    max_missed: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """With --multi-label: share of defects that may be ruled out, on average over surfaces."""
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

    __pydantic_config__ = STRICT

    boxes: Folder = None
    """Folder of Pascal VOC files, <stem>.xml for <stem>.jpg, to evaluate the heatmaps."""
    robustness_images: Annotated[int, Field(ge=0)] = 120
    """Test images for the robustness check, 55 passes each; 0 skips it."""


@dataclass(frozen=True)
class ExportConfig:
    """Files for machines without PyTorch, tested and published beside the weights."""

    __pydantic_config__ = STRICT

    export: Formats = ()
    """Export these formats: onnx, openvino, int8; a format that fails its test is left out."""
