"""`trainer/train.py` of which one process, or all and their launcher, get a signal in one step.

Run by torchrun, with STOP_STEP (backward passes are counted from 0), STOP_SIGNAL (a name) and
STOP_WHOM (`one` or `all`) in the environment.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from types import FrameType

import psutil
import torch
from accelerate import Accelerator

from trainer.cli.command import run_command
from trainer.runtime.interruption import StopRequest
from trainer.train import main

TIMEOUT_S = 60
STEP, SIGNAL = int(os.environ["STOP_STEP"]), signal.Signals[os.environ["STOP_SIGNAL"]]
ALL, RANK = os.environ["STOP_WHOM"] == "all", int(os.environ["RANK"])

backward, handle = Accelerator.backward, StopRequest._handle
steps = itertools.count()
arrived: list[int] = []


def _counted(request: StopRequest, number: int, frame: FrameType | None) -> None:
    arrived.append(number)
    handle(request, number, frame)


def _signaled(accelerator: Accelerator, loss: torch.Tensor) -> None:
    if next(steps) == STEP:
        if ALL and RANK == 0:
            launcher = psutil.Process(os.getppid())
            for process in [*launcher.children(), launcher]:
                process.send_signal(SIGNAL)
            # One from here, one that the launcher passes on.
            _wait_for(2)
        elif not ALL and RANK == 1:
            os.kill(os.getpid(), SIGNAL)
            _wait_for(1)
    backward(accelerator, loss)


def _wait_for(signals: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while len(arrived) < signals:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(arrived)} of {signals} signals arrived.")
        time.sleep(0.01)


if __name__ == "__main__":
    Accelerator.backward = _signaled
    StopRequest._handle = _counted  # type: ignore[method-assign, assignment]
    sys.exit(run_command(main))
