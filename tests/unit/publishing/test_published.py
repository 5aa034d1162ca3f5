"""A published folder is pushed only as training wrote it: damage by generated variation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_card.card import write_card
from model_card.schema.report import Report
from tests.support.damages import DAMAGES
from trainer.errors import DataError
from trainer.publishing.published import check_published


@pytest.fixture
def folder(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "published"))


FILES = [
    *("model.safetensors", "config.json", "report.json", "decision.json", "decision.safetensors"),
    "figures/confusion_matrix.png",
]


def test_a_whole_folder_is_accepted(folder: Path) -> None:
    report = check_published(folder)
    # What a push does, with the card that the next push finds.
    write_card(folder, "ada/steel")
    assert check_published(folder) == report
    (folder / ".DS_Store").write_bytes(b"x")
    check_published(folder)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_damage_is_named(folder: Path, file: str, damage: str) -> None:
    DAMAGES[damage](folder / file)
    with pytest.raises(DataError) as refused:
        check_published(folder)
    assert file in str(refused.value)
    assert "id_rsa" not in str(refused.value)
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize("damage", ["deleted", "link", "loop", "folder", "FIFO"])
def test_a_card_that_is_no_plain_file_is_refused(folder: Path, damage: str) -> None:
    """It would be written to, wherever it leads."""
    DAMAGES[damage](folder / "README.md")
    with pytest.raises(DataError, match=r"README\.md"):
        check_published(folder)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_change_of_any_file_is_noticed(
    package: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("copy") / "published"
    shutil.copytree(package, folder)
    file = folder / data.draw(st.sampled_from(FILES))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    if file.name == "report.json" and bytes(content).strip() == (package / file.name).read_bytes():
        return
    try:
        report = check_published(folder)
    except DataError as error:
        assert file.name in str(error)
    else:
        # White space between the facts of a report is not one of them.
        assert file.name == "report.json"
        assert report == Report.read(package)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("notes.txt", r"training did not write: notes\.txt\."),
        ("figures/secret.png", r"training did not write: figures/secret\.png\."),
        ("wandb/run/token", r"training did not write: wandb/run/token\."),
        ("figures/data.pkl", r"may run code when they are read: figures/data\.pkl\."),
        ("last.CKPT", r"may run code when they are read: last\.CKPT\."),
    ],
)
def test_other_files_are_named(folder: Path, name: str, says: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(DataError, match=says):
        check_published(folder)


def test_many_other_files_are_counted(folder: Path) -> None:
    for number in range(1000):
        (folder / f"note-{number:04}.txt").write_bytes(b"")
    with pytest.raises(DataError, match=r"note-0004\.txt and 995 more\. Move them"):
        check_published(folder)


def test_links_of_whole_folders_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private/id_rsa").write_bytes(b"x")
    (folder / "examples").symlink_to(tmp_path / "private")
    with pytest.raises(DataError, match=r"not followed: examples\."):
        check_published(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(DataError, match="is not a folder, or a link to one"):
        check_published(link)


def test_the_folder_of_an_earlier_version_has_its_weights_checked(folder: Path) -> None:
    """It holds no checksums, only the size of the weights."""
    report = Report.read(folder)
    size = (folder / "model.safetensors").stat().st_size
    export = report.export.model_copy(update={"files": None, "weights_bytes": size})
    earlier = report.model_copy(update={"export": export})
    (folder / "report.json").write_text(earlier.model_dump_json())
    assert check_published(folder) == earlier
    for damage in ("empty", "truncated", "longer", "null"):
        weights = (folder / "model.safetensors").read_bytes()
        DAMAGES[damage](folder / "model.safetensors")
        with pytest.raises(DataError, match=rf"model\.safetensors is damaged.* {size:,} bytes"):
            check_published(folder)
        (folder / "model.safetensors").write_bytes(weights)
