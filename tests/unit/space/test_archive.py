"""Untrusted zips: each file is read within bounds or refused in words, whatever its name."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path, PureWindowsPath
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space.batch import archive
from space.batch.archive import Archive
from space.batch.items import BatchError, Contents, Item, collect
from space.inference.images.reader import ImageError
from space.inference.text.file_names import FileNames, shown_name
from space.server.uploads import MAX_FILES

MODE_BITS = 16


def _zip(path: Path, files: dict[str, bytes] | list[tuple[Any, bytes]], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, content in files.items() if isinstance(files, dict) else files:
            file.writestr(name, content)
    return path


def _content(opened: Path | IO[bytes]) -> bytes:
    return opened.read_bytes() if isinstance(opened, Path) else opened.read()


def _read(path: Path) -> dict[str, bytes | str]:
    """Return the content of each file of a zip, or why it can't be read."""
    items, _ = collect([(path, path.name)])
    found: dict[str, bytes | str] = {}
    with Contents() as contents:
        for item in items:
            try:
                opened = contents.open(item)
                found[item.name] = (
                    opened.read_bytes() if isinstance(opened, Path) else opened.read()
                )
            except ImageError as error:
                found[item.name] = str(error)
    return found


def test_files_are_read_and_those_of_the_system_are_left_out(tmp_path: Path) -> None:
    names = ["a.png", "coil 1/b.png", "coil 1/Thumbs.db", "__MACOSX/._a.png", ".DS_Store"]
    path = _zip(tmp_path / "a.zip", {"coil 1/": b""} | {name: name.encode() for name in names})
    assert _read(path) == {"a.png": b"a.png", "coil 1/b.png": b"coil 1/b.png"}
    items, skipped = collect([(path, "a.zip"), (path, "b.zip")])
    assert [item.name for item in items] == [
        *("a.zip/a.png", "a.zip/coil 1/b.png"),
        *("b.zip/a.png", "b.zip/coil 1/b.png"),
    ]
    assert skipped == 6
    # A chosen folder holds them, too.
    files = [(tmp_path / "a.png", f"folder/{name}") for name in names]
    (tmp_path / "a.png").write_bytes(b"a.png")
    items, skipped = collect(files)
    assert [item.name for item in items] == ["folder/a.png", "folder/coil 1/b.png"]
    assert skipped == 3
    with pytest.raises(BatchError, match="No images were chosen"):
        collect(files[-1:])


def test_a_zip_is_found_by_its_content(tmp_path: Path) -> None:
    _zip(tmp_path / "photo.png", {"a.png": b"1"})
    assert _read(tmp_path / "photo.png") == {"a.png": b"1"}
    (tmp_path / "no.zip").write_bytes(b"\x89PNG")
    assert _read(tmp_path / "no.zip") == {"no.zip": b"\x89PNG"}


def _link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << MODE_BITS
    return info


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ((_link(), b"/etc/passwd"), "a link or a special file"),
        (("inner.zip", b"whatever"), "an archive within the zip"),
        (("inner.TAR", b"whatever"), "an archive within the zip"),
        (("photo.png", b"PK\x03\x04whatever"), "a zip within the zip"),
    ],
)
def test_what_is_no_image_has_its_reason(
    tmp_path: Path, entry: tuple[Any, bytes], says: str
) -> None:
    found = _read(_zip(tmp_path / "a.zip", [entry, ("good.png", b"1")]))
    [bad, good] = found.values()
    assert says in str(bad)
    assert good == b"1"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_take_much_memory_are_not_used(tmp_path: Path, method: int) -> None:
    path = _zip(tmp_path / "a.zip", {"a.png": bytes(1000)}, compression=method)
    assert "Deflate" in str(_read(path)["a.png"])


def _changed(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrite a field of the last header with this signature."""
    content = bytearray(path.read_bytes())
    start = content.rindex(signature) + offset
    content[start : start + len(value)] = value
    path.write_bytes(content)
    return path


DIRECTORY = b"PK\x01\x02"


def test_an_encrypted_file_has_its_reason(tmp_path: Path) -> None:
    path = _changed(_zip(tmp_path / "a.zip", {"a.png": b"1"}), DIRECTORY, 8, b"\x01\x00")
    assert "encrypted" in str(_read(path)["a.png"])


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (16, b"\0\0\0\0"),  # checksum
        (20, struct.pack("<I", 7)),  # packed size
        (24, struct.pack("<I", 9)),  # size
        (42, struct.pack("<I", 2**31)),  # offset of the file
        (46, b"b"),  # name
    ],
)
def test_a_damaged_file_has_its_reason(tmp_path: Path, offset: int, value: bytes) -> None:
    path = _zip(tmp_path / "a.zip", {"a.png": bytes(5000)}, compression=zipfile.ZIP_DEFLATED)
    [found] = _read(_changed(path, DIRECTORY, offset, value)).values()
    assert "damaged" in str(found)


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = _zip(tmp_path / "a.zip", {"a.png": bytes(10**6)}, compression=zipfile.ZIP_DEFLATED)
    assert _read(flat)["a.png"] == bytes(10**6)
    monkeypatch.setattr(archive, "RATIO_FROM_BYTES", 10**5)
    assert "times its size" in str(_read(flat)["a.zip"])
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 10**5)
    assert "can be read at once" in str(_read(flat)["a.zip"])
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 10**5)
    assert "larger than" in str(_read(flat)["a.png"])


def test_a_declared_size_is_the_most_that_is_read(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {"a.png": bytes(10**6)}, compression=zipfile.ZIP_DEFLATED)
    opened = Archive(_changed(path, DIRECTORY, 24, struct.pack("<I", 10)))
    with pytest.raises(ImageError, match="damaged"):
        opened.content(0)
    opened.close()


def test_a_long_list_of_files_is_refused(tmp_path: Path) -> None:
    many = {f"{number}.png": b"" for number in range(MAX_FILES + 1)}
    path = _zip(tmp_path / "a.zip", many)
    assert "holds 2,001 files; at most 2,000" in str(_read(path)["a.zip"])
    path = _zip(tmp_path / "b.zip", {f"{n:060000}.png": b"" for n in range(80)})
    assert "list of files" in str(_read(path)["b.zip"])
    # A list that claims to be long, in a file that is not.
    path = _zip(tmp_path / "c.zip", {"a.png": b""})
    _changed(path, b"PK\x05\x06", 12, b"\xff\xff\xff\x7f")
    assert "damaged" in str(_read(path)["c.zip"]) or "list of files" in str(_read(path)["c.zip"])


def test_a_batch_has_a_limit_over_all_zips(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", {f"{number}.png": b"" for number in range(MAX_FILES)})
    assert len(collect([(path, "a.zip")])[0]) == MAX_FILES
    with pytest.raises(BatchError, match="more than 2,000"):
        collect([(path, "a.zip"), (path, "b.zip")])
    with pytest.raises(BatchError, match="No images"):
        collect([])


@pytest.mark.parametrize("content", [b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"PK\x07\x08" * 9])
def test_a_zip_without_files_is_a_row_with_the_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    [reason] = _read(tmp_path / "a.zip").values()
    assert "damaged" in str(reason) or "no files" in str(reason)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("zips") / "a.zip"
    path.write_bytes(b"PK\x03\x04" + content)
    assert all(isinstance(reason, str) for reason in _read(path).values())


def test_a_deleted_upload_is_a_row_with_the_reason(tmp_path: Path) -> None:
    items, _ = collect([(tmp_path / "gone.png", "b.png")])
    with Contents() as contents:
        for item in [*items, Item("c.png", tmp_path / "gone.zip", member=0)]:
            with pytest.raises(ImageError, match="deleted in the meantime"):
                contents.open(item)


HOSTILE = st.text(
    st.characters() | st.sampled_from("/\\.\0\n\u202e: "),
    max_size=30,
) | st.sampled_from(
    ["../../x.png", "/etc/passwd", "C:\\x.png", "..\\x.png", "con.png", "a\0.png", "nul", "x" * 400]
)


@given(names=st.lists(HOSTILE, min_size=1, max_size=8))
def test_names_are_fit_to_be_shown_and_to_be_written(names: list[str]) -> None:
    given_names = FileNames()
    paths = [given_names.free(f"accepted/A/{name.replace('/', '_')}") for name in names]
    assert len({str(path).casefold() for path in paths}) == len(names)
    for path in paths:
        assert path.parts[:2] == ("accepted", "A")
        assert len(path.parts) == len(PureWindowsPath(str(path)).parts) == 3
        assert path.name not in ("", ".", "..")
        assert not PureWindowsPath(path.name).drive
        assert not set(path.name) & set('\0\n\u202e<>:"/\\|?*')
        assert path.stem.casefold() not in ("con", "nul")
    for name in names:
        shown = shown_name(name)
        assert 0 < len(shown) <= 200
        assert shown.isprintable()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(names=st.lists(HOSTILE, min_size=1, max_size=5))
def test_files_with_hostile_names_are_read_and_nothing_is_extracted(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("zips")
    infos = []
    for name in names:
        info = zipfile.ZipInfo("a")
        # The constructor would cut the name at a NUL.
        info.filename = name.encode("utf-8", "replace").decode()
        infos.append(info)
    _zip(folder / "a.zip", [(info, b"content") for info in infos])
    items, skipped = collect([(folder / "a.zip", "a.zip")])
    with Contents() as contents:
        for item in items:
            assert item.name.isprintable()
            if item.problem is None:
                try:
                    opened = contents.open(item)
                except ImageError as error:
                    # zipfile shortens a name with a NUL in one of its two places.
                    assert "damaged" in str(error)
                else:
                    assert not isinstance(opened, Path)
                    assert opened.read() == b"content"
    assert len(items) + skipped <= len(names)
    assert [path.name for path in folder.iterdir()] == ["a.zip"]
