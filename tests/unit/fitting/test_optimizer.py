"""Rates, weights of classes and mixed images: right by hand-made answers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainer.config.recipe import RecipeConfig
from trainer.fitting.optimizer import (
    balanced_weights,
    build_loss,
    build_optimizer,
    build_schedule,
    correct,
    highest_rate,
    likeliest,
    resolve_rate,
)

CPU = torch.device("cpu")
LABELS = [0] * 6 + [1] * 3 + [2]


def _rates(steps: int, steps_per_epoch: int, **recipe: Any) -> list[float]:
    settings = RecipeConfig(**recipe)
    optimizer = build_optimizer(nn.Linear(2, 2), settings, CPU)
    schedule = build_schedule(optimizer, settings, steps_per_epoch)
    found = []
    for step in range(steps):
        schedule.step_update(step)
        found.append(highest_rate(optimizer))
    return found


def test_cosine_with_warm_up_by_hand() -> None:
    found = _rates(8, 2, lr=0.1, epochs=4, warmup_epochs=1, schedule="cosine")
    cosine = [0.05 * (1 + math.cos(math.pi * step / 8)) for step in range(2, 8)]
    assert found == pytest.approx([0.001, 0.0505, *cosine])


def test_constant_rate_warms_up_too() -> None:
    found = _rates(4, 2, lr=0.1, epochs=2, warmup_epochs=1, schedule="constant")
    assert found == pytest.approx([0.001, 0.0505, 0.1, 0.1])


@pytest.mark.parametrize(
    ("model", "tune", "rate"),
    [
        ("test_efficientnet", "all", 1e-3),
        ("test_convnext", "all", 1e-4),
        ("test_efficientnet", "head", 1e-3),
        ("test_convnext", "head", 1e-3),
    ],
)
def test_a_rate_of_0_takes_what_suits_the_network(model: str, tune: Any, rate: float) -> None:
    network = timm.create_model(model, num_classes=3)
    assert resolve_rate(RecipeConfig(lr=0), network, tune).lr == rate
    assert resolve_rate(RecipeConfig(lr=0.02), network, tune).lr == 0.02


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_layer_decay_halves_the_rate_layer_by_layer(schedule: Any) -> None:
    model = timm.create_model("test_convnext", num_classes=3)
    recipe = RecipeConfig(lr=0.1, layer_decay=0.5, schedule=schedule, epochs=2)
    optimizer = build_optimizer(model, recipe, CPU)
    build_schedule(optimizer, recipe, 5).step_update(0)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    by_name = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    assert by_name["head.fc.weight"] == pytest.approx(0.1) == highest_rate(optimizer)
    assert by_name["head.fc.bias"] == pytest.approx(0.1)
    halvings = {round(-math.log2(rate / 0.1), 6) for rate in rates.values()}
    assert halvings == set(range(len(halvings)))
    assert by_name["stem.0.weight"] == min(rates.values())
    blocks = [by_name[f"stages.{stage}.blocks.0.mlp.fc1.weight"] for stage in range(4)]
    assert blocks == sorted(set(blocks))
    # Biases and norms are spared of weight decay in every layer.
    spared = {id(p) for g in optimizer.param_groups if not g["weight_decay"] for p in g["params"]}
    assert spared == {id(p) for p in model.parameters() if p.ndim <= 1}


def test_without_layer_decay_all_layers_have_one_rate() -> None:
    model = timm.create_model("test_convnext", num_classes=3)
    optimizer = build_optimizer(model, RecipeConfig(lr=0.1), CPU)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}


def test_balanced_weights_by_hand() -> None:
    # 6, 3 and 1 of 10 images: 10 / (3 · count); their mean over the images is 1.
    weights = balanced_weights(LABELS)
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert sum(weights[label].item() for label in LABELS) == pytest.approx(10)


def test_loss_by_hand() -> None:
    outputs = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    logarithms = outputs.log_softmax(1)
    recipe = RecipeConfig(class_weights="balanced", label_smoothing=0.3)
    found = build_loss(recipe, LABELS)(outputs, torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]]))
    # A tenth of the target goes to each class; 0.7 of it stays.
    shares = torch.tensor([[0.275, 0.625, 0.1], [0.1, 0.1, 0.8]])
    weights = torch.tensor([10 / 18, 10 / 9, 10 / 3])
    assert found.tolist() == pytest.approx((-weights * shares * logarithms).sum(1).tolist())
    plain = build_loss(RecipeConfig(), LABELS)(outputs, torch.tensor([0, 1]))
    assert plain.tolist() == pytest.approx([-logarithms[0, 0].item(), -logarithms[1, 1].item()])


@given(
    weighted=st.sampled_from(["none", "balanced"]),
    smoothing=st.sampled_from([0.0, 0.1]),
    targets=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_unmixed_shares_are_scored_like_classes(
    weighted: Any, smoothing: float, targets: list[int], seed: int
) -> None:
    loss = build_loss(RecipeConfig(class_weights=weighted, label_smoothing=smoothing), LABELS)
    outputs = torch.randn(len(targets), 3, generator=torch.Generator().manual_seed(seed))
    classes = torch.tensor(targets)
    shares = nn.functional.one_hot(classes, 3).float()
    assert torch.allclose(loss(outputs, classes), loss(outputs, shares))


def test_likeliest_class() -> None:
    assert likeliest(torch.tensor([2, 0])).tolist() == [2, 0]
    assert likeliest(torch.tensor([[0.1, 0.5, 0.4], [0.9, 0.0, 0.1]])).tolist() == [1, 0]


def test_the_loss_of_several_defects_by_hand() -> None:
    outputs = torch.tensor([[0.0, math.log(3)], [math.log(3), 0.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    # Probabilities of 1/2 and 3/4, and 3/4 and 1/2.
    loss = build_loss(RecipeConfig(), LABELS, multi_label=True)(outputs, targets)
    assert loss.tolist() == pytest.approx([math.log(2) + math.log(4), math.log(4 / 3 * 2)])
    smoothed = build_loss(RecipeConfig(label_smoothing=0.2), LABELS, multi_label=True)
    assert smoothed(outputs, targets).tolist() == pytest.approx(
        [
            math.log(2) + 0.9 * math.log(4) + 0.1 * math.log(4 / 3),
            math.log(2) + 0.9 * math.log(4 / 3) + 0.1 * math.log(4),
        ]
    )


def test_an_image_is_correct_if_exactly_its_defects_are_likely() -> None:
    outputs = torch.tensor([[1.0, -1.0, 2.0], [1.0, 1.0, 2.0], [-1.0, -1.0, 2.0]])
    targets = torch.tensor([[1.0, 0.0, 1.0]] * 3)
    assert correct(outputs, targets, multi_label=True).tolist() == [True, False, False]
    assert correct(outputs, torch.tensor([2, 0, 2])).tolist() == [True, False, True]
