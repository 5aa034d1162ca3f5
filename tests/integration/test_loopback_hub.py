"""The loopback hub behaves like the real one towards the real clients."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from datasets import load_dataset
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    SpaceHardware,
    get_session,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.lfs import UploadInfo, post_lfs_batch_info
from PIL import Image

from tests.loopback_hub import LoopbackHub
from tests.loopback_hub.base_models import put_base_model

WEIGHTS = bytes(range(256)) * 1000
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder with a text, a large file and one in a folder of its own."""
    folder = tmp_path / "upload"
    (folder / "figures").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Steel\n")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "figures" / "roc curve.png").write_bytes(b"\x89PNG\0")
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_what_is_uploaded_is_downloaded(
    hub: LoopbackHub, token: str, folder: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "space":
        (folder / "README.md").write_text("---\nsdk: gradio\ncolorFrom: gray\n---\n")
    api = HfApi()
    api.create_repo("ada/steel", repo_type=kind, space_sdk="gradio" if kind == "space" else None)
    api.upload_folder(repo_id="ada/steel", repo_type=kind, folder_path=folder)
    copy = tmp_path / "copy"
    snapshot_download("ada/steel", repo_type=kind, local_dir=copy)
    got = _contents(copy)
    assert got.pop(".gitattributes")
    assert got == _contents(folder)


def test_large_files_travel_once(hub: LoopbackHub, token: str, folder: Path) -> None:
    api = HfApi()
    api.create_repo("ada/steel")
    api.upload_folder(repo_id="ada/steel", folder_path=folder)
    api.create_repo("ada/copy")
    api.upload_folder(repo_id="ada/copy", folder_path=folder)
    uploads = [request.path for request in hub.requests if request.method == "PUT"]
    assert f"/lfs-uploads/{hashlib.sha256(WEIGHTS).hexdigest()}" in uploads
    assert len(uploads) == 2, "weights and picture, for both repositories together"
    assert hub.read("model", "ada/copy", "model.safetensors") == WEIGHTS
    # Nothing has changed, so the client makes no commit.
    api.upload_folder(repo_id="ada/copy", folder_path=folder)
    assert len(hub.repo("model", "ada/copy").pushes) == 1


def test_every_revision_stays(hub: LoopbackHub, token: str) -> None:
    api = HfApi()
    api.create_repo("ada/steel")
    first, second = (
        api.create_commit(
            "ada/steel",
            [CommitOperationAdd("note.txt", text.encode())],
            commit_message=f"Say {text}",
        )
        for text in ("one", "two")
    )
    assert Path(hf_hub_download("ada/steel", "note.txt")).read_text() == "two"
    old = hf_hub_download("ada/steel", "note.txt", revision=first.oid)
    assert Path(old).read_text() == "one"
    assert [commit.title for commit in api.list_repo_commits("ada/steel")] == [
        "Say two",
        "Say one",
        "initial commit",
    ]
    assert api.model_info("ada/steel").sha == second.oid
    assert api.model_info("ada/steel", revision=first.oid).sha == first.oid


def test_missing_things_have_their_errors(hub: LoopbackHub, token: str) -> None:
    hub.put("model", "ada/steel", {"note.txt": b"one"})
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("ada/steel", "other.txt")
    with pytest.raises(RevisionNotFoundError):
        hf_hub_download("ada/steel", "note.txt", revision="0" * 40)
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("ada/stone", "note.txt")


def test_files_and_folders_are_deleted(hub: LoopbackHub, token: str) -> None:
    hub.put("model", "ada/steel", {"a.txt": b"a", "old/b.txt": b"b", "old/c.txt": b"c"})
    HfApi().create_commit(
        "ada/steel",
        [
            CommitOperationDelete("a.txt"),
            CommitOperationDelete("old/"),
            CommitOperationAdd("new.txt", b"n"),
        ],
        commit_message="Tidy up",
    )
    assert set(HfApi().list_repo_files("ada/steel")) == {".gitattributes", "new.txt"}
    with pytest.raises(EntryNotFoundError):
        HfApi().delete_file("a.txt", "ada/steel")


def test_the_tree_is_listed_flat_and_deep(hub: LoopbackHub) -> None:
    hub.put("model", "ada/steel", {"a.txt": b"12345", "deep/er/w.safetensors": WEIGHTS})
    api = HfApi()
    assert [entry.path for entry in api.list_repo_tree("ada/steel")] == [
        ".gitattributes",
        "a.txt",
        "deep",
    ]
    assert [entry.path for entry in api.list_repo_tree("ada/steel", "deep", recursive=True)] == [
        "deep/er",
        "deep/er/w.safetensors",
    ]
    small, large = api.get_paths_info("ada/steel", ["a.txt", "deep/er/w.safetensors", "no.txt"])
    # What `printf 12345 | git hash-object --stdin` prints.
    assert small.blob_id == "bd41cba781d8349272bf3eb92568285b411c027c"  # type: ignore[union-attr]
    assert large.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("user", "role", "repo_id", "status"),
    [
        ("ada", "write", "ada/steel", 200),
        ("ada", "write", "mill/steel", 200),
        ("ada", "write", "bob/steel", 403),
        ("ada", "read", "ada/steel", 403),
        (None, None, "ada/steel", 401),
        ("nobody", None, "ada/steel", 401),
    ],
)
def test_who_may_write(
    hub: LoopbackHub, user: str | None, role: str | None, repo_id: str, status: int
) -> None:
    known: str | bool = hub.add_token(user, role) if user and role else False  # type: ignore[arg-type]
    token = "hf_unknown" if user == "nobody" else known
    api = HfApi(token=token)
    if status == 200:
        api.create_repo(repo_id)
        assert hub.has_repo("model", repo_id)
        return
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo(repo_id)
    assert refused.value.response.status_code == status
    assert not hub.has_repo("model", repo_id)
    hub.put("model", repo_id, {"a.txt": b"a"})
    with pytest.raises(HfHubHTTPError) as refused:
        api.delete_file("a.txt", repo_id)
    assert refused.value.response.status_code == status
    assert hub.read("model", repo_id, "a.txt") == b"a"


def test_private_repositories_are_seen_by_their_owners_only(hub: LoopbackHub) -> None:
    hub.put("model", "ada/secret", {"a.txt": b"a"}, private=True)
    assert HfApi(token=hub.add_token("ada", "read")).model_info("ada/secret").private
    for other in (False, hub.add_token("bob")):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(token=other).model_info("ada/secret")
        with pytest.raises(RepositoryNotFoundError):
            hf_hub_download("ada/secret", "a.txt", token=other)


def test_a_name_is_given_once(hub: LoopbackHub, token: str) -> None:
    api = HfApi()
    api.create_repo("ada/steel")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("ada/steel")
    assert api.create_repo("ada/steel", exist_ok=True) == f"{hub.url}/ada/steel"
    # Models, Spaces and datasets have names of their own.
    api.create_repo("ada/steel", repo_type="dataset")


def test_who_am_i(hub: LoopbackHub) -> None:
    me = HfApi(token=hub.add_token("ada", "read")).whoami()
    assert me["name"] == "ada"
    assert [organisation["name"] for organisation in me["orgs"]] == ["mill"]
    assert me["auth"]["accessToken"]["role"] == "read"


@pytest.mark.parametrize(
    ("front_matter", "complaint"),
    [
        ("license: [mit", "YAML"),
        ("license: steel", '"license" must be one of'),
        ("tags: vision", '"tags" must be an array of strings'),
        ("model-index:\n- results: []", r"model-index\[0\].name"),
        (
            "model-index:\n- name: m\n  results:\n  - task: {type: image-classification}\n"
            "    dataset: {name: d, type: d}\n    metrics:\n    - {type: accuracy}",
            r"metrics\[0\].value",
        ),
    ],
)
def test_wrong_front_matter_is_refused(
    hub: LoopbackHub, token: str, front_matter: str, complaint: str
) -> None:
    HfApi().create_repo("ada/steel")
    with pytest.raises(ValueError, match=complaint):
        HfApi().upload_file(
            path_or_fileobj=f"---\n{front_matter}\n---\n".encode(),
            path_in_repo="README.md",
            repo_id="ada/steel",
        )
    assert hub.repo("model", "ada/steel").pushes == []


def test_a_missing_front_matter_is_warned_of(hub: LoopbackHub, token: str) -> None:
    HfApi().create_repo("ada/steel")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        HfApi().upload_file(
            path_or_fileobj=b"# Steel\n", path_in_repo="README.md", repo_id="ada/steel"
        )


def test_parts_of_files_are_sent(hub: LoopbackHub) -> None:
    commit = hub.put("model", "ada/steel", {"note.txt": b"0123456789"})
    address = f"{hub.url}/ada/steel/resolve/main/note.txt"
    response = get_session().get(address, headers={"Range": "bytes=7-"})
    assert (response.status_code, response.content) == (206, b"789")
    assert response.headers["Content-Range"] == "bytes 7-9/10"
    assert response.headers["X-Repo-Commit"] == commit.oid


def test_uploads_are_checked(hub: LoopbackHub, token: str) -> None:
    """An upload that nobody asked for, and one whose content is another, are refused."""
    address = f"{hub.url}/lfs-uploads/{hashlib.sha256(WEIGHTS).hexdigest()}"
    assert get_session().put(address, content=WEIGHTS).status_code == 403
    HfApi().create_repo("ada/steel")
    post_lfs_batch_info([UploadInfo.from_bytes(WEIGHTS)], token, "model", "ada/steel")
    assert get_session().put(address, content=WEIGHTS[:-1]).status_code == 400
    assert get_session().put(address, content=WEIGHTS).status_code == 200


def test_an_overtaken_commit_is_refused(hub: LoopbackHub, token: str) -> None:
    first = hub.put("model", "ada/steel", {"a.txt": b"a"})
    hub.put("model", "ada/steel", {"a.txt": b"b"})
    with pytest.raises(HfHubHTTPError, match="412"):
        HfApi().create_commit(
            "ada/steel",
            [CommitOperationAdd("a.txt", b"c")],
            commit_message="Too late",
            parent_commit=first.oid,
        )


def test_settings_of_spaces(hub: LoopbackHub, token: str) -> None:
    api = HfApi()
    api.create_repo("ada/demo", repo_type="space", space_sdk="gradio")
    api.add_space_variable("ada/demo", "MODEL_ID", "hf-hub:ada/steel")
    assert api.get_space_variables("ada/demo")["MODEL_ID"].value == "hf-hub:ada/steel"
    api.add_space_secret("ada/demo", "HF_TOKEN", "hf_secret")
    assert list(api.get_space_secrets("ada/demo")) == ["HF_TOKEN"]
    assert hub.repo("space", "ada/demo").secrets == {"HF_TOKEN": "hf_secret"}
    assert api.get_space_runtime("ada/demo").hardware == "cpu-basic"
    api.restart_space("ada/demo")
    assert hub.repo("space", "ada/demo").restarts == 1


def test_spaces_of_accounts_that_do_not_pay(hub: LoopbackHub) -> None:
    api = HfApi(token=hub.add_token("eve"))
    with pytest.raises(HfHubHTTPError, match="PRO subscription") as refused:
        api.create_repo("eve/demo", repo_type="space", space_sdk="gradio")
    assert refused.value.response.status_code == 402
    for number in range(2):
        api.create_repo(
            f"eve/demo-{number}",
            repo_type="space",
            space_sdk="gradio",
            space_hardware=SpaceHardware.ZERO_A10G,
        )
    with pytest.raises(HfHubHTTPError, match="maximum number") as refused:
        api.create_repo(
            "eve/demo-3",
            repo_type="space",
            space_sdk="gradio",
            space_hardware=SpaceHardware.ZERO_A10G,
        )
    assert refused.value.response.status_code == 403
    api.create_repo("eve/page", repo_type="space", space_sdk="static")


def test_ordered_refusals_end(hub: LoopbackHub, token: str) -> None:
    hub.fail_next("GET /whoami", 503, "Under repair", times=2)
    for _ in range(2):
        with pytest.raises(HfHubHTTPError, match="Under repair"):
            HfApi().whoami()
    assert HfApi().whoami()["name"] == "ada"


@pytest.mark.usefixtures("no_waiting")
def test_a_broken_upload_is_repeated_by_the_client(
    hub: LoopbackHub, token: str, folder: Path
) -> None:
    HfApi().create_repo("ada/steel")
    hub.break_upload("PUT /lfs-uploads/")
    HfApi().upload_folder(repo_id="ada/steel", folder_path=folder)
    assert hub.read("model", "ada/steel", "model.safetensors") == WEIGHTS
    assert [request.status for request in hub.requests if request.method == "PUT"].count(0) == 1


def test_a_data_set_is_loaded(hub: LoopbackHub, token: str) -> None:
    files = {}
    for part in ("train", "test"):
        for brightness, label in enumerate(("Crazing", "Patches")):
            buffer = io.BytesIO()
            Image.new("L", (8, 8), 100 * brightness).save(buffer, "PNG")
            files[f"{part}/{label}/{label}_1.png"] = buffer.getvalue()
    hub.put("dataset", "ada/images", files, private=True)
    images = load_dataset("ada/images")
    assert images["test"].features["label"].names == ["Crazing", "Patches"]
    assert [row["image"].getpixel((0, 0)) for row in images["test"]] == [0, 100]


def test_timm_finds_its_pretrained_weights(hub: LoopbackHub) -> None:
    name = "test_convnext.r160_in1k"
    served = put_base_model(hub, name)
    model = timm.create_model(name, pretrained=True)
    assert model.num_classes == 1000
    assert all(torch.equal(model.state_dict()[key], value) for key, value in served.items())


def test_it_does_not_need_the_client(tmp_path: Path) -> None:
    command = "import sys, tests.loopback_hub; sys.exit('huggingface_hub' in sys.modules)"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True)


def test_it_runs_alone() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.loopback_hub"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        token = process.stderr.readline().strip().removeprefix("HF_TOKEN=")
        url = process.stdout.readline().strip()
        me = HfApi(endpoint=url, token=token).whoami()
        process.send_signal(signal.SIGTERM)
        rest = process.communicate()
    assert me["name"] == "ada"
    assert (process.returncode, *rest) == (0, "", "")


def test_nothing_leads_to_the_real_hub() -> None:
    assert os.environ["HF_ENDPOINT"] == HfApi().endpoint
    assert HfApi().endpoint.startswith("http://127.0.0.1:")
