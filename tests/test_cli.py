"""The command line: what it writes, what it says, what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflm_train as tt
from tests import raw_model
from tests.loss_models import loss_model
from tests.steps import DIGITS
from tflm_train import cli
from tflm_train.model import load
from tflm_train.scheme import Scheme

SCHEME = "version: 1\nupdate:\n  biases: {last: 3}\n  weights: [{layer: 10}]\n"


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n")
        return json.loads(self.out)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command in this process."""

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            parsed = cli._parse(["tflm_train", *map(str, arguments)])
            status = cli._main(parsed)
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


Run = Callable[..., Outcome]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, a scheme and a data set."""
    (tmp_path / "digits.tflite").write_bytes(DIGITS.read_bytes())
    (tmp_path / "s.yaml").write_text(SCHEME)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 16, 16, 1)).astype(np.uint8)
    y = rng.integers(0, 10, 12)
    np.savez(tmp_path / "d.npz", x_train=x[:8], y_train=y[:8], x_test=x[8:], y_test=y[8:])
    return tmp_path


@pytest.fixture
def rewritten(folder: Path) -> Path:
    path = folder / "r.tflite"
    path.write_bytes(tt.rewrite(load(DIGITS), Scheme.parse(SCHEME)).model_bytes)
    return path


def assert_refused(outcome: Outcome, *words: str) -> None:
    """One line on standard error, nothing on standard output, no traceback."""
    assert outcome.status != 0
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1 and outcome.err.startswith("tflm_train")
    assert "internal error" not in outcome.err and "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err


def listing(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


class TestProcess:
    """As a user starts it."""

    @staticmethod
    def start(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        paths = [str(Path(tt.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        command = [sys.executable, "-m", "tflm_train", *arguments]
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )

    def test_rewrite_and_train(self, folder: Path) -> None:
        done = self.start("rewrite", "digits.tflite", "--scheme", "s.yaml", "--json", cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["output"] == "digits_train.tflite"
        done = self.start(
            "train", "digits_train.tflite", "--data", "d.npz", "--epochs", "1", cwd=folder
        )
        assert done.returncode == 0
        assert (
            "before: test accuracy" in done.stdout and "epoch 1: loss" in done.stderr + done.stdout
        )

    def test_help(self, folder: Path) -> None:
        done = self.start("--help", cwd=folder)
        assert done.returncode == 0
        for word in ("inspect", "rewrite", "train", "evaluate", "typical use", "version: 1"):
            assert word in done.stdout

    def test_errors(self, folder: Path) -> None:
        done = self.start("inspect", "none.tflite", cwd=folder)
        assert_refused(Outcome(done.returncode, done.stdout, done.stderr), "none.tflite", "No such")
        done = self.start("inspetc", cwd=folder)
        assert_refused(Outcome(done.returncode, done.stdout, done.stderr), "inspetc", "--help")


class TestInspect:
    def test_json(self, run: Run, folder: Path) -> None:
        described = run("inspect", folder / "digits.tflite", "--json").json
        assert len(described["layers"]) == 12
        assert {
            "index", "name", "op", "input_shape", "output_shape", "weight_shape", "macs",
            "weight_bytes", "bias_ram_bytes", "weight_ram_bytes", "trainable", "why_not",
        } <= described["layers"][0].keys()  # fmt: skip
        assert all(layer["trainable"] for layer in described["layers"])

    def test_table(self, run: Run, folder: Path) -> None:
        shown = run("inspect", folder / "digits.tflite")
        assert (shown.status, shown.err) == (0, "")
        assert "DEPTHWISE_CONV_2D" in shown.out and "MACs" in shown.out
        assert "arena on a" in shown.out


class TestRewrite:
    def test_json_and_report(self, run: Run, folder: Path) -> None:
        model, report = folder / "digits.tflite", folder / "report.json"
        done = run("rewrite", model, "--scheme", folder / "s.yaml", "--report", report, "--json")
        output = folder / "digits_train.tflite"
        assert done.err == "" and done.json["output"] == str(output)
        assert done.json["arena"]["total_bytes"] > done.json["arena_before"]["total_bytes"] > 0
        assert [layer["index"] for layer in done.json["layers"]] == [8, 9, 10, 11]
        assert json.loads(report.read_text()) == done.json
        assert output.read_bytes() == tt.rewrite(load(DIGITS), Scheme.parse(SCHEME)).model_bytes
        assert sorted(listing(folder)) == [
            "d.npz", "digits.tflite", "digits_train.tflite", "report.json", "s.yaml",
        ]  # fmt: skip
        assert model.read_bytes() == DIGITS.read_bytes()

    def test_tables(self, run: Run, folder: Path) -> None:
        output = folder / "out.tflite"
        done = run("rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "-o", output)
        assert done.status == 0 and done.err == ""
        for words in ("11 (head)", "ops added: 1 RESTORE", "flash: ", "activations", "written: "):
            assert words in done.out
        assert output.exists() and not (folder / "digits_train.tflite").exists()

    def test_an_earlier_result_is_replaced(self, run: Run, folder: Path) -> None:
        arguments = [
            "rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml",
            "--report", folder / "r.json",
        ]  # fmt: skip
        assert run(*arguments).status == 0
        first = listing(folder)
        (folder / "s.yaml").write_text(SCHEME + "seed: 4\n")
        assert run(*arguments).status == 0
        assert listing(folder)["digits_train.tflite"] != first["digits_train.tflite"]

    @pytest.mark.parametrize("content", [b"", b"my notes", b"\x1c\0\0\0TFL3 somebody's model"])
    def test_a_foreign_file_stays(self, run: Run, folder: Path, content: bytes) -> None:
        output = folder / "digits_train.tflite"
        output.write_bytes(content)
        before = listing(folder)
        arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml"]
        assert_refused(run(*arguments), str(output), "was not made by this command", "--force")
        assert listing(folder) == before
        assert run(*arguments, "--force").status == 0
        assert output.read_bytes() != content

    def test_a_foreign_report_stays(self, run: Run, folder: Path) -> None:
        report = folder / "notes.json"
        report.write_text('{"mine": 1}')
        arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml"]
        done = run(*arguments, "--report", report)
        assert_refused(done, "notes.json", "was not made by this command")
        assert report.read_text() == '{"mine": 1}'

    def test_the_input_is_not_the_output(self, run: Run, folder: Path) -> None:
        model = folder / "digits.tflite"
        before = listing(folder)
        done = run("rewrite", model, "--scheme", folder / "s.yaml", "-o", model, "--force")
        assert_refused(done, "is the input model itself")
        assert listing(folder) == before

    @pytest.mark.parametrize(
        ("scheme", "words"),
        [
            (
                "version: 1\nupdate: {weights: [{layer: 99}]}",
                ["layer 99 does not", "0 to 11"],
            ),
            ("version: 1\nupdaet: {}", ["s.yaml, line 2", "did you mean 'update'"]),
            ("version: 1\nupdate: {biases: {last: 12}}", ["use at most 11"]),
            ("{", ["s.yaml, line 1", "not YAML"]),
        ],
    )
    def test_bad_schemes(self, run: Run, folder: Path, scheme: str, words: list[str]) -> None:
        (folder / "s.yaml").write_text(scheme)
        before = listing(folder)
        done = run("rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml")
        assert_refused(done, *words)
        assert listing(folder) == before

    def test_bad_models(self, run: Run, folder: Path, rewritten: Path) -> None:
        scheme = folder / "s.yaml"
        for content in (b"", b"garbage", DIGITS.read_bytes()[:9000]):
            (folder / "bad.tflite").write_bytes(content)
            before = listing(folder)
            done = run("rewrite", folder / "bad.tflite", "--scheme", scheme)
            assert_refused(done, "bad.tflite")
            assert listing(folder) == before
        assert_refused(run("rewrite", rewritten, "--scheme", scheme), "training ops already")
        assert_refused(run("rewrite", folder, "--scheme", scheme), "Is a directory")
        assert_refused(run("rewrite", folder / "digits.tflite", "--scheme", folder / "no.yaml"))
        assert_refused(run("rewrite", folder / "digits.tflite"), "--scheme")

    def test_a_place_that_cannot_be_written(self, run: Run, folder: Path) -> None:
        for place in (folder / "no" / "such" / "o.tflite", folder):
            arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml"]
            before = {p.name for p in folder.iterdir()}
            assert_refused(run(*arguments, "-o", place), str(place))
            assert {p.name for p in folder.iterdir()} == before


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "{model}"],
        ["rewrite", "{model}", "--scheme", "{folder}/s.yaml"],
        ["memory", "{model}"],
        ["optimize", "{model}", "-o", "{folder}/o.tflite"],
        ["train", "{model}", "--data", "{folder}/d.npz"],
        ["evaluate", "{model}", "--data", "{folder}/d.npz"],
        ["merge", "{model}", "--state", "{folder}/s.bin", "-o", "{folder}/o.tflite"],
        ["export", "{model}", "--format", "cmake", "-o", "{folder}/project"],
        ["state", "info", "{folder}/s.bin", "--model", "{model}"],
        ["state", "reset", "{folder}/t.bin", "--model", "{model}"],
    ],
    ids=lambda command: "_".join(word for word in command[:2] if "{" not in word),
)
def test_a_model_that_contradicts_itself(
    run: Run, folder: Path, rewritten: Path, command: list[str]
) -> None:
    def change(raw: Any) -> None:
        codes = [code.builtinCode for code in raw.operatorCodes]
        wanted = codes.index(schema.BuiltinOperator.CONV_2D)
        op = next(o for o in raw.subgraphs[0].operators if o.opcodeIndex == wanted)
        op.builtinOptions.strideW = 0

    (folder / "s.bin").write_bytes(tt.Interpreter(rewritten).state())
    model = folder / "odd.tflite"
    model.write_bytes(raw_model.edit(rewritten.read_bytes(), change))
    before = listing(folder)
    arguments = [word.format(model=model, folder=folder) for word in command]
    assert_refused(run(*arguments), "odd.tflite: corrupt", "(CONV_2D, '", "its stride is 0")
    assert listing(folder) == before


class TestTrain:
    def test_json(self, run: Run, folder: Path, rewritten: Path) -> None:
        state = folder / "s.bin"
        done = run(
            "train", rewritten, "--data", folder / "d.npz", "--epochs", 2, "--lr", 0.01,
            "--schedule", "cosine", "--seed", 3, "--save-state", state, "--json",
        )  # fmt: skip
        assert done.err == "" and done.status == 0
        summary = done.json
        assert summary.keys() == {
            "metric", "test_accuracy_before", "epochs", "test_accuracy", "steps_per_second",
            "state",
        }  # fmt: skip
        assert len(summary["epochs"]) == 2
        for epoch in summary["epochs"]:
            assert epoch.keys() == {
                "loss", "train_accuracy", "test_accuracy", "learning_rate", "is_mute",
            }  # fmt: skip
            assert not epoch["is_mute"]
        assert summary["test_accuracy"] == summary["epochs"][-1]["test_accuracy"]
        interpreter = tt.Interpreter(rewritten)
        interpreter.load_state(state.read_bytes())
        assert interpreter.step == 16

    def test_a_head_that_learns_nothing_is_told(
        self, run: Run, folder: Path, rewritten: Path
    ) -> None:
        """A fresh head's outputs stay alike until one of them reaches a step."""
        (folder / "fresh.yaml").write_text("version: 1\nhead: {classes: 10}\nupdate: {}\n")
        assert run("rewrite", folder / "digits.tflite", "--scheme", folder / "fresh.yaml",
                   "-o", rewritten, "--force").status == 0  # fmt: skip
        arguments = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1, "--lr"]
        words = "the loss did not move in the first epoch"
        warnings = run(*arguments, 1e-7, "--json").json["warnings"]
        assert len(warnings) == 1 and words in warnings[0]
        assert warnings[0].endswith("use a larger learning rate, such as --lr 1e-06")
        shown = run(*arguments, 1e-7)
        told = [line for line in (shown.out + shown.err).splitlines() if words in line]
        assert len(told) == 1 and told[0].startswith("warning: ") and "--lr 1e-06" in told[0]
        assert "warnings" not in run(*arguments, 0.1, "--json").json
        evaluated = run("evaluate", rewritten, "--data", folder / "d.npz", "--json").json
        assert "the head has learnt nothing yet" in evaluated["warnings"][0]

    def test_the_same_seed_gives_the_same_state(
        self, run: Run, folder: Path, rewritten: Path
    ) -> None:
        states = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            path = folder / name
            arguments = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1]
            assert run(*arguments, "--seed", seed, "--save-state", path).status == 0
            states.append(path.read_bytes())
        assert states[0] == states[1] != states[2]

    def test_limit(self, run: Run, folder: Path, rewritten: Path) -> None:
        state = folder / "s.bin"
        arguments = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1, "--json"]
        assert run(*arguments, "--limit", 2, "--save-state", state).status == 0
        interpreter = tt.Interpreter(rewritten)
        interpreter.load_state(state.read_bytes())
        assert interpreter.step == 2

    def test_a_foreign_state_file_stays(self, run: Run, folder: Path, rewritten: Path) -> None:
        state = folder / "thesis.txt"
        state.write_text("three years of work")
        done = run(
            "train", rewritten, "--data", folder / "d.npz", "--epochs", 1, "--json",
            "--save-state", state,
        )  # fmt: skip
        assert_refused(done, "thesis.txt exists and was not made by this command")
        assert state.read_text() == "three years of work"

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--lr", "nan"], ["learning rate nan"]),
            (["--lr", "-1"], ["learning rate -1.0"]),
            (["--lr", "inf"], ["learning rate inf"]),
            (["--lr", "fast"], ["--lr", "fast"]),
            (["--epochs", "0"], ["epochs"]),
            (["--limit", "0"], ["limit"]),
            (["--schedule", "step"], ["--schedule", "step"]),
            (["--data", "none.npz"], ["none.npz"]),
        ],
    )
    def test_refusals(
        self, run: Run, folder: Path, rewritten: Path, arguments: list[str], words: list[str]
    ) -> None:
        before = listing(folder)
        data = [] if "--data" in arguments else ["--data", folder / "d.npz"]
        done = run("train", rewritten, *data, *arguments, "--save-state", folder / "s.bin")
        assert_refused(done, *words)
        assert listing(folder) == before

    def test_labels_out_of_range(self, run: Run, folder: Path, rewritten: Path) -> None:
        x = np.zeros((2, 16, 16, 1), np.uint8)
        y = np.array([0, 10])
        np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        assert_refused(run("train", rewritten, "--data", folder / "d.npz", "--json"), "10")

    def test_a_model_that_was_not_rewritten(self, run: Run, folder: Path) -> None:
        done = run("train", folder / "digits.tflite", "--data", folder / "d.npz", "--json")
        assert_refused(done, "holds no training ops; run `tflm_train rewrite`")

    def test_text(self, run: Run, folder: Path, rewritten: Path) -> None:
        done = run("train", rewritten, "--data", folder / "d.npz", "--epochs", 1)
        assert done.status == 0
        assert "test accuracy" in done.out and "steps per second" in done.out


class TestEvaluate:
    def test_original_and_rewritten_agree(self, run: Run, folder: Path, rewritten: Path) -> None:
        data = ["--data", folder / "d.npz", "--json"]
        first = run("evaluate", folder / "digits.tflite", *data).json
        second = run("evaluate", rewritten, *data).json
        assert first.keys() == {"model", "samples", "metric", "test_accuracy"}
        assert first["metric"] == "accuracy"
        assert first["samples"] == 4 and first["test_accuracy"] == second["test_accuracy"]
        assert run("evaluate", rewritten, *data, "--limit", 3).json["samples"] == 3
        shown = run("evaluate", rewritten, *data[:2])
        assert "(4 samples)" in shown.out

    def test_with_a_state(self, run: Run, folder: Path, rewritten: Path) -> None:
        state = folder / "s.bin"
        data = ["--data", folder / "d.npz", "--json"]
        trained = run("train", rewritten, *data, "--lr", 0.05, "--save-state", state).json
        after = run("evaluate", rewritten, *data, "--load-state", state).json
        assert after["test_accuracy"] == trained["test_accuracy"]

    def test_bad_states(self, run: Run, folder: Path, rewritten: Path) -> None:
        state = folder / "s.bin"
        arguments = ["evaluate", rewritten, "--data", folder / "d.npz", "--load-state", state]
        assert_refused(run(*arguments), "s.bin: cannot be read")
        good = tt.Interpreter(rewritten).state()
        for bad in (b"", good[:-1], good[:40] + b"x" + good[41:]):
            state.write_bytes(bad)
            assert_refused(run(*arguments), "r.tflite", "state")
        other = folder / "digits.tflite"
        state.write_bytes(good)
        done = run("evaluate", other, "--data", folder / "d.npz", "--load-state", state)
        assert_refused(done, "holds no training ops")

    def test_limit(self, run: Run, folder: Path, rewritten: Path) -> None:
        done = run("evaluate", rewritten, "--data", folder / "d.npz", "--limit", 0)
        assert_refused(done, "--limit must be at least 1")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("inspect", ["numbered over", "--json"]),
        ("rewrite", ["--scheme", "_train.tflite", "--report", "--force", "--json"]),
        ("train", ["x_train", "--schedule", "default: 3", "0.001", "--save-state", "--json"]),
        ("evaluate", ["--load-state", "factory weights", "--json"]),
    ],
)
def test_help_teaches(run: Run, command: str, words: list[str]) -> None:
    shown = run(command, "--help")
    assert (shown.status, shown.err) == (0, "")
    for word in words:
        assert word in shown.out


def test_internal_errors_are_one_line_too(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("tflm_train.commands.load", fail)
    done = run("inspect", folder / "digits.tflite")
    assert done.status == 1 and done.err.count("\n") == 1
    assert "internal error: ZeroDivisionError: a b (set TFLM_TRAIN_DEBUG=1" in done.err
    monkeypatch.setenv("TFLM_TRAIN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("inspect", folder / "digits.tflite")


class TestOtherLosses:
    def test_a_regression(self, run: Run, folder: Path) -> None:
        (folder / "m.tflite").write_bytes(loss_model("regression"))
        (folder / "s.yaml").write_text("version: 1\nloss: mean_squared_error\n")
        x = np.random.default_rng(0).uniform(-1, 1, (6, 6)).astype(np.float32)
        y = x[:, :3] * 0.2
        np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        model = folder / "m_train.tflite"
        assert run("rewrite", folder / "m.tflite", "--scheme", folder / "s.yaml").status == 0
        arguments = ["train", model, "--data", folder / "d.npz", "--epochs", 2]
        trained = run(*arguments, "--json").json
        assert trained["metric"] == "mean_squared_error"
        assert "test mean squared error" in run(*arguments).out
        for path in (folder / "m.tflite", model):
            evaluated = run("evaluate", path, "--data", folder / "d.npz", "--json").json
            assert evaluated["metric"] == "mean_squared_error"
            assert evaluated["test_accuracy"] == trained["test_accuracy_before"]

    def test_inspect_another_output(self, run: Run, folder: Path) -> None:
        (folder / "m.tflite").write_bytes(loss_model("two_outputs"))
        first, second = (
            run("inspect", folder / "m.tflite", "--output", output, "--json").json["layers"]
            for output in ("0", "1")
        )
        assert [x["trainable"] for x in first] != [x["trainable"] for x in second]
        done = run("inspect", folder / "m.tflite", "--output", "2")
        assert_refused(done, "output: m.tflite has no output 2")


class TestClassNames:
    def test_of_the_model(self, run: Run, folder: Path) -> None:
        scheme = "version: 1\nhead: {classes: 2, labels: [cat, dog]}\n"
        (folder / "s.yaml").write_text(scheme)
        run("rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml")
        x = np.zeros((4, 16, 16, 1), np.uint8)
        y = np.array([0, 1, 1, 0])
        np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        arguments = ["evaluate", folder / "digits_train.tflite", "--data", folder / "d.npz"]
        classes = run(*arguments, "--json").json["classes"]
        assert [(c["class"], c["samples"]) for c in classes] == [("cat", 2), ("dog", 2)]
        assert sum(c["right"] for c in classes) == 2
        shown = run(*arguments).out
        assert "cat" in shown and "dog" in shown

    def test_of_the_data_set(self, run: Run, folder: Path) -> None:
        x = np.zeros((2, 16, 16, 1), np.uint8)
        y = np.array([3, 9])
        names = np.array([f"digit {i}" for i in range(10)])
        np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=names)
        arguments = ["evaluate", folder / "digits.tflite", "--data", folder / "d.npz", "--json"]
        classes = run(*arguments).json["classes"]
        assert [c["class"] for c in classes if c["samples"]] == ["digit 3", "digit 9"]


@pytest.mark.parametrize(("classes", "count"), [("4", 4), ("+2", 12)])
def test_classes_on_the_command_line(run: Run, folder: Path, classes: str, count: int) -> None:
    (folder / "s.yaml").write_text("version: 1\n")
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "--classes"]
    assert run(*arguments, classes).status == 0
    assert tt.Interpreter(folder / "digits_train.tflite").classes == count
    assert_refused(run(*arguments, "many"), "--classes must be a number from 1 to 4096, or +N")
