"""Novelty scores: known answers, and what a limit lets through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from datasets import Dataset
from PIL import Image

from space.inference.core.arrays import Floats
from space.inference.core.classifier import Observation
from space.inference.core.novelty import MahalanobisDetector
from space.inference.engines.graph import channel_statistics
from space.inference.networks.stages import feature_stages
from space.inference.predictor import Predictor
from tests.support.published_folder import write_published_folder
from trainer.decision.conformal import conformal_quantile
from trainer.decision.novelty import fit_detector, held_out_novelty
from trainer.decision.outputs import ReferenceSet, collect_outputs
from trainer.errors import DataError
from trainer.evaluation import ood_images
from trainer.evaluation.rejection import detection_auroc, false_positive_rate


def test_a_texture_is_described_by_mean_and_spread() -> None:
    seen = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]])
    expected = [2.0, 5.0, np.log(1 + 1e-4), np.log(1e-4)]
    assert channel_statistics(seen)[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("test_convnext", [0, 1, 2]),
        ("test_efficientnet", [1, 2, 3]),
        ("test_vit", []),
        ("test_resnet", [1, 2, 3]),
    ],
)
def test_stages_between_a_quarter_and_a_sixteenth_are_compared(
    name: str, stages: list[int]
) -> None:
    model = timm.create_model(name)
    found = feature_stages(model)
    if stages:
        assert found == stages
        assert all(4 <= model.feature_info[index]["reduction"] <= 16 for index in found)
    assert len(found) == len(set(found)) <= 3


def test_a_network_that_does_not_show_its_stages_has_none() -> None:
    assert feature_stages(torch.nn.Linear(2, 2)) == []


def _two_classes(seed: int, images: int) -> tuple[Floats, np.ndarray]:
    """Two clouds, the one 40 wide in the first axis, the other ten away in the second."""
    truth = np.arange(images) % 2
    noise = np.random.default_rng(seed).standard_normal((images, 3)) * [40, 1, 1]
    return (noise + np.outer(truth, [0, 10, 0])).astype(np.float32), truth


def test_reference_images_deviate_by_one_and_ood_ones_by_what_the_axis_allows() -> None:
    described, truth = _two_classes(0, 4000)
    detector = fit_detector([2], [described], truth)
    fresh, _ = _two_classes(1, 4000)
    assert detector.novelty([fresh]).mean() == pytest.approx(1, abs=0.05)
    # Forty along the wide axis is one standard deviation, along a narrow one it is forty.
    places = np.array([[40.0, 0.0, 0.0], [0.0, 0.0, 40.0], [0.0, 10.0, 0.0]])
    wide, narrow, centre = detector.novelty([places]).tolist()
    assert wide == pytest.approx(1 / 3, rel=0.1)
    assert narrow == pytest.approx(1600 / 3, rel=0.1)
    assert centre == pytest.approx(0, abs=0.01)


def test_stages_add_up() -> None:
    described, truth = _two_classes(0, 200)
    once = fit_detector([1], [described], truth).novelty([described])
    twice = fit_detector([1, 2], [described] * 2, truth).novelty([described] * 2)
    assert twice.tolist() == pytest.approx((2 * once).tolist(), rel=1e-4)


def test_arrays_are_put_together_again() -> None:
    described, truth = _two_classes(0, 60)
    detector = fit_detector([1, 10], [described] * 2, truth)
    again = MahalanobisDetector.from_arrays(detector.arrays())
    assert list(again.stages) == [1, 10]
    seen = [described] * 2
    assert np.array_equal(again.novelty(seen), detector.novelty(seen))


def test_a_limit_from_known_images_rejects_2_percent_of_new_ones() -> None:
    described, truth = _two_classes(2, 3000)
    novelty = held_out_novelty([1], [described], truth, range(3000), seed=0)
    limit = conformal_quantile(novelty, 0.02)
    fresh, _ = _two_classes(3, 20_000)
    detector = fit_detector([1], [described], truth)
    rejected = (detector.novelty([fresh]) > limit).mean()
    assert rejected == pytest.approx(0.02, abs=0.006)


def test_images_of_one_surface_do_not_vouch_for_each_other() -> None:
    """Twins on one surface, far from all else: each is novelty if the other is left out, too."""
    described, truth = _two_classes(4, 100)
    described[0] = described[2] = [0.0, 0.0, 300.0]
    alone = list(range(100))
    together = [0 if row == 2 else row for row in alone]
    novelty = held_out_novelty([1], [described], truth, together, seed=0)
    assert novelty[[0, 2]].min() > 10_000 * np.median(novelty)
    apart = held_out_novelty([1], [described], truth, alone, seed=0)
    assert apart[[0, 2]].max() < 1000 * np.median(apart)


def test_one_surface_alone_says_nothing() -> None:
    described, truth = _two_classes(5, 20)
    assert len(held_out_novelty([1], [described], truth, [0] * 20, seed=0)) == 0
    assert len(held_out_novelty([], [], truth, range(20), seed=0)) == 0


# How well a score detects the unknown.


def test_auroc_is_the_share_of_pairs_in_order_and_ties_count_half() -> None:
    known, unknown = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])
    # 2 is above 1, ties with 2 and is below 3; 4 is above all.
    assert detection_auroc(known, unknown) == pytest.approx((1 + 0.5 + 3) / 6)


def test_false_positive_rate_at_95_percent_recall() -> None:
    unknown = np.arange(1.0, 101.0)
    # 95 of the 100 lie at 6 or above.
    assert false_positive_rate(np.array([5.5, 5.9, 6.0, 50.0]), unknown) == 0.5
    assert false_positive_rate(np.zeros(3), unknown) == 0


# Images that show no known surface.


@pytest.mark.slow
def test_ood_images_are_of_six_kinds_and_the_same_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ood_images, "IMAGES_PER_KIND", 5)
    first, second, other = (ood_images.drawn_images(seed) for seed in (3, 3, 4))
    assert len(first) == 6
    for kind, images in first.items():
        assert len(images) == 5
        assert all(image.mode == "RGB" for image in images)
        assert [i.tobytes() for i in images] == [i.tobytes() for i in second[kind]]
        assert images[0].tobytes() != other[kind][0].tobytes()
    assert all(np.ptp(np.asarray(image)) == 0 for image in first["plain gray"])
    assert all(np.ptp(np.asarray(image)) > 50 for image in first["text"])


def test_a_folder_of_ood_images_is_checked_before_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        ood_images.check_folder(tmp_path, 16)
    (tmp_path / "deep").mkdir()
    Image.new("L", (9, 9), 7).save(tmp_path / "deep" / "a.png")
    ood_images.check_folder(tmp_path, 16)
    [image] = ood_images.images_of_folder(tmp_path, 16)
    assert (image.mode, image.size) == ("RGB", (9, 9))
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b\.png can't be used"):
        ood_images.check_folder(tmp_path, 16)


# In the network.


def test_stages_are_seen_in_the_one_forward_pass(tmp_path: Path) -> None:
    write_published_folder(tmp_path / "model")
    predictor = Predictor(tmp_path / "model")
    calls = []
    stem = predictor.model.get_submodule("stem")
    stem.register_forward_hook(lambda *_: calls.append(1))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    plain = predictor.observe([image], [])
    assert plain.statistics == []
    seen = predictor.observe([image], [0, 2])
    assert len(calls) == 2
    assert np.allclose(plain.logits, seen.logits, atol=1e-6)
    pixels = predictor.normalized(image)
    with torch.inference_mode():
        maps = predictor.model.forward_intermediates(pixels, intermediates_only=True)  # type: ignore[operator]
    for index, described in zip((0, 2), seen.statistics, strict=True):
        assert np.allclose(described, channel_statistics(maps[index]).numpy(), atol=1e-5)


def test_a_class_of_one_known_image_does_not_switch_novelty_off() -> None:
    described, truth = _two_classes(3, 40)
    lonely = np.concatenate([described, described[:1] + 500])
    with_lonely = np.append(truth, 2)
    novelty = held_out_novelty([1], [lonely], with_lonely, range(41), seed=0)
    # The lonely image itself is no measure of what is known: nothing like it is left.
    assert len(novelty) == 40
    assert novelty.max() < 100


def test_of_very_many_classes_some_are_left_out() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(50), 4)
    described = (rng.normal(size=(200, 3)) + truth[:, None]).astype(np.float32)
    detector = fit_detector([1], [described], truth)
    found = collect_outputs(
        ReferenceSet(
            [1], [described], truth, detector, np.zeros(200), np.zeros((0, 50)), truth[:0]
        ),
        detector,
        [f"class {label}" for label in range(50)],
        Dataset.from_dict({"label": list(truth)}),
        Observation(np.zeros((200, 50)), [described]),
        {},
    )
    rest = truth != 3
    without = fit_detector([1], [described[rest]], truth[rest])
    scores = without.novelty([described])
    others, own = found.left_out["class 3"]
    np.testing.assert_allclose(others, scores[rest])
    np.testing.assert_allclose(own, scores[truth == 3])
    known = detector.novelty([described])
    assert own.mean() > 1.3 * known[truth == 3].mean(), "a class left out is not known"
    assert list(found.left_out) == [f"class {label}" for label in range(0, 50, 3)]
    others, own = found.left_out["class 3"]
    assert (len(others), len(own)) == (196, 4)
