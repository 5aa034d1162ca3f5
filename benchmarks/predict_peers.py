"""The same folder predicted by predict.py and by peers: timm, transformers, Ultralytics.

Each runs from its own command line, at its defaults and with what may make it faster, and the time
is that of the whole command: start, model, decoding, scaling, network and table. None is compiled
by torch, which takes longer than the folder. timm and transformers run the same network, timm with
the same weights; Ultralytics has its own, `yolo11n-cls`, which is about as large as a lite0. Only
predict.py says whether an image shows a known surface.

Needs a checkout of https://github.com/huggingface/pytorch-image-models, whose script is in no
package, and a Python with transformers and, if it is to be measured, Ultralytics installed
(`pip install transformers ultralytics`, in an environment of its own).
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.contenders import Contender, Job, write_model
from benchmarks.measurement import Measurement, number_column, text_column, times_column
from benchmarks.predict_rate import folder_of_images
from benchmarks.program import ROOT, ProgramError, run
from benchmarks.random_model import LABELS, write_published
from space.inference.model_config import WEIGHTS_FILE
from space.inference.predictor import Predictor
from trainer.config.groups import RunConfig
from trainer.model.precision import choose_precision

OURS, TIMM, TRANSFORMERS, ULTRALYTICS = "predict.py", "timm", "transformers", "ultralytics"
TIMM_SCRIPT = "inference.py"
PEER_SCRIPT = ROOT / "benchmarks" / "peer_folder.py"
YOLO = "yolo11n-cls.yaml"


@dataclass(frozen=True)
class Settings:
    """Predict a folder of images with predict.py and with its peers."""

    timm_checkout: Path
    """Folder of a checkout of pytorch-image-models."""
    peers_python: Path = Path(sys.executable)
    """A Python that has transformers, and perhaps Ultralytics. Default: this one."""
    network: str = "tf_efficientnet_lite0"
    """timm's name."""
    side: int = 160
    """Side of the network's input in pixels."""
    images: int = 500
    """In the folder."""
    photographs: Path | None = None
    """A folder of photographs; default: drawn images."""
    batch_size: int = 16
    """Images in one forward pass, where it can be chosen."""
    json: Path | None = None
    """A file to write the table to, as docs/results/measurements holds them."""


def main(settings: Settings) -> None:
    """Print a row for each program and set of flags."""
    measurement = Measurement(
        [
            text_column("Program"),
            text_column("Flags"),
            number_column("Whole command", "{:.1f} s"),
            number_column("Images a second", "{:.1f}"),
            times_column("predict.py is"),
            number_column("Peak memory", "{:.2f} GB"),
        ],
        f"`{settings.network}` at {settings.side} px, {settings.images:,} "
        f"{'photographs' if settings.photographs else 'drawn images of 200 × 200 px'}, × "
        "against predict.py at its defaults",
        _versions(settings),
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        # Converted models of this benchmark are nobody's. It serves the programs, too.
        os.environ |= {"XDG_CACHE_HOME": str(place / "cache"), "YOLO_AUTOINSTALL": "false"}
        os.environ |= {"YOLO_CONFIG_DIR": str(place), "YOLO_OFFLINE": "true"}
        images = folder_of_images(place, settings.images, settings.photographs)
        fastest: float | None = None
        for contender in contenders(settings, images, place):
            flags = f"`{contender.flags}`" if contender.flags else "defaults"
            name = contender.program, flags
            print(f"{', '.join(name)} …", file=sys.stderr)
            try:
                done = run(contender.command, place)
            except ProgramError as error:
                print(error, file=sys.stderr)
                measurement.add(*name, _reason(contender, settings), None, None, None)
                continue
            fastest = fastest or done.seconds
            ratio = None if contender.program == OURS else done.seconds / fastest
            rate = settings.images / done.seconds
            measurement.add(*name, done.seconds, rate, ratio, done.memory_gb)
    measurement.write(settings.json)


def contenders(settings: Settings, images: Path, place: Path) -> Iterator[Contender]:
    """Yield the programs and their command lines; models are written where they are needed."""
    native = choose_precision(RunConfig()) == "bf16"
    for bf16 in (False, True) if native else (False,):
        folder = place / ("bf16" if bf16 else "f32")
        write_published(settings.network, settings.side, folder, bf16=bf16)
        # It is converted once in its life.
        Predictor.load(f"local-dir:{folder}", "auto")
        command: list[str | Path] = [sys.executable, ROOT / "trainer" / "predict.py", images]
        command += ["--model", f"local-dir:{folder}", "--output", place / f"{folder.name}.csv"]
        yield Contender(OURS, "with a passport in bf16" if bf16 else "", command)
    yield from _timms(settings, images, place, native=native)
    yield from _transformers(settings, images, place, native=native)
    script: list[str | Path] = [
        *(settings.peers_python.absolute(), PEER_SCRIPT, ULTRALYTICS, images, place / "yolo.csv"),
        *("--model", YOLO, "--side", str(settings.side)),
    ]
    batch = f"--batch-size {settings.batch_size}"
    for flags in ("", batch, f"{batch} --openvino"):
        yield Contender(ULTRALYTICS, flags, [*script, *shlex.split(flags)])


def _timms(settings: Settings, images: Path, place: Path, *, native: bool) -> Iterator[Contender]:
    command: list[str | Path] = [
        *(sys.executable, settings.timm_checkout.absolute() / TIMM_SCRIPT, images),
        *("--model", settings.network, "--checkpoint", place / "f32" / WEIGHTS_FILE),
        *("--num-classes", str(len(LABELS)), "--img-size", str(settings.side)),
        *("--crop-pct", "1.0", "--device", "cpu", "--no-console-results"),
        *("--results-dir", place / "timm"),
    ]
    batch = f"--batch-size {settings.batch_size} --channels-last"
    fast = f"{batch} --amp --amp-dtype bfloat16" if native else batch
    for flags in ("", batch, fast, f"{fast} --workers 1"):
        yield Contender(TIMM, flags, [*command, *shlex.split(flags)])


def _transformers(
    settings: Settings, images: Path, place: Path, *, native: bool
) -> Iterator[Contender]:
    wrapped = place / "wrapped"
    wrapped.mkdir()
    model = write_model(
        Job(settings.network, images, settings.side, settings.batch_size, epochs=0), wrapped
    )
    command: list[str | Path] = [
        *(settings.peers_python.absolute(), PEER_SCRIPT, TRANSFORMERS, images, wrapped / "out.csv"),
        *("--model", model, "--side", str(settings.side)),
    ]
    batch = f"--batch-size {settings.batch_size}"
    bf16 = " --dtype bfloat16" if native else ""
    for flags in ("", batch, batch + bf16):
        yield Contender(TRANSFORMERS, flags, [*command, *shlex.split(flags)])


def _versions(settings: Settings) -> dict[str, str]:
    return {
        name: version
        for name in (TRANSFORMERS, ULTRALYTICS)
        if (version := _version(name, settings.peers_python))
    }


def _version(package: str, python: Path) -> str:
    """Return the version of a package of another Python; nothing if it is not installed."""
    ask = f"import importlib.metadata as m, json; print(json.dumps(m.version({package!r})))"
    done = subprocess.run(
        [python.absolute(), "-c", ask], capture_output=True, text=True, check=False
    )
    return "" if done.returncode else str(json.loads(done.stdout))


def _reason(contender: Contender, settings: Settings) -> str:
    missing = contender.program in (TRANSFORMERS, ULTRALYTICS) and not _version(
        contender.program, settings.peers_python
    )
    return "not installed" if missing else "failed"


if __name__ == "__main__":
    main(tyro.cli(Settings))
