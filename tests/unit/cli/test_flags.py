"""Help that fits a terminal, and one message for each mistake on a command line."""

from __future__ import annotations

import re
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn_text import CHARACTERS
from trainer import (
    __version__,
    compare_models,
    compare_splits,
    export,
    inspect_data,
    learning_curve,
    predict,
    push,
    push_data,
    train,
    tune,
)
from trainer.cli.command import run_command
from trainer.cli.flags import given_flags, read_flags, split_operands
from trainer.cli.run_settings import read_push_config, read_train_config
from trainer.cli.synonyms import SYNONYMS
from trainer.compare_models import CompareConfig
from trainer.config.settings import PushConfig, TrainConfig
from trainer.data_needs.options import CurveConfig
from trainer.errors import ConfigError
from trainer.export import ExportCommandConfig
from trainer.inspect_data import InspectConfig
from trainer.predict import PredictConfig
from trainer.push_data import PushDataConfig
from trainer.tune import TuneConfig

LONGEST_SENTENCE = 90
COMMANDS = {
    "train.py": (train.COMMAND, TrainConfig()),
    "push.py": (push.COMMAND, PushConfig()),
    "compare_splits.py": (compare_splits.COMMAND, TrainConfig()),
    "compare_models.py": (compare_models.COMMAND, CompareConfig()),
    "tune.py": (tune.COMMAND, TuneConfig()),
    "inspect_data.py": (inspect_data.COMMAND, InspectConfig()),
    "predict.py": (predict.COMMAND, PredictConfig()),
    "push_data.py": (push_data.COMMAND, PushDataConfig()),
    "learning_curve.py": (learning_curve.COMMAND, CurveConfig()),
    "export.py": (export.COMMAND, ExportCommandConfig()),
}
TITLES = ("data", "network", "training", "decision", "test", "export", "run")
ROOT = Path(__file__).parents[3]


def sentences(kind: type[Any]) -> dict[str, str]:
    """Return the docstring under each field, those of nested dataclasses included."""
    hints = get_type_hints(kind)
    nested = [hints[item.name] for item in fields(kind) if is_dataclass(hints[item.name])]
    found: dict[str, str] = {}
    # Those of the base classes come first, as in `fields`.
    for each in reversed([base for base in kind.__mro__ if is_dataclass(base)]):
        source = (ROOT / f"{each.__module__.replace('.', '/')}.py").read_text(encoding="utf-8")
        body = re.split(rf"class {each.__name__}\b.*:", source)[1].partition("\n@dataclass")[0]
        found |= re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', body, re.DOTALL | re.MULTILINE)
    own = [item.name for item in fields(kind) if not is_dataclass(hints[item.name])]
    assert own == [name for name in found if name in own], f"a field of {kind} has no sentence"
    for inner in nested:
        found |= sentences(inner)
    return found


@pytest.mark.parametrize(
    "kind",
    [
        PushConfig,
        CompareConfig,
        TuneConfig,
        InspectConfig,
        PredictConfig,
        CurveConfig,
        PushDataConfig,
    ],
)
def test_each_option_has_one_short_sentence(kind: type[Any]) -> None:
    found = sentences(kind)
    assert len(found) > 7
    for name, text in found.items():
        assert len(text) <= LONGEST_SENTENCE, name
        assert "\n" not in text, name
        assert re.fullmatch(r"[^.]*(\.\w[^.]*)*\.", text), f"{name}: one sentence, with a full stop"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_and_is_of_this_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command, default = COMMANDS[name]
    with pytest.raises(SystemExit) as stopped:
        read_flags(["--help"], command, default, {})
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    called = f"python trainer/{name} {command.operands}".rstrip()
    assert lines[0] == f"usage: {called} [-h] [OPTIONS]"
    assert lines[2] == command.purpose
    assert f"Example: python trainer/{name} {command.example.split()[0]}" in text
    others = {other.purpose for other, _ in COMMANDS.values()} - {command.purpose}
    assert not [purpose for purpose in others if purpose in text]
    assert "None" not in text
    titles = re.findall(r"^\W+ (?:(\w+) )?options \W+$", text, re.MULTILINE)
    groups = {
        "push.py": ("publishing", *TITLES),
        "tune.py": ("search", *TITLES),
        "inspect_data.py": (),
        "learning_curve.py": (),
        "push_data.py": ("publishing", "data"),
        "predict.py": (),
        "export.py": (),
    }
    assert titles == ["", *groups.get(name, TITLES)]


def test_an_option_of_several_values_takes_all_words_up_to_the_next_option() -> None:
    line = ["--formats", "onnx", "int8", "--run-dir", "runs/first"]
    given = given_flags(line, ExportCommandConfig)
    assert given == {"--formats": "onnx int8", "--run-dir": "runs/first"}
    config = read_flags(line, export.COMMAND, ExportCommandConfig(), given)
    assert (config.formats, config.run_dir) == (("onnx", "int8"), Path("runs/first"))
    with pytest.raises(ConfigError, match="--formats takes onnx, openvino or int8, not 'onx'"):
        given_flags(["--formats", "openvino", "onx"], ExportCommandConfig)
    with pytest.raises(ConfigError, match="--formats needs a value"):
        given_flags(["--formats", "--run-dir", "a"], ExportCommandConfig)


def test_operands_stand_anywhere_between_the_options() -> None:
    line = "a --model hf-hub:x/y b* --resume - --batch-size 3 --output=o.csv c --no-link d"
    operands, rest = split_operands(line.split(), PredictConfig)
    assert operands == ["a", "b*", "-", "c", "d"]
    assert rest == (
        ["--model", "hf-hub:x/y", "--resume", "--batch-size", "3", "--output=o.csv", "--no-link"]
    )
    assert given_flags(rest, PredictConfig)["--batch-size"] == "3"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for _, default in COMMANDS.values():
        with pytest.raises(SystemExit) as stopped:
            given_flags(["--epochs", "ten", "--version"], type(default))
        assert stopped.value.code == 0
        assert capsys.readouterr().out == f"strip-defect-classifier {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--learning-rate 1e-3", "Unrecognized option --learning-rate: did you mean --lr?"),
        ("--learning_rate=1e-3", "Unrecognized option --learning_rate: did you mean --lr 1e-3?"),
        ("--batch 4", "Unrecognized option --batch: did you mean --batch-size?"),
        ("--bs 4", "Unrecognized option --bs: did you mean --batch-size?"),
        ("--imgsz 64", "Unrecognized option --imgsz: did you mean --image-size?"),
        ("--img-size 64", "Unrecognized option --img-size: did you mean --image-size?"),
        ("--data x", "Unrecognized option --data: did you mean --data-dir?"),
        ("--output-dir x", "Unrecognized option --output-dir: did you mean --run-dir?"),
        ("--wd 0", "Unrecognized option --wd: did you mean --weight-decay?"),
        ("--num-epochs 3", "Unrecognized option --num-epochs: did you mean --epochs?"),
        ("--freeze", "Unrecognized option --freeze: did you mean --tune head?"),
        ("--licence mit", "Unrecognized option --licence: did you mean --license?"),
        ("--epoch 3", "Unrecognized option --epoch: did you mean --epochs?"),
        ("--robustnes-images 3", "did you mean --robustness-images?"),
        ("--EPOCHS 3", "Unrecognized option --EPOCHS: did you mean --epochs?"),
        ("-epochs 3", "Unrecognized option -epochs: did you mean --epochs?"),
        ("–epochs 3", "Unrecognized option –epochs: did you mean --epochs?"),
        ("epochs=3", "Unrecognized option epochs: did you mean --epochs 3?"),
        ("--xyzzy 3", "Unrecognized option --xyzzy"),
        ("my_images", "Unexpected word 'my_images'"),
        ("--data-dir my images", "Unexpected word 'images'"),
        ("--epochs ten", "--epochs takes a whole number, not 'ten'"),
        ("--epochs 1.5", "--epochs takes a whole number, not '1.5'"),
        ("--epochs 1e3", "--epochs takes a whole number, not '1e3'"),
        ("--lr fast", "--lr takes a number, not 'fast'"),
        ("--lr 0,001", "--lr takes a number, not '0,001': did you mean 0.001?"),
        ("--tune heads", "--tune takes all or head, not 'heads'"),
        ("--schedule cos", "--schedule takes constant or cosine, not 'cos'"),
        ("--epochs", "--epochs needs a value"),
        ("--epochs --lr 1", "--epochs needs a value"),
        ("--data-dir=", "--data-dir needs a value"),
        ("--no-defect -x", "one that begins with a hyphen is --no-defect=-x"),
        ("--flip=no", "--flip takes no value; leave out =no"),
    ],
)
def test_a_mistake_has_one_message(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        given_flags(words.split(" "), TrainConfig)
    [said, hint] = str(caught.value).splitlines()
    assert message in said
    assert hint == "`--help` lists all options."


def test_all_mistakes_are_reported_at_once() -> None:
    words = ["--epochs", "ten", "--learning-rate", "3", "--flip", "--tune", "x"]
    with pytest.raises(ConfigError) as caught:
        given_flags(words, TrainConfig)
    assert len(str(caught.value).splitlines()) == 4


def test_synonyms_name_options_that_exist_and_hide_none() -> None:
    known = {f"--{name}" for name in ("help", "version")}
    known |= {f"--{name.replace('_', '-')}" for name in sentences(PushConfig)}
    for name, flag in SYNONYMS.items():
        assert flag.split()[0].replace("--no-pretrained", "--pretrained") in known, name
        assert f"--{name}" not in known, name


@given(
    st.lists(
        st.text(CHARACTERS) | st.sampled_from(["--epochs", "--lr", "--flip", "=", "-h2", "--"])
    )
)
def test_any_words_are_read_or_refused_in_words(words: list[str]) -> None:
    words = [word for word in words if word not in ("-h", "--help", "--version")]
    try:
        given = given_flags(words, TrainConfig)
    except ConfigError as error:
        assert all(len(line) < 300 for line in str(error).splitlines())
    else:
        assert set(given) <= {flag for flag, _, _ in TrainConfig().flags()}


@pytest.mark.parametrize("word", ["None", "none", "null", "NULL", "True", "nan", "0"])
def test_no_word_means_no_value(word: str) -> None:
    arguments = ["--no-defect", word, "--data-dir", word, "--run-dir", word]
    config = read_train_config(arguments, train.COMMAND)
    assert (config.decision.no_defect, config.data.data_dir) == (word, (word,))
    assert config.run.run_dir == Path(word)
    assert f"--no-defect {word}" in config.command()


def test_a_home_folder_is_found_where_the_shell_leaves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = read_train_config(["--run-dir=~/run"], train.COMMAND)
    assert config.run.run_dir == tmp_path / "run"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://huggingface.co/ada/steel", "ada/steel"),
        ("https://huggingface.co/spaces/ada/steel/tree/main", "ada/steel"),
        ("http://127.0.0.1:8000/ada/steel?x=1", "ada/steel"),
        ("hf.co/ada/steel.git", "ada/steel"),
        ("huggingface.co/ada/steel#readme", "ada/steel"),
        ("https://huggingface.co/", "USER/NAME"),
        ("https://huggingface.co/ada", "USER/NAME"),
    ],
)
def test_an_address_is_no_name_on_the_hub(address: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"write --repo-id {name}$"):
        read_push_config(["--repo-id", address], push.COMMAND)
    with pytest.raises(ConfigError, match=f"write --space-id {name}$"):
        read_push_config(["--repo-id", "ada/steel", "--space-id", address], push.COMMAND)


def test_output_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in `--help | head -3`: the pipe breaks when what was printed is flushed."""

    class Broken:
        def __init__(self, descriptor: int) -> None:
            self.descriptor = descriptor

        def flush(self) -> None:
            raise BrokenPipeError

        def fileno(self) -> int:
            return self.descriptor

    with Path("/dev/null").open("wb") as unread:
        monkeypatch.setattr(sys, "stdout", Broken(unread.fileno()))
        assert run_command(lambda arguments: None) == 2


def test_output_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert run_command(lambda arguments: None) == 0
    assert sys.stdout.write("goes nowhere")
    sys.stdout.close()


def test_a_second_path_does_not_replace_the_first(tmp_path: Path) -> None:
    folder = tmp_path / ("a long name of a folder, as on a server of photographs " * 3)
    words = ["--boxes", str(folder / "a"), "--boxes", str(folder / "b")]
    with pytest.raises(ConfigError, match=r"--boxes takes one path, not both '.*a' and '.*b'"):
        given_flags(words, TrainConfig)
    assert given_flags([*words[:2], *words[:2]], TrainConfig)["--boxes"] == words[1]
