"""Recorded steps equal plain ones. A processor records by calling the same function again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from accelerate import Accelerator

from trainer.config.recipe import RecipeConfig
from trainer.fitting.graphs import GraphedSteps, graphs_fit
from trainer.fitting.inputs import FitInputs
from trainer.fitting.step import TrainingStep
from trainer.inputs.augment import Augment
from trainer.inputs.draws import draw
from trainer.inputs.loading import Batch, stack_tiles
from trainer.runtime import checkpoint

SIDE_PX, SIZE = 32, 4
DATA = {"input_size": (3, SIDE_PX, SIDE_PX), "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "all": {"clip_grad": 0.5, "ema_decay": 0.9, "layer_decay": 0.8, "accumulate": 2},
    "mixed": {"mixup": 0.4, "corrupt": 0.5, "label_smoothing": 0.1, "ema_decay": 0.9},
}


def _recorded(work: Callable[[], None]) -> Callable[[], None]:
    return work


def _step(model: str = "test_convnext", **recipe: Any) -> TrainingStep:
    torch.manual_seed(0)
    # A block a stage: the steps are compared, not the depth.
    depth = {"depths": (1, 1, 1, 1)} if model == "test_convnext" else {}
    network = timm.create_model(model, num_classes=3, **depth)
    settings = RecipeConfig(lr=1e-2, batch_size=SIZE, schedule="cosine", warmup_epochs=1, **recipe)
    unused: Any = None
    inputs = FitInputs(network, unused, unused, Augment(settings, DATA), unused)
    images: Any = SimpleNamespace(
        labels=["a", "b", "c"], splits={"train": {"label": [0, 1, 2]}}, multi_label=False
    )
    return TrainingStep(inputs, images, settings, 4, Accelerator(cpu=True))


def _batch(number: int, size: int = SIZE, tiles: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(number)
    items = []
    for image in range(size):
        pixels = torch.randint(
            256, (tiles, 3, SIDE_PX, SIDE_PX), dtype=torch.uint8, generator=generator
        )
        draws = draw([100 * number + 10 * image + tile for tile in range(tiles)])
        items.append(((pixels, draws), image % 3))
    return stack_tiles(items)


def _train(
    take: Callable[..., torch.Tensor], accumulate: int, first: int = 0, tiles: int = 2
) -> list[list[float]]:
    """Take steps of which the third has a short batch, and the fourth tiles."""
    totals = []
    for number in range(first, 5):
        torch.manual_seed(number)
        sizes = {2: (SIZE - 1, 1), 3: (SIZE, tiles)}.get(number, (SIZE, 1))
        batches = [_batch(10 * number + place, *sizes) for place in range(accumulate)]
        totals.append(take(batches, number).tolist())
    return totals


def _state(step: TrainingStep) -> checkpoint.Tensors:
    return {name: tensor.clone() for name, tensor in checkpoint.pack(**step.states()).items()}


def _assert_close(one: checkpoint.Tensors, other: checkpoint.Tensors) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5, msg=name)


def _assert_equal(one: checkpoint.Tensors, other: checkpoint.Tensors) -> None:
    assert one.keys() == other.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []


@cache
def _plain(recipe: str) -> tuple[list[list[float]], checkpoint.Tensors]:
    """Return the totals of plain steps and the state after them, computed once."""
    step = _step(**RECIPES[recipe])
    totals = _train(step.step, RECIPES[recipe].get("accumulate", 1), tiles=_tiles(recipe))
    return totals, _state(step)


@cache
def _recorded_whole() -> tuple[list[list[float]], checkpoint.Tensors]:
    """Return the same of recorded steps with the recipe `all`."""
    step = _step(**RECIPES["all"])
    return _train(GraphedSteps(step, _recorded).step, 2), _state(step)


def _tiles(recipe: str) -> int:
    # Tiles are not mixed.
    return 1 if recipe == "mixed" else 2


@pytest.mark.parametrize("recipe", RECIPES)
def test_recorded_steps_equal_plain_ones(recipe: str) -> None:
    settings = RECIPES[recipe]
    recorded = _step(**settings)
    graphs = GraphedSteps(recorded, _recorded)
    expected, state = _plain(recipe)
    found = _train(graphs.step, settings.get("accumulate", 1), tiles=_tiles(recipe))
    assert graphs.usable
    assert found == [pytest.approx(row, rel=1e-5) for row in expected]
    _assert_close(state, _state(recorded))
    assert all(isinstance(group["lr"], float) for group in recorded.optimizer.param_groups)


def test_batch_statistics_and_dropout_survive_the_proof() -> None:
    plain, recorded = _step("test_efficientnet"), _step("test_efficientnet")
    for step in (plain, recorded):
        network: Any = step.network
        network.drop_rate = 0.5
    expected = _train(plain.step, 1)
    found = _train(GraphedSteps(recorded, _recorded).step, 1)
    # Before rounding grows: the first steps have the same dropout and the same statistics.
    assert found[:2] == [pytest.approx(row, rel=1e-3) for row in expected[:2]]
    tracked = "model/bn1.num_batches_tracked"
    assert _state(recorded)[tracked] == _state(plain)[tracked] == 5


@pytest.mark.slow
@pytest.mark.parametrize("halt", [1, 3])
def test_a_resumed_training_equals_an_undisturbed_one(halt: int) -> None:
    """Bit for bit: the proof, which is repeated, leaves no trace."""
    halted, resumed = (_step(**RECIPES["all"]) for _ in range(2))
    expected, state = _recorded_whole()
    graphs = GraphedSteps(halted, _recorded)
    for number in range(halt):
        torch.manual_seed(number)
        sizes = (SIZE - 1, 1) if number == 2 else (SIZE, 1)
        graphs.step([_batch(10 * number + place, *sizes) for place in range(2)], number)
    resumed.restore(_state(halted))
    assert _train(GraphedSteps(resumed, _recorded).step, 2, halt) == expected[halt:]
    _assert_equal(state, _state(resumed))


def _nothing(work: Callable[[], None]) -> Callable[[], None]:
    return lambda: None


def _unsupported(work: Callable[[], None]) -> Callable[[], None]:
    work()
    raise RuntimeError("operation not permitted when stream is capturing\nmore")


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        (_nothing, "recorded steps differ from plain ones"),
        (_unsupported, "graphs (operation not permitted when stream is capturing). Training"),
    ],
)
def test_what_is_not_equal_trains_plainly(
    capture: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = _step(**RECIPES["all"])
    graphs = GraphedSteps(recorded, capture)
    expected, state = _plain("all")
    assert _train(graphs.step, 2) == expected
    assert graphs.usable is False
    [warning] = caplog.messages
    assert message in warning
    _assert_equal(state, _state(recorded))


@pytest.mark.parametrize(
    ("losses", "moved", "usable"),
    [
        (([1.0, 2.0, 3.0], [1.0, 2.0, 3.001]), (1.0, 1.04), True),
        (([1.0, 2.0, 3.0], [1.0, 2.0, 3.01]), (1.0, 1.0), False),
        (([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), (1.0, 1.06), False),
    ],
)
def test_the_proof_compares_each_loss_and_the_movement(
    losses: tuple[list[float], list[float]],
    moved: tuple[float, float],
    usable: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = iter([[*losses[0], moved[0]], [*losses[1], moved[1]]])
    monkeypatch.setattr(GraphedSteps, "_trial", lambda *_: next(trials))
    graphs = GraphedSteps(_step(), _recorded)
    graphs.step([_batch(0)], 0)
    assert graphs.usable is usable


def test_the_average_follows_the_step_after_a_failed_proof() -> None:
    """It did not move before, so that it must equal the weights after the first step."""
    step = _step(ema_decay=0.9)
    GraphedSteps(step, _nothing).step([_batch(0)], 0)
    assert step.average is not None
    averages, weights = step.average.module.state_dict(), step.network.state_dict()
    assert [name for name in weights if not torch.equal(weights[name], averages[name])] == []


def test_blocks_are_compiled_while_a_step_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compile_it(function: Any, *, dynamic: bool) -> Any:
        def other(*inputs: torch.Tensor) -> Any:
            compiled.append(function.__self__)
            return function(*inputs)

        return other

    monkeypatch.setattr(torch, "compile", compile_it)
    recorded = _step(**RECIPES["all"])
    # A stage has one block here, which is no repetition.
    network: Any = recorded.network
    blocks = [stage.blocks[0] for stage in network.stages]
    monkeypatch.setattr("trainer.fitting.graphs.repeated_blocks", lambda network: blocks)
    graphs = GraphedSteps(recorded, _recorded, compile_blocks=True)
    expected, state = _plain("all")
    found = _train(graphs.step, 2)
    assert graphs.usable
    # Three steps of two batches before the recording; the recording itself calls nothing here.
    assert len(compiled) == 3 * 2 * len(blocks)
    assert set(compiled) == set(blocks)
    assert found == [pytest.approx(row, rel=1e-5) for row in expected]
    _assert_close(state, _state(recorded))


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError("no triton\nmore"), OSError(28, "No space left")])
def test_blocks_that_cannot_be_compiled_are_recorded_as_they_are(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: torch.Tensor) -> Any:
        raise error

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    other = _step(**RECIPES["all"])
    monkeypatch.setattr(
        "trainer.fitting.graphs.repeated_blocks", lambda network: [network.stages[0].blocks[0]]
    )
    graphs = GraphedSteps(other, _recorded, compile_blocks=True)
    expected, state = _recorded_whole()
    assert _train(graphs.step, 2) == expected
    assert graphs.usable
    [warning] = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert str(error).partition("\n")[0] in warning
    assert "more" not in warning
    _assert_equal(state, _state(other))


@pytest.mark.parametrize(
    ("device", "processes", "precision", "fits"),
    [
        ("cuda", 1, "bf16", True),
        ("cuda", 1, "no", True),
        ("cuda", 1, "fp16", False),
        ("cuda", 2, "bf16", False),
        ("cpu", 1, "no", False),
    ],
)
def test_where_graphs_are_tried(device: str, processes: int, precision: str, fits: bool) -> None:
    accelerator: Any = SimpleNamespace(
        device=torch.device(device), num_processes=processes, mixed_precision=precision
    )
    assert graphs_fit(accelerator) is fits
