"""Whole training steps as CUDA graphs: one launch for a step instead of thousands.

With small batches a GPU waits for the processor to launch its kernels. A graph needs static shapes
and memory, so a step copies its batch and learning rates into buffers, and replays. The moving
average follows in a few launches: recorded, its weight would be a tensor, which takes a kernel for
each tensor of the network. The last, shorter batch of an epoch and batches of tiles take the plain
step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator

from trainer.fitting.step import DrawnBatch, TrainingStep
from trainer.inputs.loading import Batch
from trainer.model.compilation import compiled_blocks, repeated_blocks

logger = logging.getLogger(__name__)

# Steps that are taken both ways, on the first batch, before graphs are used.
PROOF_STEPS = 3
# Largest relative difference of the loss, by precision, and of the distance that weights moved.
LOSS_TOLERANCE = {"no": 1e-3, "bf16": 2e-2}
MOVE_TOLERANCE = 0.05

Replay = Callable[[], None]
Capture = Callable[[Callable[[], None]], Replay]


def capture_graph(work: Callable[[], None]) -> Replay:
    """Record the kernels of `work`, without running them; return what runs them."""
    graph = torch.cuda.CUDAGraph()
    # Threads that pin batches in memory may allocate meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    replay: Replay = graph.replay
    return replay


def graphs_fit(accelerator: Accelerator) -> bool:
    """Return whether the steps of a training can be recorded.

    Several processes exchange gradients in between, and the loss scale of fp16 is read by the
    processor in each step.
    """
    return (
        accelerator.device.type == "cuda"
        and accelerator.num_processes == 1
        and accelerator.mixed_precision in LOSS_TOLERANCE
    )


class GraphedSteps:
    """Takes training steps by replaying a graph, once its first steps proved equal.

    Args:
        step: the training step that is recorded.
        capture: records a function. Tests on a processor without a GPU return the function itself.
        compile_blocks: whether the repeated blocks of the network are compiled before.

    Attributes:
        usable: None before the proof, then its result.
    """

    def __init__(
        self,
        step: TrainingStep,
        capture: Capture = capture_graph,
        *,
        compile_blocks: bool = False,
    ) -> None:
        self.plain, self.capture = step, capture
        self.blocks = repeated_blocks(step.network) if compile_blocks else []
        self.usable: bool | None = None
        # Which images are corrupted, and how, changes the shapes of the work: it is not recorded.
        self.outside = bool(step.recipe.corrupt)
        self._replay: Replay | None = None

    def step(self, batches: Sequence[Batch], number: int) -> torch.Tensor:
        """Take one step; arguments and result are those of `TrainingStep.step`."""
        if self.usable is False or not self._full(batches):
            return self.plain.step(batches, number)
        self.plain.prepare_step(number)
        drawn = [self._drawn(batch) for batch in batches]
        if self.usable is None:
            self._allocate(drawn)
            self._fill(drawn)
            self.usable = self._prove()
            if not self.usable:
                self._replay = None
                totals = self.plain.descend(drawn, augmented=self.outside)
                self.plain.update_average(number)
                return totals
        self._fill(drawn)
        assert self._replay is not None  # noqa: S101 -- set by the proof
        self._replay()
        self.plain.update_average(number)
        return self.totals.clone()

    def _full(self, batches: Sequence[Batch]) -> bool:
        recipe = self.plain.recipe
        return len(batches) == recipe.accumulate and all(
            len(batch.targets) == recipe.batch_size and set(batch.counts) == {1}
            for batch in batches
        )

    def _drawn(self, batch: Batch) -> DrawnBatch:
        """Return what the graph starts from: pixels and draws, or augmented images."""
        drawn = self.plain.drawn(batch)
        if self.outside:
            return drawn._replace(inputs=self.plain.augment(batch.inputs))
        return drawn

    def _allocate(self, drawn: Sequence[DrawnBatch]) -> None:
        device = self.plain.accelerator.device
        self.buffers = [DrawnBatch(*(_like(each, device) for each in batch)) for batch in drawn]
        self.totals = torch.zeros(3, dtype=torch.float64, device=device)
        groups = self.plain.optimizer.param_groups
        self.rates = [torch.zeros((), device=device) for _ in groups]

    def _fill(self, drawn: Sequence[DrawnBatch]) -> None:
        """Copy everything that differs from step to step into the buffers."""
        for buffer, source in zip(self.buffers, drawn, strict=True):
            _copy(buffer, source)
        for rate, group in zip(self.rates, self.plain.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])

    def _whole_step(self) -> None:
        """The work of one step, from the buffers to the weights: this is recorded."""
        with self._static_rates():
            self.totals.copy_(self.plain.descend(self.buffers, augmented=self.outside))

    @contextmanager
    def _static_rates(self) -> Iterator[None]:
        """Let the optimizer read learning rates from the buffers."""
        groups = self.plain.optimizer.param_groups
        numbers = [group["lr"] for group in groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate
            group["capturable"] = rate.device.type == "cuda"
        try:
            yield
        finally:
            for group, number in zip(groups, numbers, strict=True):
                group["lr"] = number

    def _prove(self) -> bool:
        """Take the first steps both ways from the same state, which is restored; record between.

        Returns:
            whether the losses and the movement of the weights agree.
        """
        state = _Snapshot(self.plain)
        try:
            expected = self._trial(self._whole_step, state)
            self._replay = self._record(state)
            found = self._trial(self._replay, state)
        except RuntimeError as error:
            reason = self._undo(error, state)
            logger.warning(
                "WARNING: steps can't be recorded as CUDA graphs (%s). Training takes plain steps, "
                "which are slower; --no-graphs leaves this attempt out.",
                reason,
            )
            return False
        precision = self.plain.accelerator.mixed_precision
        tolerances = [LOSS_TOLERANCE[precision]] * PROOF_STEPS + [MOVE_TOLERANCE]
        agree = all(
            abs(one - other) <= tolerance * abs(one)
            for one, other, tolerance in zip(expected, found, tolerances, strict=True)
        )
        if not agree:
            logger.warning(
                "WARNING: recorded steps differ from plain ones (loss %s instead of %s, weights "
                "moved by %.3g instead of %.3g). Training takes plain steps, which are slower.",
                *(_listed(found), _listed(expected), found[-1], expected[-1]),
            )
        return agree

    def _record(self, state: _Snapshot) -> Replay:
        """Record the whole step, with compiled blocks if that is asked for and works."""
        if self.blocks:
            logger.info(
                "Compiling the blocks of the network: up to a minute, the first time only …"
            )
            try:
                with compiled_blocks(self.blocks):
                    self._trial(self._whole_step, state)
                    return self.capture(self._whole_step)
            # The compiler needs other programs, and a folder for its kernels.
            except (RuntimeError, OSError) as error:
                reason = self._undo(error, state)
                logger.warning(
                    "WARNING: blocks of the network can't be compiled (%s). Steps are recorded "
                    "as they are, which is slower.",
                    reason,
                )
        return self.capture(self._whole_step)

    def _undo(self, error: Exception, state: _Snapshot) -> str:
        """Undo a step that failed; return the reason."""
        self.plain.optimizer.zero_grad()
        state.restore()
        return str(error).strip().partition("\n")[0]

    def _trial(self, take: Callable[[], None], state: _Snapshot) -> list[float]:
        """Return the losses of the first steps and the distance that weights moved; undo them."""
        losses = []
        with _own_stream(self.plain.accelerator.device):
            for _ in range(PROOF_STEPS):
                take()
                losses.append(float(self.totals[0]))
        moved = state.distance()
        state.restore()
        return [*losses, moved]


class _Snapshot:
    """All that a recorded step changes, to undo steps in place: graphs hold its addresses."""

    def __init__(self, step: TrainingStep) -> None:
        self.step = step
        self.device = step.accelerator.device
        self.before = [tensor.detach().clone() for tensor in self._weights()]
        self.moments = [tensor.clone() for tensor in self._moments()]
        self.random = torch.get_rng_state()
        self.device_random = (
            torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        )

    def _weights(self) -> list[torch.Tensor]:
        return list(self.step.network.state_dict().values())

    def _moments(self) -> list[torch.Tensor]:
        states = self.step.optimizer.optimizer.state.values()
        return [tensor for state in states for tensor in state.values()]

    def distance(self) -> float:
        """Return the Euclidean distance from the snapshot, of the weights."""
        pairs = zip(self._weights(), self.before, strict=True)
        squares = [(now.double() - then.double()).square().sum() for now, then in pairs]
        return float(torch.stack(squares).sum().sqrt())

    @torch.no_grad()
    def restore(self) -> None:
        """Restore weights, moments and random states in place."""
        for tensor, before in zip(self._weights(), self.before, strict=True):
            tensor.copy_(before)
        # Before its first step an optimizer has no moments; then they start from zero.
        for place, tensor in enumerate(self._moments()):
            if self.moments:
                tensor.copy_(self.moments[place])
            else:
                tensor.zero_()
        torch.set_rng_state(self.random)
        if self.device_random is not None:
            torch.cuda.set_rng_state(self.device_random, self.device)


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """Run on another stream, as work that will be recorded should before; on a GPU only."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


def _like(tree: Any, device: torch.device) -> Any:
    """Return tensors of the same shapes and layouts on a device; None stays None."""
    if isinstance(tree, tuple):
        return tuple(_like(each, device) for each in tree)
    return None if tree is None else torch.empty_like(tree, device=device)


def _copy(buffers: Any, sources: Any) -> None:
    if isinstance(buffers, torch.Tensor):
        buffers.copy_(sources, non_blocking=True)
    elif buffers is not None:
        for buffer, source in zip(buffers, sources, strict=True):
            _copy(buffer, source)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values[:PROOF_STEPS])
