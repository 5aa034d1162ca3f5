"""Several sources: one collection of all images, each under a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, concatenate_datasets
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainer.config.groups import DataConfig, RunConfig
from trainer.data.folders.location import Source, find_sources
from trainer.data.folders.scan import check_layout
from trainer.data.image_record import check_tables, note_images
from trainer.data.sources import collect_images
from trainer.data.splits.dataset import Images, prepare_images
from trainer.data.splits.given import train_on_some
from trainer.data.splits.split import divide, divide_into_folds
from trainer.errors import ConfigError, DataError
from trainer.evaluation.scores import _by_source


def write_images(folder: Path, count: int, first: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng(first + number).integers(0, 256, (24, 20), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """Class folders without splits."""
    for number, label in enumerate(("Crazing", "Patches", "Pitted")):
        write_images(tmp_path / "plant" / label, 10, 100 * number)
    return tmp_path / "plant"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Train and test folders of the same file names; the class Pitted is missing."""
    for number, label in enumerate(("Crazing", "Patches")):
        write_images(tmp_path / "lab/train" / label, 10, 1000 + 100 * number)
        write_images(tmp_path / "lab/test" / label, 3, 2000 + 100 * number)
    return tmp_path / "lab"


def prepared(tmp_path: Path, *places: Path, run_dir: Path | None = None, **data: object) -> Images:
    config = DataConfig(data_dir=tuple(map(str, places)), **data)  # type: ignore[arg-type]
    run = RunConfig(cache_dir=tmp_path / "cache")
    return prepare_images(config, run, None, run_dir)[0]


def placed(images: Images) -> dict[str, str]:
    return {file: name for name, split in images.splits.items() for file in split["file"]}


def test_each_image_keeps_its_class_and_source(tmp_path: Path, plant: Path, lab: Path) -> None:
    images = prepared(tmp_path, plant, lab)
    assert images.labels == ["Crazing", "Patches", "Pitted"]
    counts = Counter(
        (row["source"], images.labels[row["label"]])
        for split in images.splits.values()
        for row in split
    )
    assert counts == {
        ("plant", "Crazing"): 10,
        ("plant", "Patches"): 10,
        ("plant", "Pitted"): 10,
        ("lab", "Crazing"): 13,
        ("lab", "Patches"): 13,
    }
    for split in images.splits.values():
        for row in split:
            source, label = row["source"], images.labels[row["label"]]
            assert row["file"].startswith(f"{source}/")
            assert f"/{label}/" in row["file"]
            assert row["image"]["path"] == str(tmp_path / row["file"])
    assert images.source == "plant+lab"
    assert images.kind == "several"
    assert images.origin == (
        "The images come from 2 sources: a folder named plant and a folder named lab."
    )
    assert [(each.name, each.kind) for each in images.sources] == [
        ("plant", "folder"),
        ("lab", "folder"),
    ]


@pytest.mark.slow
def test_a_given_test_split_is_kept_and_completed(tmp_path: Path, plant: Path, lab: Path) -> None:
    alone = prepared(tmp_path, lab)
    images = prepared(tmp_path, plant, lab)
    places = placed(images)
    own = {file: name for file, name in places.items() if file.startswith("lab/")}
    tested = {file for file, name in own.items() if name == "test"}
    assert tested == {f"lab/{file}" for file in alone.splits["test"]["file"]}
    assert len(tested) == 6
    # A fifth of each class of the other source.
    others = Counter(
        images.labels[row["label"]] for row in images.splits["test"] if row["source"] == "plant"
    )
    assert others == {"Crazing": 2, "Patches": 2, "Pitted": 2}
    assert images.division == "partly given"
    assert images.origins["test"] == (
        "as in the data of lab; about 20 % of each class of plant, whole groups of shared surface "
        "at a time (seed 0)"
    )


def test_a_photograph_of_both_sources_is_on_one_side(
    tmp_path: Path, plant: Path, lab: Path
) -> None:
    (plant / "Patches/seen.png").write_bytes((lab / "test/Patches/1.png").read_bytes())
    # Under another class; it is reported, and stays with its surface.
    (plant / "Crazing/other.png").write_bytes((lab / "train/Patches/4.png").read_bytes())
    images = prepared(tmp_path, plant, lab)
    places = placed(images)
    assert places["plant/Patches/seen.png"] == "test"
    assert "1 image of other sources that show the same surface" in images.origins["test"]
    assert places["plant/Crazing/other.png"] == places["lab/train/Patches/4.png"]
    assert images.surfaces is not None
    groups = images.surfaces.groups
    assert groups["plant/Patches/seen.png"] == groups["lab/test/Patches/1.png"]
    [across] = [
        {pair.file_a, pair.file_b} for pair in images.surfaces.pairs if pair.label_a != pair.label_b
    ]
    assert across == {"lab/train/Patches/4.png", "plant/Crazing/other.png"}


@pytest.mark.slow
def test_a_resumed_run_notices_changes_in_each_source(
    tmp_path: Path, plant: Path, lab: Path
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    images = prepared(tmp_path, plant, lab)
    note_images(run_dir, images.contents, DataConfig())
    again = prepared(tmp_path, plant, lab, run_dir=run_dir)
    assert again.digest() == images.digest()
    write_images(lab / "train/Patches", 1, 5000)
    (plant / "Pitted/3.png").unlink()
    with pytest.raises(ConfigError) as caught:
        prepared(tmp_path, plant, lab, run_dir=run_dir)
    assert "1 changed (lab/train/Patches/0.png); 1 missing (plant/Pitted/3.png)" in str(
        caught.value
    )


TABLE = Path("table.csv")


@pytest.mark.parametrize(
    ("flag", "data"),
    [
        ("--class-map", DataConfig(class_map=TABLE)),
        ("--defects", DataConfig(defects=TABLE)),
        ("--split-file", DataConfig(split_file=TABLE)),
    ],
)
def test_a_resumed_run_names_the_table_that_was_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: str, data: DataConfig
) -> None:
    monkeypatch.chdir(tmp_path)
    TABLE.write_text("as it was\n")
    note_images(tmp_path, {"a.png": "0"}, data)
    check_tables(tmp_path, data)
    TABLE.write_text("edited\n")
    with pytest.raises(ConfigError) as caught:
        check_tables(tmp_path, data)
    assert str(caught.value).startswith(f"{flag} {TABLE} was edited since the run in {tmp_path}")


def test_a_run_is_not_resumed_with_another_class_map(tmp_path: Path, plant: Path) -> None:
    table = tmp_path / "map.csv"
    table.write_text("name,class\nPitted,Pits\n")
    data = DataConfig(data_dir=(str(plant),), class_map=table)
    run = RunConfig(cache_dir=tmp_path / "cache")
    [images] = prepare_images(data, run, None, None)
    note_images(tmp_path, images.contents, data)
    table.write_text("name,class\nPitted,\n")
    with pytest.raises(ConfigError, match=r"--class-map .*map\.csv was edited"):
        prepare_images(data, run, None, tmp_path)


@pytest.mark.slow
def test_what_is_wrong_names_the_source(tmp_path: Path, plant: Path, lab: Path) -> None:
    (plant / "Pitted/broken.png").write_bytes(b"no image")
    (plant / "Pitted/scan.docx").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"plant/Pitted/broken\.png"):
        prepared(tmp_path, plant, lab)
    images = prepared(tmp_path, plant, lab, skip_bad_images=True)
    skipped = {bad.file for bad in images.skipped}
    assert skipped == {"plant/Pitted/broken.png", "plant/Pitted/scan.docx"}
    (lab / "train/pitted").mkdir()
    write_images(lab / "train/pitted", 2, 7000)
    (lab / "empty").mkdir()
    write_images(lab / "test/pitted", 2, 7100)
    found = collect_images(DataConfig(data_dir=(str(plant), str(lab))))
    [problem] = found.problems
    assert "Pitted and pitted are alike and differ in upper and lower case" in problem


def test_a_source_of_one_class_adds_to_another(tmp_path: Path, plant: Path) -> None:
    write_images(tmp_path / "more/Pitted", 6, 9000)
    check_layout(DataConfig(data_dir=(str(plant), str(tmp_path / "more"))))
    images = prepared(tmp_path, plant, tmp_path / "more")
    assert sum(len(split) for split in images.splits.values()) == 36
    write_images(tmp_path / "again/Pitted", 6, 9100)
    found = collect_images(DataConfig(data_dir=(str(tmp_path / "more"), str(tmp_path / "again"))))
    assert found.problems == [
        "more, again has only one class (Pitted). A classifier needs two or more: add a folder "
        "for each further class."
    ]


def test_a_class_of_one_source_is_pointed_out(plant: Path, lab: Path) -> None:
    [note] = collect_images(DataConfig(data_dir=(str(plant), str(lab)))).notes
    assert note.startswith("Only plant has images of Pitted: ")


def test_all_problems_of_all_folders_are_reported_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "Crazing").mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        check_layout(DataConfig(data_dir=(str(tmp_path / "one"), str(tmp_path / "two"))))
    assert [f"{tmp_path}/{name}" in str(caught.value) for name in ("one", "two")] == [True, True]


@pytest.mark.parametrize(
    ("named", "names"),
    [
        (("a/photos", "b/photos"), ["photos", "photos-2"]),
        (("a/photos", "b/photos", "c/Photos"), ["photos", "photos-2", "Photos-3"]),
        (("a/photos", "plant=b/photos"), ["photos", "plant"]),
        (("a/photos", "ada/steel", "ada--steel"), ["photos", "ada/steel", "ada--steel-2"]),
        (("a=b/photos",), ["photos"]),
        (("photos-2", "a/photos", "b/photos"), ["photos-2", "photos", "photos-3"]),
    ],
)
def test_names_of_sources_are_unique(
    named: tuple[str, ...], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("a/photos", "b/photos", "c/Photos", "a=b/photos", "ada--steel", "photos-2"):
        Path(place).mkdir(parents=True)
    assert [source.name for source in find_sources(DataConfig(data_dir=named))] == names


@pytest.mark.parametrize("other", ["images", "./images", "images/train", ".", "link", "x=images"])
def test_the_same_images_twice_are_refused(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images/train").mkdir(parents=True)
    Path("link").symlink_to("images")
    with pytest.raises(DataError, match="hold the same images"):
        find_sources(DataConfig(data_dir=("images", other)))
    with pytest.raises(DataError, match="hold the same images"):
        find_sources(DataConfig(data_dir=("ada/steel", "ada/steel")))


def test_a_name_before_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    [source] = find_sources(DataConfig(data_dir=("plant=images",)))
    assert source == Source("images", "folder", "plant")
    with pytest.raises(DataError, match="There is no folder imags"):
        find_sources(DataConfig(data_dir=("plant=imags",)))


FEATURES = Features(
    label=ClassLabel(names=list("AB")),
    file=Value("string"),
    source=Value("string"),
    group=Value("int64"),
)


def rows(name: str, groups: Mapping[int, str], split: str) -> Dataset:
    """Return a row for each letter of each group: its class."""
    found = [
        ("AB".index(label), f"{name}/{split}/{group}-{place}", name, group)
        for group, labels in groups.items()
        for place, label in enumerate(labels)
    ]
    columns = zip(*found, strict=True) if found else [()] * len(FEATURES)
    named = zip(FEATURES, map(list, columns), strict=True)
    return Dataset.from_dict(dict(named), features=FEATURES)


# Groups by their number, so that sources share some of them.
shared_groups = st.dictionaries(st.integers(0, 40), st.sampled_from(["A", "B", "AA", "AAB", "BBB"]))


@settings(max_examples=60, deadline=None)
@given(
    first=shared_groups,
    second=shared_groups,
    third=shared_groups,
    seed=st.integers(0, 9),
    fractions=st.sampled_from([(0.2, 0.1), (0.5, 0.3)]),
    folds=st.sampled_from([0, 0, 2]),
    validated=st.booleans(),
)
@pytest.mark.slow
def test_no_surface_is_in_two_splits_whatever_the_sources(
    first: dict[int, str],
    second: dict[int, str],
    third: dict[int, str],
    seed: int,
    fractions: tuple[float, float],
    folds: int,
    validated: bool,
) -> None:
    # Enough of each class elsewhere, so that a split exists.
    plenty = {number: "AB"[number % 2] for number in range(100, 140)}
    held = {number: "AB"[number % 2] for number in range(200, 206)}
    parts = {
        "train": [rows("one", first | plenty, "train"), rows("two", second, "train")],
        "test": [rows("three", held | {n: s for n, s in third.items() if n > 20}, "test")],
    }
    parts["train"].append(rows("three", {n: s for n, s in third.items() if n <= 10}, "train"))
    if validated:
        inner = {n: s for n, s in third.items() if 10 < n <= 20}
        parts["validation"] = [rows("three", inner | {300: "A", 301: "B"}, "validation")]
    whole = DatasetDict({name: concatenate_datasets(found) for name, found in parts.items()})
    config = DataConfig(test_fraction=fractions[0], validation_fraction=fractions[1], folds=folds)
    made = divide_into_folds(whole, config, seed) if folds else [divide(whole, config, seed)]
    everything = sorted(file for split in whole.values() for file in split["file"])
    for splits, _, division in made:
        assert sorted(file for split in splits.values() for file in split["file"]) == everything
        groups = [set(split["group"]) for split in splits.values()]
        assert sum(map(len, groups)) == len(set().union(*groups))
        assert division == ("grouped" if folds else "partly given")
        if not folds:
            tested = {file for file in splits["test"]["file"] if file.startswith("three/")}
            assert tested == set(parts["test"][0]["file"])
            assert set(splits["test"]["source"]) >= {"one", "three"}


def test_each_source_gives_its_share_of_each_class() -> None:
    sizes = {"one": 60, "two": 20, "three": 40}
    whole = DatasetDict(
        train=concatenate_datasets(
            [
                rows(name, {1000 * place + n: "AB"[n % 2] for n in range(size)}, "train")
                for place, (name, size) in enumerate(sizes.items())
            ]
        )
    )
    for config in (DataConfig(), DataConfig(random_split=True)):
        for seed in range(5):
            splits, _, _ = divide(whole, config, seed)
            tested = Counter(
                (row["source"], "AB"[row["label"]]) for row in splits["test"].to_list()
            )
            assert tested == {
                (name, label): size // 10 for name, size in sizes.items() for label in "AB"
            }


@pytest.mark.slow
def test_training_on_some_sources_tests_on_all(tmp_path: Path, plant: Path, lab: Path) -> None:
    both = prepared(tmp_path, plant, lab, train_on=("plant", "lab"))
    one = prepared(tmp_path, plant, lab, train_on=("lab",))
    assert one.labels == both.labels == ["Crazing", "Patches"]
    assert one.unshared == both.unshared == {"Pitted": 10}
    assert list(one.splits["test"]["file"]) == list(both.splits["test"]["file"])
    assert set(one.splits["test"]["source"]) == {"plant", "lab"}
    for name in ("train", "validation"):
        assert set(one.splits[name]["source"]) == {"lab"}
        own = [file for file in both.splits[name]["file"] if file.startswith("lab/")]
        assert list(one.splits[name]["file"]) == own
    with pytest.raises(DataError, match=r"no such source, only plant, lab\."):
        prepared(tmp_path, plant, lab, train_on=("labs",))


def test_a_class_without_training_images_is_refused() -> None:
    whole = DatasetDict(
        train=concatenate_datasets([rows("one", {1: "AB"}, "t"), rows("two", {2: "A"}, "t")]),
        validation=rows("two", {3: "A"}, "v"),
        test=rows("two", {4: "AB"}, "s"),
    )
    with pytest.raises(DataError, match="the class B has no training image there"):
        train_on_some(whole, ("two",))
    with pytest.raises(DataError, match="no image is left for validation"):
        train_on_some(whole, ("one",))


def test_accuracy_by_source() -> None:
    split = concatenate_datasets(
        [rows("one", {1: "AAA", 2: "B"}, "s"), rows("two", {3: "A", 4: "B"}, "s")]
    )
    found = _by_source(split, np.array([True, True, True, False, True, True]))
    assert [(each.source, each.images, each.accuracy.value) for each in found] == [
        ("one", 4, 0.75),
        ("two", 2, 1.0),
    ]
    assert found[0].accuracy.low < 0.75 < found[0].accuracy.high
    alone = split.select(range(4))
    assert _by_source(alone, np.array([True] * 4)) == []
