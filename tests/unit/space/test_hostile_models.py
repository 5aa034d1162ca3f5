"""Published folders from elsewhere: each is refused in words, or serves what the sound one does."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from space.inference.core.errors import ModelError
from space.inference.predictor import Prediction, Predictor
from tests.support.published_folder import noise, write_decision, write_published_folder
from tests.support.reports import LABELS

MODEL_FILES = ("config.json", "decision.json", "model.safetensors", "decision.safetensors")
# What no key of a config or a decision should hold, in JSON.
ODD_VALUES = {
    "null": "null",
    "true": "true",
    "text": '"<script>"',
    "NaN": "NaN",
    "infinite": "1e999",
    "huge": "1e300",
    "count": "1000000",
    "negative": "-5",
    "zero": "0",
    "tiny": "1e-308",
    "list": "[]",
    "object": "{}",
    "deep": "[" * 5000 + "]" * 5000,
    "long": json.dumps("x" * 200_000),
}
# Keys of timm that affect nothing here.
UNUSED = {"num_features", "tag", "custom_load", "pool_size", "first_conv", "classifier", "license"}
TENSOR_CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "float16": lambda t: t.half(),
    "int64": lambda t: t.long(),
    "bool": lambda t: t.bool(),
    "complex": lambda t: t.to(torch.complex64),
    "NaN": lambda t: torch.full_like(t, math.nan),
    "one NaN": lambda t: t.clone().index_fill_(0, torch.tensor([0]), math.nan),
    "infinite": lambda t: torch.full_like(t, math.inf),
    "cut": lambda t: t[:-1].clone(),
    "flat": lambda t: t.flatten()[:1].clone(),
    "empty": lambda t: t[:0].clone(),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with a decision, whose input is small."""
    folder = tmp_path_factory.mktemp("sound") / "published"
    write_published_folder(folder)
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"]["input_size"] = [3, 32, 32]
    (folder / "config.json").write_text(json.dumps(config))
    write_decision(folder)
    return folder


@pytest.fixture(scope="module")
def expected(sound: Path) -> Prediction:
    """What the sound folder says of an image."""
    return Predictor(sound).predict([noise(1)])[0]


@pytest.fixture(autouse=True)
def _networks_built_once(monkeypatch: pytest.MonkeyPatch, networks: dict[str, Any]) -> None:
    """Build each network once: all weights of each folder are read and put into it as ever."""
    create = timm.create_model

    def created(*names: Any, **options: Any) -> torch.nn.Module:
        key = repr((names, sorted(options.items()), torch.get_default_device()))
        if key not in networks:
            networks[key] = create(*names, **options)
        network: torch.nn.Module = networks[key]
        return network

    monkeypatch.setattr("space.inference.networks.network.timm.create_model", created)


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    """Networks by what describes them."""
    return {}


def _copy(sound: Path, folder: Path) -> Path:
    """Return a copy of what is loaded; the files are shared until one is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in MODEL_FILES:
        os.link(sound / name, folder / name)
    return folder


def _replace(path: Path, content: bytes | str) -> None:
    path.unlink()
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the way to each value of a JSON document; of a list, only its first."""
    items = node.items() if isinstance(node, dict) else list(enumerate(node))[:1]
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*path, key))


def _changed(document: Any, path: tuple[Any, ...], odd: str | None) -> str:
    """Return the JSON with one value replaced by other JSON, or left out."""
    copy = json.loads(json.dumps(document))
    node = copy
    for key in path[:-1]:
        node = node[key]
    if odd is None:
        del node[path[-1]]
        return json.dumps(copy)
    node[path[-1]] = "HERE"
    return json.dumps(copy).replace('"HERE"', odd)


def _json_attacks(sound: Path) -> Iterator[tuple[str, str, str]]:
    for name in ("config.json", "decision.json"):
        document = json.loads((sound / name).read_text())
        for path in _paths(document):
            few = path[-1] in UNUSED or path[-2:-1] == ("pool_size",)
            kinds = {"object": "{}", "NaN": "NaN"} if few else {"missing": None} | ODD_VALUES
            for kind, odd in kinds.items():
                yield (
                    f"{name} {'.'.join(map(str, path))} {kind}",
                    name,
                    _changed(document, path, odd),
                )


def _outcome(folder: Path) -> Prediction | None:
    """Return the answer of a folder, or None if it is refused in words.

    Anything but a ModelError fails the test.
    """
    try:
        return Predictor(folder).predict([noise(1)])[0]
    except ModelError as error:
        assert 20 < len(str(error)) < 1500, str(error)[:300]
        assert str(folder) in str(error)
        return None


def _check(outcome: Prediction | None, expected: Prediction, attack: str) -> None:
    if outcome is None:
        return
    assert outcome.verdict == expected.verdict, attack
    assert list(outcome.probabilities.values()) == pytest.approx(
        list(expected.probabilities.values()), abs=1e-6
    ), attack
    assert outcome.novelty == pytest.approx(expected.novelty, rel=1e-4), attack


# These change what is computed, but no more than another sound model does.
LEGITIMATE = {
    "config.json pretrained_cfg.mean.0 zero",
    "config.json pretrained_cfg.mean.0 tiny",
    "decision.json costs.missed zero",
    "decision.json costs.missed count",
    "decision.json costs.missed tiny",
    "decision.json costs.false_alarm count",
    "decision.json costs.review zero",
    "decision.json costs.review count",
    "decision.json costs.review tiny",
    "decision.json novelty_limit count",
}


@pytest.mark.slow
def test_a_changed_value_of_a_json_file_is_refused_or_has_no_effect(
    sound: Path, expected: Prediction, tmp_path: Path
) -> None:
    refused = tried = 0
    for attack, name, text in _json_attacks(sound):
        folder = _copy(sound, tmp_path / "model")
        _replace(folder / name, text)
        outcome = _outcome(folder)
        if outcome is not None and attack in LEGITIMATE:
            assert math.isfinite(outcome.confidence)
            assert math.isfinite(outcome.novelty or 0)
            continue
        _check(outcome, expected, attack)
        tried += 1
        refused += outcome is None
    assert tried >= 400
    assert refused >= 0.6 * tried


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "decision.safetensors"])
def test_changed_tensors_are_refused(
    sound: Path, expected: Prediction, tmp_path: Path, name: str
) -> None:
    tensors = load_file(sound / name)
    attacked = sorted(tensors)[:2] + sorted(tensors)[-1:]
    attacks: dict[str, dict[str, torch.Tensor]] = {"none": {}, "renamed": {}}
    attacks["renamed"] = {f"x.{key}": values for key, values in tensors.items()}
    attacks["more"] = tensors | {"stage9.more": torch.zeros(3)}
    for key in attacked:
        attacks[f"{key} missing"] = {k: v for k, v in tensors.items() if k != key}
        for kind, change in TENSOR_CHANGES.items():
            attacks[f"{key} {kind}"] = tensors | {key: change(tensors[key])}
    for attack, changed in attacks.items():
        folder = _copy(sound, tmp_path / "model")
        (folder / name).unlink()
        save_file(changed, folder / name)
        outcome = _outcome(folder)
        # Weights of half precision are weights all the same.
        if outcome is not None and name == "model.safetensors" and attack.endswith("float16"):
            assert outcome.label == expected.label
            continue
        assert outcome is None, f"{name} {attack} was served"


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_cut_or_replaced_file_is_refused(
    sound: Path, expected: Prediction, tmp_path: Path, name: str
) -> None:
    whole = (sound / name).read_bytes()
    cuts = [whole[: len(whole) * share // 8] for share in range(8)]
    others = [b"\x80\x04\x95", b"\xff" * 16, b"{" * 100_000, b'{"a":' * 100_000, whole + b"\0"]
    for content in (*cuts, *others):
        folder = _copy(sound, tmp_path / "model")
        _replace(folder / name, content)
        assert _outcome(folder) is None, f"{name} of {content[:20]!r} was served"


@pytest.mark.parametrize("name", MODEL_FILES)
def test_what_is_no_file_of_the_folder_is_refused(sound: Path, tmp_path: Path, name: str) -> None:
    outside = shutil.copy(sound / name, tmp_path / "outside")
    places = (outside, "/proc/self/environ", "/dev/zero", "nowhere", name, "..", ".", "/dev/null")
    for place in places:
        folder = _copy(sound, tmp_path / "model")
        (folder / name).unlink()
        (folder / name).symlink_to(place)
        assert _outcome(folder) is None, f"{name} was read through a link to {place}"
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert _outcome(folder) is None
    (folder / name).unlink()
    (folder / name).mkdir()
    assert _outcome(folder) is None


def test_the_links_of_the_hubs_cache_are_followed_and_no_others(
    sound: Path, expected: Prediction, tmp_path: Path
) -> None:
    snapshot = tmp_path / "models--ada--steel" / "snapshots" / "abc"
    blobs = tmp_path / "models--ada--steel" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in MODEL_FILES:
        shutil.copy(sound / name, blobs / f"blob-of-{name}")
        (snapshot / name).symlink_to(f"../../blobs/blob-of-{name}")
    _check(_outcome(snapshot), expected, "cache")
    assert _outcome(snapshot) is not None
    # A folder that only looks like the cache, whose blobs lie elsewhere.
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere")
    assert _outcome(snapshot) is None


def test_weights_that_do_not_fit_are_not_served_with_a_random_head(
    sound: Path, tmp_path: Path
) -> None:
    """Timm alone would drop the head and make a new one at random."""
    config = json.loads((sound / "config.json").read_text())
    for outputs in (1, 5, 7, 1000):
        folder = _copy(sound, tmp_path / "model")
        changed = config | {
            "num_classes": outputs,
            "label_names": [f"c{i}" for i in range(outputs)],
        }
        changed["model_args"] = {**config["model_args"], "num_classes": outputs}
        changed["pretrained_cfg"] = {**config["pretrained_cfg"], "num_classes": outputs}
        _replace(folder / "config.json", json.dumps(changed))
        (folder / "decision.json").unlink()
        (folder / "decision.safetensors").unlink()
        with pytest.raises(ModelError, match=r"does not fit the network.*other shapes of head\.fc"):
            Predictor(folder)


@pytest.mark.parametrize(
    "options",
    [
        {"depths": [10**6]},
        {"dims": [8192, 8192, 8192, 8192]},
        {"features_only": True},
        {"checkpoint_path": "/etc/passwd"},
        {"pretrained_strict": False},
        {"scriptable": True},
        {"img_size": 10**9},
        {"act_layer": "os.system"},
    ],
)
def test_options_of_the_network_are_limited(
    sound: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    folder = _copy(sound, tmp_path / "model")
    config = json.loads((sound / "config.json").read_text())
    config["model_args"] |= options
    _replace(folder / "config.json", json.dumps(config))
    assert _outcome(folder) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label_names": ["Dent"] * len(LABELS)}, "two classes have the same name"),
        ({"tile": True}, "cut into tiles, but the transform crops them"),
    ],
)
def test_facts_of_a_config_that_contradict_each_other_are_refused(
    sound: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    folder = _copy(sound, tmp_path / "model")
    config = json.loads((sound / "config.json").read_text())
    config["pretrained_cfg"] |= {"crop_mode": "center", "crop_pct": 0.9}
    _replace(folder / "config.json", json.dumps(config))
    Predictor(folder)
    _replace(folder / "config.json", json.dumps(config | changes))
    with pytest.raises(ModelError, match=says):
        Predictor(folder)


@pytest.mark.slow
def test_a_network_far_larger_than_its_weights_is_refused_without_being_built(
    sound: Path, tmp_path: Path
) -> None:
    folder = _copy(sound, tmp_path / "model")
    config = json.loads((sound / "config.json").read_text())
    # 6.5 billion parameters would need 26 GB.
    config |= {"architecture": "vit_7b_patch16_dinov3", "model_args": {}}
    _replace(folder / "config.json", json.dumps(config))
    with pytest.raises(ModelError, match="does not fit the network"):
        Predictor(folder)


def test_pickled_weights_are_never_read(sound: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "opened",))

    folder = _copy(sound, tmp_path / "model")
    for name in ("pytorch_model.bin", "model.pt", "decision.bin", "optimizer.pkl"):
        torch.save(Trap(), folder / name)
    (folder / "model.safetensors").unlink()
    assert _outcome(folder) is None
    shutil.copy(folder / "pytorch_model.bin", folder / "model.safetensors")
    assert _outcome(folder) is None
    assert not (tmp_path / "opened").exists()


def test_json_above_the_limit_is_refused_before_it_is_read(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _copy(sound, tmp_path / "model")
    config = (sound / "config.json").read_text()
    _replace(folder / "config.json", config + " " * 2**20)
    Predictor(folder)
    monkeypatch.setattr("space.inference.model_folder.MAX_JSON_BYTES", 2**20)
    with pytest.raises(ModelError, match=r"config\.json is larger than 1 MB"):
        Predictor(folder)
