"""Fewer threads while other programs take processor cores.

The threads of a training step wait for each other hundreds of times, and oneDNN's threads spin
meanwhile. A thread that shares its core with another program makes all others wait, so that one
busy core of two costs half of the speed (`python -m benchmarks.spinning`).
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

import psutil
import torch
from accelerate import Accelerator

from trainer.runtime.system import core_count

# Short disturbances change nothing: results depend, in their last digits, on the number of threads.
WINDOW_S = 3.0
LOWER_AFTER, RAISE_AFTER = 2, 4
# Other programs must leave this share of a core before another thread uses it.
CLEARLY_FREE = 0.75


@dataclass(frozen=True)
class CoreUse:
    """Processor seconds so far.

    Attributes:
        now_s: time of a monotonic clock.
        all_s: of all programs, on the cores that this process may use.
        own_s: of this process and its children.
    """

    now_s: float
    all_s: float
    own_s: float


def read_core_use() -> CoreUse:
    """Read the clocks of the cores and of this process."""
    process = psutil.Process()
    cores = psutil.cpu_times(percpu=True)
    usable = process.cpu_affinity() if hasattr(process, "cpu_affinity") else range(len(cores))
    used = [cores[core] for core in usable or () if core < len(cores)]
    own_s = sum(os.times()[:4])
    for child in process.children(recursive=True):
        try:
            own_s += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            # It ended meanwhile; `os.times` counts it from now on.
            continue
    return CoreUse(
        now_s=time.monotonic(),
        all_s=sum(core.user + core.system + getattr(core, "nice", 0.0) for core in used),
        own_s=own_s,
    )


class FreeCores:
    """Chooses the number of threads by the cores that other programs leave free.

    It is never below half of the most: beside many busy programs each thread gets its share.

    Args:
        most: threads on a quiet machine.
        cores: that this process may use.

    Attributes:
        threads: the number now.
        taken: cores that other programs used in the last window.
    """

    def __init__(self, most: int, cores: int) -> None:
        self.most, self.cores, self.threads = most, cores, most
        self.taken = 0.0
        self._start: CoreUse | None = None
        self._low = self._high = 0

    def due(self, now_s: float) -> bool:
        """Return whether a window has passed."""
        return self._start is None or now_s - self._start.now_s >= WINDOW_S

    def update(self, use: CoreUse) -> bool:
        """End a window; return whether the number of threads changed."""
        start, self._start = self._start, use
        if start is None:
            return False
        others_s = (use.all_s - start.all_s) - (use.own_s - start.own_s)
        self.taken = max(0.0, others_s / (use.now_s - start.now_s))
        free = self.cores - self.taken
        least = math.ceil(self.most / 2)
        fitting = min(self.most, max(least, math.floor(free + 0.5)))
        self._low = self._low + 1 if fitting < self.threads else 0
        roomy = self.threads < self.most and free >= self.threads + CLEARLY_FREE
        self._high = self._high + 1 if roomy else 0
        if self._low >= LOWER_AFTER:
            self.threads, self._low = fitting, 0
        elif self._high >= RAISE_AFTER:
            self.threads, self._high = max(self.threads + 1, fitting), 0
        else:
            return False
        return True


class ThreadLimit:
    """Sets PyTorch's number of threads during a training on a CPU.

    A number that the user chose by OMP_NUM_THREADS stays, and so do those of several processes
    and of compiled networks, whose code has a fixed number.

    Args:
        accelerator: the device and the processes.
        compiled: whether the network is compiled.
    """

    # The warning appears once in a process, however many trainings it runs.
    reported = False

    def __init__(self, accelerator: Accelerator, *, compiled: bool = False) -> None:
        most = torch.get_num_threads()
        follows = (
            accelerator.device.type == "cpu"
            and accelerator.num_processes == 1
            and not compiled
            and most > 1
            and "OMP_NUM_THREADS" not in os.environ
        )
        self.free = FreeCores(most, core_count()) if follows else None

    def step(self, now_s: float) -> str | None:
        """Record the end of a step at a time of `time.monotonic`.

        Returns:
            a warning, when the number of threads is lowered for the first time.
        """
        free = self.free
        if free is None or not free.due(now_s) or not free.update(read_core_use()):
            return None
        torch.set_num_threads(free.threads)
        if free.threads == free.most or ThreadLimit.reported:
            return None
        ThreadLimit.reported = True
        return (
            f"Other programs use {free.taken:.1f} of {free.cores} cores: until they end, "
            f"{free.threads} instead of {free.most} threads compute, which is faster. The weights "
            "may differ in their last digits from those of an undisturbed run; "
            f"OMP_NUM_THREADS={free.most} keeps the number of threads."
        )

    def end(self) -> None:
        """Restore the number of threads."""
        if self.free is not None:
            torch.set_num_threads(self.free.most)
