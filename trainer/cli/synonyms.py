"""Names of our options in other training tools, for suggestions in messages."""

from __future__ import annotations

_NAMES = {
    "--accumulate": "gradient-accumulation-steps grad-accum-steps accum accumulate-grad-batches",
    "--batch-size": "batch bs b train-batch-size per-device-train-batch-size batchsize",
    "--boxes": "annotations annotation-dir xml-dir",
    "--clip-grad": "clip clip-grad-norm max-grad-norm gradient-clip-val gradient-clip",
    "--data-dir": (
        "data dataset dataset-dir dataset-path data-path data-root image-dir images img-dir "
        "input-dir root source train-dir train-data-dir dataset-name d"
    ),
    "--drop-path": "drop-path-rate stochastic-depth",
    "--early-stopping": "patience early-stopping-patience",
    "--ema-decay": "ema model-ema model-ema-decay",
    "--epochs": "num-epochs num-train-epochs max-epochs n-epochs e epoch",
    "--flip": "fliplr flipud hflip vflip horizontal-flip",
    "--folds": "k-fold kfold num-folds n-folds cv k n-splits",
    "--image-size": (
        "imgsz img-size img image-px input-size resolution size crop-size img-sz imagesize"
    ),
    "--label-smoothing": "smoothing label-smoothing-factor",
    "--license": "licence card-license",
    "--log-with": "report-to logger tensorboard log-wandb",
    "--lr": "learning-rate learningrate lr0 base-lr max-lr l-rate",
    "--mixed-precision": "amp fp16 bf16 precision half amp-dtype",
    "--model": (
        "arch architecture backbone net network model-name model-name-or-path encoder m model-id"
    ),
    "--no-defect": "normal normal-class good-class negative-class ok-class",
    "--no-pretrained": "from-scratch scratch random-weights no-weights",
    "--preset": "recipe config profile",
    "--repo-id": "hub-model-id repo repository model-repo hub-id push-to-hub repo-name",
    "--resume": "continue resume-from-checkpoint resume-training",
    "--rotation": "degrees rotate rotation-degrees",
    "--run-dir": (
        "output-dir output out out-dir save-dir project name experiment workdir work-dir log-dir "
        "o run results-dir result-dir"
    ),
    "--schedule": "sched scheduler lr-scheduler lr-scheduler-type lr-schedule",
    "--seed": "random-seed manual-seed random-state",
    "--skip-bad-images": "skip-bad skip-corrupt ignore-bad-images ignore-errors",
    "--space-id": "space space-repo space-name",
    "--split-file": "splits-file csv split-csv split",
    "--test-fraction": "test-split test-size test-ratio",
    "--translation": "translate shift",
    "--tune head": "freeze freeze-backbone linear-probe freeze-encoder head-only",
    "--validation-fraction": (
        "val-split validation-split val-size val-fraction val-ratio valid-fraction val-pct"
    ),
    "--warmup-epochs": "warmup warm-up warmup-steps lr-warmup-epochs num-warmup-steps",
    "--weight-decay": "wd decay l2",
    "--weights": (
        "checkpoint checkpoint-path initial-checkpoint pretrained-path weights-path ckpt "
        "weights-file model-path"
    ),
    "--workers": "num-workers dataloader-num-workers j n-workers threads",
    "--zoom": "scale",
}

SYNONYMS = {name: flag for flag, names in _NAMES.items() for name in names.split()}
