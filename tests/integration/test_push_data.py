"""A folder becomes a dataset on the Hub, and comes back with the same splits, groups and boxes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import datasets
import pytest
from huggingface_hub import DatasetCard, HfApi

from tests.conftest import Run
from tests.loopback_hub import LoopbackHub
from tests.support.drawn_boxes import write_boxes
from trainer.config.groups import DataConfig, RunConfig
from trainer.data.splits.dataset import prepare_images
from trainer.publishing.data_card import data_card
from trainer.publishing.data_folder import _stored_name
from trainer.synthetic.samples import draw_image

CLASSES = ("Crazing", "Patches")
REPO = "ada/plates"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of each class; two of Patches show the same surface."""
    place = tmp_path / "plates"
    for label in CLASSES:
        (place / label).mkdir(parents=True)
        for seed in range(6):
            draw_image(label, seed).resize((64, 64)).save(place / label / f"{label} [{seed}].png")
    shutil.copyfile(place / "Patches/Patches [0].png", place / "Patches/copy.png")
    return place


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_dataset_comes_back_with_its_splits_groups_and_boxes(
    command: Run, hub: LoopbackHub, token: str, folder: Path, tmp_path: Path
) -> None:
    write_boxes(tmp_path / "boxes", folder)
    (tmp_path / "boxes/Crazing/Crazing [0].xml").unlink()
    options = [
        "--data-dir",
        str(folder),
        "--repo-id",
        REPO,
        "--license",
        "cc-by-4.0",
        "--seed",
        "5",
    ]
    code, out, err = command("push_data.py", *options, "--boxes", str(tmp_path / "boxes"))
    assert code == 0, err
    assert out.strip() == f"{hub.url}/datasets/{REPO}"
    assert HfApi().dataset_info(REPO).private
    data = DataConfig(data_dir=(str(folder),))
    [images] = prepare_images(data, RunConfig(seed=5), None, None)
    [others] = prepare_images(data, RunConfig(), None, None)
    assert images.splits["test"]["file"][:] != others.splits["test"]["file"][:]
    loaded = datasets.load_dataset(REPO)
    expected, found = {}, {}
    for name, split in images.splits.items():
        for row in split:
            expected[row["file"]] = (name, images.labels[row["label"]], row["group"])
        undecoded = loaded[name].cast_column("image", datasets.Image(decode=False))
        for row in undecoded:
            found[row["source_file"]] = (name, row["label"], row["group"])
            stored = Path(row["image"]["path"]).read_bytes()
            assert digest(stored) == images.contents[row["source_file"]]
            boxed = row["source_file"] != "Crazing/Crazing [0].png"
            # As written: the middle half of 200 × 200 pixels, here of 64 × 64.
            assert row["objects"]["bbox"] == ([[16.0, 0.0, 32.0, 64.0]] if boxed else [])
            assert row["objects"]["category"] == ([row["label"].lower()] if boxed else [])
    assert found == expected
    assert found["Patches/copy.png"][2] == found["Patches/Patches [0].png"][2]
    # What trains on it has the very same splits.
    [again] = prepare_images(DataConfig(data_dir=(REPO,)), RunConfig(), None, None)
    for name, split in images.splits.items():
        assert sorted(again.contents[file] for file in again.splits[name]["file"]) == sorted(
            images.contents[file] for file in split["file"]
        )
    assert again.division == "given"
    assert again.labels == images.labels
    card = DatasetCard.load(REPO)
    assert card.data.license == "cc-by-4.0"
    assert f'load_dataset("{REPO}")' in card.text
    assert "1 pair shares surface; there are 12 separate pieces of surface." in card.text
    # The same again changes nothing; a smaller folder removes what is gone.
    before = HfApi().dataset_info(REPO).sha
    assert command("push_data.py", *options, "--boxes", str(tmp_path / "boxes"))[0] == 0
    assert HfApi().dataset_info(REPO).sha == before
    (folder / "Patches/copy.png").unlink()
    assert command("push_data.py", *options)[0] == 0
    files = [file for file in HfApi().list_repo_files(REPO, repo_type="dataset") if "png" in file]
    assert len(files) == 12


def test_several_folders_become_one_dataset(
    command: Run, hub: LoopbackHub, token: str, folder: Path, tmp_path: Path
) -> None:
    lab = tmp_path / "lab"
    for label in ("crz", "Patches", "Dirt"):
        (lab / "images" / label).mkdir(parents=True)
        for seed in range(20, 23):
            drawn = draw_image("Crazing" if label == "crz" else "Patches", seed)
            drawn.resize((64, 64)).save(lab / "images" / label / f"{seed}.png")
    write_boxes(lab / "annotations", lab / "images")
    table = tmp_path / "map.csv"
    table.write_text("name,class,source\ncrz,Crazing,lab\nDirt,,lab\n")
    options = ["--data-dir", str(folder), "--data-dir", str(lab), "--class-map", str(table)]
    code, _, err = command("push_data.py", *options, "--repo-id", REPO)
    assert code == 0, err
    loaded = datasets.load_dataset(REPO)
    rows = [row for split in loaded.values() for row in split.remove_columns("image")]
    found = {row["source_file"]: (row["source"], row["label"]) for row in rows}
    expected = {
        f"plates/{label}/{label} [{seed}].png": ("plates", label)
        for label in CLASSES
        for seed in range(6)
    }
    for name, label in (("crz", "Crazing"), ("Patches", "Patches")):
        expected |= {f"lab/images/{name}/{seed}.png": ("lab", label) for seed in range(20, 23)}
    assert found == expected | {"plates/Patches/copy.png": ("plates", "Patches")}
    boxed = {row["source_file"] for row in rows if row["objects"]["bbox"]}
    assert boxed == {file for file in expected if file.startswith("lab/")}
    assert (
        "19 images" in DatasetCard.load(REPO).text or "| Crazing |" in DatasetCard.load(REPO).text
    )


def test_a_dataset_of_the_hub_trains_beside_a_folder(
    command: Run, hub: LoopbackHub, token: str, folder: Path, tmp_path: Path
) -> None:
    assert command("push_data.py", "--data-dir", str(folder), "--repo-id", REPO)[0] == 0
    lab = tmp_path / "lab"
    for label in ("crz", "Patches"):
        (lab / label).mkdir(parents=True)
        for seed in range(20, 26):
            drawn = draw_image("Crazing" if label == "crz" else "Patches", seed)
            drawn.resize((64, 64)).save(lab / label / f"{seed}.png")
    shutil.copyfile(folder / "Patches/Patches [1].png", lab / "Patches/copy.png")
    table = tmp_path / "map.csv"
    table.write_text(f"name,class,source\ncrz,Crazing,lab\nPatches,Patches,{REPO}\n")
    data = DataConfig(data_dir=(str(lab), REPO), class_map=table)
    [images] = prepare_images(data, RunConfig(), None, None)
    assert images.labels == list(CLASSES)
    assert [(each.name, each.kind) for each in images.sources] == [("lab", "folder"), (REPO, "hub")]
    assert images.sources[1].revision == HfApi().dataset_info(REPO).sha
    placed = {
        file: (name, source)
        for name, split in images.splits.items()
        for file, source in zip(split["file"], split["source"], strict=True)
    }
    assert sum(source == "lab" for _, source in placed.values()) == 13
    of_hub = {file for file, (_, source) in placed.items() if source == REPO}
    assert len(of_hub) == 13
    assert all(file.startswith("ada--plates/") for file in of_hub)
    # The dataset on the Hub brings its splits; the copy of one of its images is found.
    assert images.surfaces is not None
    [copy] = [pair for pair in images.surfaces.pairs if pair.file_a == "lab/Patches/copy.png"]
    assert copy.file_b in of_hub


def test_other_contents_and_public_repositories_are_not_replaced(
    command: Run, hub: LoopbackHub, token: str, folder: Path
) -> None:
    hub.put("dataset", REPO, {"theirs.csv": b"a,b\n"})
    code, _, err = command("push_data.py", "--data-dir", str(folder), "--repo-id", REPO)
    assert code == 2
    assert f"The dataset {REPO} exists already and holds something else (theirs.csv)" in err
    files = HfApi().list_repo_files(REPO, repo_type="dataset")
    assert sorted(files) == [".gitattributes", "theirs.csv"]
    options = ["--data-dir", str(folder), "--repo-id", "ada/open"]
    assert command("push_data.py", *options, "--no-private")[0] == 0
    assert not HfApi().dataset_info("ada/open").private
    code, _, err = command("push_data.py", *options)
    assert (code, "is public, but a dataset is private by default" in err) == (2, True)
    assert "or pass --no-private." in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--repo-id is missing: name the dataset USER/NAME."),
        (["--repo-id", REPO, "--folds", "5"], "--folds does not go with push_data.py"),
        (["--repo-id", REPO, "--license", "mine"], "--license mine is not a license id"),
        (["--repo-id", REPO, "--test-fraction", "2"], "--test-fraction must be above 0"),
        (["--repo-id", REPO, "--boxes", "none"], "--boxes none does not exist"),
        (["--repo-id", REPO, "--seed", "-1"], "--seed must be at least 0, not -1"),
        (["--repo-id", "bob/plates"], "bob/plates would belong to bob"),
    ],
)
def test_bad_options_are_refused_in_words(
    command: Run, hub: LoopbackHub, token: str, folder: Path, options: list[str], said: str
) -> None:
    code, out, err = command("push_data.py", "--data-dir", str(folder), *options)
    assert (code, out) == (2, "")
    assert said in err
    assert not HfApi().repo_exists(REPO, repo_type="dataset")


def test_options_of_a_training_are_refused_by_name(
    command: Run, hub: LoopbackHub, token: str, folder: Path
) -> None:
    given = ["--folds", "5", "--multi-label", "--publish-images"]
    given += ["--feedback", str(folder), "--defects", str(folder)]
    code, _, err = command("push_data.py", "--data-dir", str(folder), "--repo-id", REPO, *given)
    assert code == 2
    for name in given:
        if name.startswith("--"):
            assert f"{name} does not go with push_data.py" in err


@pytest.mark.parametrize(
    ("number", "file", "stored"),
    [(999, "a.PNG", "000/000999.png"), (1000, "b/[c].tif", "001/001000.tif")],
)
def test_a_folder_on_the_hub_holds_a_thousand_images(number: int, file: str, stored: str) -> None:
    assert _stored_name(number, file) == stored


def test_the_card_states_each_number() -> None:
    facts = {
        "labels": ["A|B", "C"],
        "images": {"train": {"A|B": 11, "C": 12}, "test": {"A|B": 3, "C": 4}},
        "origins": {"train": "the rest", "test": "as in the data"},
        "skipped": 2,
        "groups": 25,
        "pairs": 6,
        "leakage": [{"split": "test", "seen_in": "training", "images": 5, "of": 7}],
        "random_split": 0.431,
        "boxed": 9,
    }
    card = data_card(facts, None)
    assert "license" not in card
    assert "| A&#124;B | 11 | 3 |\n| C | 12 | 4 |" in card
    assert "6 pairs share surface; there are 25 separate pieces" in card
    assert "5 of 7 test images share surface with training images." in card
    assert "43.1\u00a0% of the test would" in card
    assert "2 files could not be read and left out." in card
    assert "9 images with a box" in card
    assert "n<1K" in card
    # A thousand is no longer below a thousand.
    facts["images"] = {"train": {"A|B": 900, "C": 50}, "test": {"A|B": 25, "C": 25}}
    assert "1K<n<10K" in data_card(facts, None)
