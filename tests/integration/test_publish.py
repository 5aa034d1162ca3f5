"""Publishing to the loopback hub, and every way in which that can be refused."""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import yaml  # type: ignore[import-untyped]
from huggingface_hub import HfApi, ModelCard, constants

from model_card.schema.report import Report
from space.inference.predictor import Predictor
from tests.loopback_hub import LoopbackHub
from tests.loopback_hub.accounts import Role
from tests.loopback_hub.base_models import put_base_model
from tests.support.published_folder import write_published_folder
from tests.support.reports import LABELS
from tests.support.warm_process import WarmProcess
from trainer.errors import DataError, HubError, UserError
from trainer.publishing.hub.preflight import check_can_push, check_repo_id
from trainer.publishing.hub.upload import SPACE_FOLDER, copy_space, publish_model, publish_space

ROOT = Path(__file__).parents[2]
MODEL = "ada/steel"
SPACE = "ada/steel-demo"


@pytest.fixture
def folder(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "published"))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _commit_requests(hub: LoopbackHub) -> list[str]:
    return [request.path for request in hub.requests if "/commit/" in request.path]


def test_a_model_goes_up_in_one_commit(
    hub: LoopbackHub, token: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="trainer")
    check_can_push(MODEL, private=False)
    assert not hub.has_repo("model", MODEL), "checking changes nothing"
    assert publish_model(folder, MODEL, private=False) == f"{hub.url}/{MODEL}"
    assert _commit_requests(hub) == [f"/api/models/{MODEL}/commit/main"]
    repo = hub.repo("model", MODEL)
    assert not repo.private
    assert set(repo.head.files) == _files(folder) | {".gitattributes"}
    assert [commit.title for commit in repo.pushes] == [
        "Publish convnext_atto, 98.61% test accuracy"
    ]
    assert caplog.messages[0].startswith("Uploading 12 files (")


def test_the_published_model_computes_what_the_saved_one_did(
    hub: LoopbackHub, token: str, tmp_path: Path
) -> None:
    saved = write_published_folder(tmp_path / "published", seed=3)
    publish_model(tmp_path / "published", MODEL, private=False)
    loaded = timm.create_model(f"hf-hub:{MODEL}", pretrained=True).eval()
    images = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(loaded(images), saved(images))
    assert loaded.pretrained_cfg["label_names"] == LABELS
    assert Predictor.load(f"hf-hub:{MODEL}").labels == LABELS


def test_the_card_is_that_of_this_place(hub: LoopbackHub, token: str, folder: Path) -> None:
    publish_model(folder, MODEL, private=False)
    card = ModelCard.load(MODEL)
    assert f"hf-hub:{MODEL}" in card.text
    assert card.data.library_name == "timm"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.license == "apache-2.0"


def test_a_second_push_refreshes_the_card_and_removes_what_is_stale(
    hub: LoopbackHub, token: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stale = folder / "figures" / "old one.png"
    stale.write_bytes(b"\x89PNG\0")
    Report.read(folder).write(folder)
    publish_model(folder, MODEL, private=False)
    first = hub.repo("model", MODEL).head
    assert "figures/old one.png" in first.files

    stale.unlink()
    report = Report.read(folder)
    data = report.data.model_copy(update={"source": "other-photographs"})
    report.model_copy(update={"data": data}).write(folder)
    caplog.set_level(logging.INFO, logger="trainer")
    publish_model(folder, MODEL, private=False)

    repo = hub.repo("model", MODEL)
    assert len(repo.pushes) == 2
    assert set(repo.head.files) == _files(folder) | {".gitattributes"}
    assert "other-photographs" in ModelCard.load(MODEL).content
    assert f"No longer part of {MODEL}, so deleted there: figures/old one.png" in caplog.messages
    # The first state can still be had.
    old_card = HfApi().hf_hub_download(MODEL, "README.md", revision=first.oid)
    assert "strip-photographs" in Path(old_card).read_text(encoding="utf-8")
    assert repo.head.files["model.safetensors"] == first.files["model.safetensors"]
    uploads = [request for request in hub.requests if request.method == "PUT"]
    assert len({request.path for request in uploads}) == len(uploads), "nothing travels twice"


def test_pushing_the_same_again_makes_no_commit(hub: LoopbackHub, token: str, folder: Path) -> None:
    for _ in range(2):
        publish_model(folder, MODEL, private=False)
    assert len(hub.repo("model", MODEL).pushes) == 1


def test_hidden_files_stay_at_home(hub: LoopbackHub, token: str, folder: Path) -> None:
    (folder / ".DS_Store").write_bytes(b"x")
    publish_model(folder, MODEL, private=False)
    assert ".DS_Store" not in hub.repo("model", MODEL).head.files


def test_of_the_space_only_its_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    for name in ("app.py", "__init__.py", "py.typed", ".env", "ui/__init__.py", "ui/.secret"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    monkeypatch.setattr("trainer.publishing.hub.upload.SPACE_FOLDER", source)
    copy_space(tmp_path / "copy")
    assert _files(tmp_path / "copy") == {"app.py", "ui/__init__.py"}


def test_a_space_goes_up_with_its_model_filled_in(
    hub: LoopbackHub, token: str, folder: Path
) -> None:
    publish_model(folder, MODEL, private=False)
    address = publish_space(MODEL, SPACE, private=False)
    assert address == f"{hub.url}/spaces/{SPACE}"
    repo = hub.repo("space", SPACE)
    assert [commit.title for commit in repo.pushes] == [f"Serve {MODEL}"]
    assert hub.read("space", SPACE, "model_id.txt") == f"hf-hub:{MODEL}\n".encode()
    readme = hub.read("space", SPACE, "README.md").decode()
    front_matter = yaml.safe_load(readme.split("---")[1])
    own = yaml.safe_load((SPACE_FOLDER / "README.md").read_text(encoding="utf-8").split("---")[1])
    filled = {"models": [MODEL], "preload_from_hub": [MODEL]}
    assert front_matter == own | filled
    expected = {name for name in _files(SPACE_FOLDER) if "__pycache__" not in name}
    expected = expected - {"__init__.py", "py.typed"} | {"model_id.txt", ".gitattributes"}
    assert set(repo.head.files) == expected
    assert (repo.sdk, repo.private, repo.secrets) == ("gradio", False, {})


def test_a_space_that_has_not_changed_is_restarted_to_fetch_the_new_model(
    hub: LoopbackHub, token: str, folder: Path
) -> None:
    publish_model(folder, MODEL, private=False)
    for _ in range(2):
        publish_space(MODEL, SPACE, private=False)
    repo = hub.repo("space", SPACE)
    assert (len(repo.pushes), repo.restarts) == (1, 1)


def test_private_repositories(
    hub: LoopbackHub, token: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_model(folder, MODEL, private=True)
    address = publish_space(MODEL, SPACE, private=True)
    assert hub.repo("model", MODEL).private
    assert hub.repo("space", SPACE).private
    readme = hub.read("space", SPACE, "README.md").decode()
    assert "preload_from_hub" not in readme, "the Hub can't read private models for a Space"
    assert any(f"HF_TOKEN at {address}/settings" in message for message in caplog.messages)
    assert hub.repo("space", SPACE).secrets == {}


def test_the_base_model_is_loaded_and_its_head_replaced(hub: LoopbackHub) -> None:
    served = put_base_model(hub, "convnext_atto.d2_in1k")
    assert served["head.fc.weight"].shape == (1000, 320)
    model = timm.create_model("convnext_atto.d2_in1k", pretrained=True, num_classes=6)
    weights = model.state_dict()
    assert weights["head.fc.weight"].shape == (6, 320)
    backbone = [name for name in served if not name.startswith("head.fc.")]
    assert len(backbone) == len(served) - 2
    assert all(torch.equal(weights[name], served[name]) for name in backbone)


# Refusals. Each says what is wrong, where, and what to do; nothing is half done.


@pytest.mark.parametrize(
    ("repo_id", "says"),
    [
        ("steel", "Write USER/NAME"),
        ("ada/steel/v1", "Write USER/NAME"),
        ("https://huggingface.co/ada/steel", "Write USER/NAME"),
        ("ada/steel plates", "letters"),
        ("ada/-steel", "either end"),
        ("ada/a--b", "without"),
        ("ada/" + "x" * 97, "at most 96"),
        ("", "Write USER/NAME"),
    ],
)
def test_malformed_names(hub: LoopbackHub, token: str, repo_id: str, says: str) -> None:
    with pytest.raises(HubError, match=says):
        check_repo_id(repo_id)
    with pytest.raises(HubError, match=says):
        check_can_push(MODEL, repo_id, private=False)
    assert hub.requests == []


@pytest.mark.parametrize("repo_id", ["ada/steel", "Ada_1/steel.v2-x", "mill/x"])
def test_well_formed_names(repo_id: str) -> None:
    check_repo_id(repo_id)


def test_no_token(hub: LoopbackHub, folder: Path) -> None:
    card = (folder / "README.md").read_text()
    for push in (
        lambda: check_can_push(MODEL, private=False),
        lambda: publish_model(folder, MODEL, private=False),
        lambda: publish_space(MODEL, SPACE, private=False),
    ):
        with pytest.raises(HubError, match=r"no token.*hf auth login.*HF_TOKEN"):
            push()
    assert (folder / "README.md").read_text() == card
    assert hub.requests == []


@pytest.mark.parametrize("value", ["hf_wrong", "hf_a b", "hf_ä", "Bearer hf_x"])
def test_wrong_token(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", value)
    for push in (
        lambda: check_can_push(MODEL, private=False),
        lambda: publish_model(folder, MODEL, private=False),
    ):
        with pytest.raises(HubError, match=r"token.*/settings/tokens.*hf auth login") as refused:
            push()
        assert value not in str(refused.value)


@pytest.mark.parametrize(
    ("user", "role", "repo_id", "early"),
    [
        ("ada", "read", "ada/steel", "The token of ada is read-only"),
        ("ada", "write", "bob/steel", r"would belong to bob.*can write to: ada, mill"),
    ],
)
def test_no_right_to_write(
    hub: LoopbackHub,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    role: Role,
    repo_id: str,
    early: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.add_token(user, role))
    with pytest.raises(HubError, match=early):
        check_can_push(repo_id, private=False)
    with pytest.raises(HubError, match=f"may not write to {repo_id}.*rights"):
        publish_model(folder, repo_id, private=False)
    assert not hub.has_repo("model", repo_id)


def test_the_organisation_of_a_user_will_do(hub: LoopbackHub, token: str, folder: Path) -> None:
    check_can_push("mill/steel", private=False)
    # The Hub reads names of owners in any case.
    check_can_push("Mill/steel", private=False)
    publish_model(folder, "mill/steel", private=False)
    assert len(hub.repo("model", "mill/steel").pushes) == 1


def test_a_token_for_other_repositories(hub: LoopbackHub, token: str) -> None:
    """The Hub refuses what `whoami` did not report."""
    hub.put("model", MODEL, {"report.json": b"{}"})
    hub.fail_next("GET /auth-check/write", 403, "Not with this fine-grained token")
    with pytest.raises(HubError, match="Not with this fine-grained token"):
        check_can_push(MODEL, private=False)


@pytest.mark.parametrize("kind", ["model", "space"])
def test_a_name_that_holds_something_else(
    hub: LoopbackHub, token: str, folder: Path, kind: str
) -> None:
    repo_id = MODEL if kind == "model" else SPACE
    if kind == "space":
        publish_model(folder, MODEL, private=False)
        hub.put("space", SPACE, {"main.py": b"print()"})
    else:
        hub.put("model", MODEL, {"pytorch_model.bin": b"x", "main.py": b"x"})
    says = f"{repo_id} exists already and holds something else.*main.py"
    with pytest.raises(HubError, match=says):
        check_can_push(MODEL, SPACE, private=False)
    with pytest.raises(HubError, match=says):
        if kind == "space":
            publish_space(MODEL, SPACE, private=False)
        else:
            publish_model(folder, MODEL, private=False)
    assert hub.read(kind, repo_id, "main.py")  # type: ignore[arg-type]


def test_an_empty_repository_is_filled(hub: LoopbackHub, token: str, folder: Path) -> None:
    HfApi().create_repo(MODEL)
    HfApi().create_repo(SPACE, repo_type="space", space_sdk="gradio")
    check_can_push(MODEL, SPACE, private=False)
    publish_model(folder, MODEL, private=False)
    publish_space(MODEL, SPACE, private=False)
    model, space = hub.repo("model", MODEL), hub.repo("space", SPACE)
    assert set(model.head.files) == _files(folder) | {".gitattributes"}
    assert {"app.py", "model_id.txt", "README.md"} <= set(space.head.files)
    assert (len(model.pushes), len(space.pushes)) == (1, 1)
    for name in _files(folder):
        assert hub.read("model", MODEL, name) == (folder / name).read_bytes(), name


def test_what_was_to_be_private_does_not_become_public(
    hub: LoopbackHub, token: str, folder: Path
) -> None:
    publish_model(folder, MODEL, private=False)
    (folder / "figures" / "secret.png").write_bytes(b"x")
    Report.read(folder).write(folder)
    for push in (
        lambda: check_can_push(MODEL, private=True),
        lambda: publish_model(folder, MODEL, private=True),
    ):
        with pytest.raises(HubError, match=f"{MODEL} exists already and is public"):
            push()
    assert "figures/secret.png" not in hub.repo("model", MODEL).head.files


def test_a_damaged_folder_is_refused_before_the_hub_is_asked(
    hub: LoopbackHub, token: str, folder: Path
) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    card = (folder / "README.md").read_bytes()
    with pytest.raises(DataError, match=r"not what training wrote: model\.safetensors\."):
        publish_model(folder, MODEL, private=False)
    assert hub.requests == []
    assert (folder / "README.md").read_bytes() == card


def test_a_read_only_folder(
    hub: LoopbackHub, token: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(folder / "README.md"))

    monkeypatch.setattr("trainer.publishing.hub.upload.write_card", refuse)
    with pytest.raises(UserError, match=r"README\.md can't be read or written: Read-only"):
        publish_model(folder, MODEL, private=False)
    assert hub.requests == []


# Pushes at the same time.


def _other_push(hub: LoopbackHub, folder: Path) -> None:
    """Push as another user: the same files except the weights."""
    files = {name: (folder / name).read_bytes() for name in _files(folder)}
    hub.put("model", MODEL, files | {"model.safetensors": b"theirs"})


@pytest.mark.parametrize("request_", ["POST /preupload/", "POST /commit/"])
@pytest.mark.parametrize("again", [False, True])
def test_a_push_of_somebody_else_meanwhile_is_replaced_as_a_whole(
    hub: LoopbackHub, token: str, folder: Path, request_: str, again: bool
) -> None:
    """Files that the client took for unchanged are compared again."""
    if again:
        publish_model(folder, MODEL, private=False)
        # So that there is something to commit.
        report = Report.read(folder)
        data = report.data.model_copy(update={"source": "other-photographs"})
        report.model_copy(update={"data": data}).write(folder)
    hub.before_next(request_, lambda: _other_push(hub, folder))
    publish_model(folder, MODEL, private=False)
    repo = hub.repo("model", MODEL)
    assert set(repo.head.files) == _files(folder) | {".gitattributes"}
    for name in _files(folder):
        assert hub.read("model", MODEL, name) == (folder / name).read_bytes(), name
    assert repo.head.title.startswith("Publish")


def test_files_that_somebody_adds_while_nothing_changes_here(
    hub: LoopbackHub, token: str, folder: Path
) -> None:
    """The client makes no commit then, and names theirs instead."""
    publish_model(folder, MODEL, private=False)
    extra = {"extra.txt": b"theirs"}
    hub.before_next("POST /preupload/", lambda: hub.put("model", MODEL, extra))
    publish_model(folder, MODEL, private=False)
    assert "extra.txt" not in hub.repo("model", MODEL).head.files


def test_somebody_who_pushes_all_the_time(hub: LoopbackHub, token: str, folder: Path) -> None:
    publish_model(folder, MODEL, private=False)
    report = Report.read(folder)
    data = report.data.model_copy(update={"source": "other-photographs"})
    report.model_copy(update={"data": data}).write(folder)
    hub.before_next("POST /commit/", lambda: _other_push(hub, folder), times=3)
    with pytest.raises(HubError, match=r"Another user changed .* during each of 3 attempts"):
        publish_model(folder, MODEL, private=False)
    titles = [commit.title for commit in hub.repo("model", MODEL).pushes]
    assert titles[1:] == ["Put by a test"] * 3


NONSENSE = [b"null", b"[]", b"7", b'"words"', b"{}", b"<html>Sign in to the network</html>", b""]
ASKED = [
    "GET /api/whoami",
    "POST /api/repos/create",
    f"GET /api/models/{MODEL}",
    "POST /preupload/",
    "POST /info/lfs/objects/batch",
    "POST /commit/",
]


@pytest.mark.parametrize("request_", ASKED)
@pytest.mark.parametrize("status", [200, 409])
def test_answers_that_make_no_sense(
    hub: LoopbackHub, token: str, folder: Path, request_: str, status: int
) -> None:
    for body in NONSENSE:
        hub.answer_next(request_, body, status=status, times=9)
        # Some answers don't matter: the Hub is asked again, or the client needs nothing of them.
        with contextlib.suppress(HubError):
            check_can_push(MODEL, private=False)
            publish_model(folder, MODEL, private=False)
        hub.clear_faults()
    publish_model(folder, MODEL, private=False)
    for name in _files(folder):
        assert hub.read("model", MODEL, name) == (folder / name).read_bytes(), name


def test_nonsense_is_named(hub: LoopbackHub, token: str, folder: Path) -> None:
    hub.answer_next("GET /api/whoami", b"null")
    with pytest.raises(HubError, match=rf"(?s)response of {hub.url} can't be read.*HF_ENDPOINT"):
        check_can_push(MODEL, private=False)
    hub.answer_next("POST /api/repos/create", b"<html>" + b"x" * 99_999, status=200)
    with pytest.raises(HubError) as refused:
        publish_model(folder, MODEL, private=False)
    assert len(str(refused.value)) < 1000


def test_our_own_faults_are_not_taken_for_the_hub_s(
    hub: LoopbackHub, token: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> None:
        raise KeyError("no such key")

    monkeypatch.setattr("trainer.publishing.hub.upload.check_purpose", fault)
    with pytest.raises(KeyError, match="no such key"):
        publish_model(folder, MODEL, private=False)


def test_a_space_for_a_model_that_is_not_there(hub: LoopbackHub, token: str) -> None:
    with pytest.raises(HubError, match=f"The model {MODEL} is not on the Hub"):
        publish_space(MODEL, SPACE, private=False)
    assert not hub.has_repo("space", SPACE)


def test_a_space_that_the_plan_does_not_allow(
    hub: LoopbackHub,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.add_token("eve"))
    check_can_push("eve/steel", "eve/demo", private=False)
    assert "may refuse eve/demo" in caplog.text
    publish_model(folder, "eve/steel", private=False)
    with pytest.raises(HubError, match=r"(?s)PRO subscription.*new-space.*ZeroGPU.*run the same"):
        publish_space("eve/steel", "eve/demo", private=False)
    assert len(hub.repo("model", "eve/steel").pushes) == 1
    # What the message says to do by hand, and then the same command again.
    hub.put("space", "eve/demo", {})
    check_can_push("eve/steel", "eve/demo", private=False)
    publish_model(folder, "eve/steel", private=False)
    publish_space("eve/steel", "eve/demo", private=False)
    assert "model_id.txt" in hub.repo("space", "eve/demo").head.files


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(lambda hub: hub.break_upload("PUT /lfs-uploads/", times=99), id="weights"),
        pytest.param(lambda hub: hub.break_upload("POST /preupload/", times=99), id="preparation"),
        pytest.param(lambda hub: hub.break_upload("POST /commit/"), id="commit"),
        pytest.param(lambda hub: hub.lose_answer("POST /commit/"), id="answer"),
        pytest.param(lambda hub: hub.break_upload("POST /api/repos/create"), id="creation"),
    ],
)
def test_a_connection_that_breaks_and_comes_back(
    hub: LoopbackHub, token: str, folder: Path, order: Callable[[LoopbackHub], None]
) -> None:
    order(hub)
    with pytest.raises(HubError, match=f"connection to the Hub at {hub.url} failed.*same command"):
        publish_model(folder, MODEL, private=False)
    # The network is back; the same command continues.
    hub.clear_faults()
    publish_model(folder, MODEL, private=False)
    repo = hub.repo("model", MODEL)
    assert len(repo.pushes) == 1
    assert set(repo.head.files) == _files(folder) | {".gitattributes"}
    assert (
        hub.read("model", MODEL, "model.safetensors") == (folder / "model.safetensors").read_bytes()
    )


def test_no_connection(
    hub: LoopbackHub, token: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on the port that is reserved for discarding.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for push in (
        lambda: check_can_push(MODEL, private=False),
        lambda: publish_model(folder, MODEL, private=False),
    ):
        with pytest.raises(HubError, match=r"connection to the Hub at \S+:9 failed"):
            push()


def test_offline(
    hub: LoopbackHub, token: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for push in (
        lambda: check_can_push(MODEL, private=False),
        lambda: publish_model(folder, MODEL, private=False),
        lambda: publish_space(MODEL, SPACE, private=False),
    ):
        with pytest.raises(HubError, match=r"HF_HUB_OFFLINE is set.*Unset it"):
            push()
    assert hub.requests == []


@pytest.mark.parametrize(
    ("status", "headers", "says"),
    [
        (429, {"Retry-After": "120"}, "Wait 120 seconds.*run the same command"),
        (429, {}, "Wait a few minutes"),
        (500, {}, "The Hub failed"),
        (503, {}, "The Hub failed.*503.*status.huggingface.co.*run the same command"),
        (413, {}, "refused ada/steel.*413.*too busy"),
    ],
)
def test_answers_of_the_hub(
    hub: LoopbackHub, token: str, folder: Path, status: int, headers: dict[str, str], says: str
) -> None:
    hub.fail_next("POST /commit/", status, "too busy", headers=headers)
    with pytest.raises(HubError, match=f"(?s){says}"):
        publish_model(folder, MODEL, private=False)
    publish_model(folder, MODEL, private=False)
    assert len(hub.repo("model", MODEL).pushes) == 1


def test_a_card_that_the_hub_refuses(hub: LoopbackHub, token: str, folder: Path) -> None:
    report = Report.read(folder)
    # The real Hub lists this one, the loopback hub does not.
    model = report.model.model_copy(update={"license": "wtfpl"})
    report.model_copy(update={"model": model}).write(folder)
    with pytest.raises(HubError, match=r'(?s)Invalid metadata in README\.md.*"license"'):
        publish_model(folder, MODEL, private=False)
    assert hub.repo("model", MODEL).pushes == []


def test_the_token_is_never_printed(hub: LoopbackHub, token: str, folder: Path) -> None:
    """In a process of its own, with the client as talkative as it can be."""
    command = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG)\n"
        "from pathlib import Path; from trainer.publishing.hub import preflight, upload\n"
        "preflight.check_can_push('ada/steel', 'ada/demo', private=True)\n"
        "upload.publish_model(Path(sys.argv[1]), 'ada/steel', private=True)\n"
        "upload.publish_space('ada/steel', 'ada/demo', private=True)\n"
        "upload.publish_model(Path(sys.argv[1]), 'bob/steel', private=True)\n"
    )
    output, errors = WarmProcess(["-c", command, str(folder)], ROOT).communicate()
    assert "may not write to bob/steel" in errors, "it came to the end"
    assert "DEBUG:httpcore" in errors, "it was talkative"
    assert token not in output + errors
    for kind, repo_id in (("model", "ada/steel"), ("space", "ada/demo")):
        repo = hub.repo(kind, repo_id)  # type: ignore[arg-type]
        for name in repo.head.files:
            assert token.encode() not in hub.read(kind, repo_id, name)  # type: ignore[arg-type]
    for path in folder.rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes()
