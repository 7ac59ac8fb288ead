"""`tflm_train train`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from tests.cli.helpers import Run, assert_refused, listing
from tests.loss_models import loss_model
from tflm_train.cli import shared
from tflm_train.runtime.model_data import model_inputs


def test_json(run: Run, folder: Path, rewritten: Path) -> None:
    state = folder / "s.bin"
    done = run(
        "train", rewritten, "--data", folder / "d.npz", "--epochs", 2, "--lr", 0.01,
        "--schedule", "cosine", "--seed", 3, "--save-state", state, "--json",
    )  # fmt: skip
    assert done.err == "" and done.status == 0
    summary = done.json
    assert summary.keys() - {"warnings"} == {
        "metric", "learning_rate", "test_accuracy_before", "epochs", "test_accuracy",
        "steps_per_second", "weight_steps", "state", "test",
    }  # fmt: skip
    assert summary["test"]["test_accuracy"] == summary["test_accuracy"]
    counts = summary["weight_steps"]
    assert counts["steps"] >= counts["limited"] + counts["vanished"] > 0
    assert len(summary["epochs"]) == 2
    for epoch in summary["epochs"]:
        assert epoch.keys() == {
            "loss", "train_accuracy", "learning_rate", "is_mute",
        }  # fmt: skip
        assert not epoch["is_mute"]
    interpreter = tt.Interpreter(rewritten)
    interpreter.load_state(state.read_bytes())
    assert interpreter.step == 16


def test_a_head_that_learns_nothing_is_told(run: Run, folder: Path, rewritten: Path) -> None:
    """A fresh head's outputs stay alike until one of them reaches a step."""
    (folder / "fresh.yaml").write_text("version: 1\nhead: {classes: 10}\nupdate: {}\n")
    assert run("rewrite", folder / "digits.tflite", "--scheme", folder / "fresh.yaml",
               "-o", rewritten, "--force").status == 0  # fmt: skip
    arguments = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1, "--lr"]
    words = "the loss did not move in the first epoch"
    warnings = run(*arguments, 1e-7, "--json").json["warnings"]
    assert words in warnings[-1]
    assert warnings[-1].endswith("use a larger learning rate, such as --lr 1e-06")
    shown = run(*arguments, 1e-7)
    told = [line for line in (shown.out + shown.err).splitlines() if words in line]
    assert len(told) == 1 and told[0].startswith("warning: ") and "--lr 1e-06" in told[0]
    assert words not in str(run(*arguments, 0.1, "--json").json.get("warnings"))
    evaluated = run("evaluate", rewritten, "--data", folder / "d.npz", "--json").json
    assert "the head has learnt nothing yet" in evaluated["warnings"][0]


def test_the_same_seed_gives_the_same_state(run: Run, folder: Path, rewritten: Path) -> None:
    states = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = folder / name
        arguments = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1]
        assert run(*arguments, "--seed", seed, "--save-state", path).status == 0
        states.append(path.read_bytes())
    assert states[0] == states[1] != states[2]


def test_limit(run: Run, folder: Path, rewritten: Path) -> None:
    state = folder / "s.bin"
    arguments = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1, "--json"]
    assert run(*arguments, "--limit", 2, "--save-state", state).status == 0
    interpreter = tt.Interpreter(rewritten)
    interpreter.load_state(state.read_bytes())
    assert interpreter.step == 2


def test_a_foreign_state_file_stays(run: Run, folder: Path, rewritten: Path) -> None:
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
    run: Run, folder: Path, rewritten: Path, arguments: list[str], words: list[str]
) -> None:
    before = listing(folder)
    data = [] if "--data" in arguments else ["--data", folder / "d.npz"]
    done = run("train", rewritten, *data, *arguments, "--save-state", folder / "s.bin")
    assert_refused(done, *words)
    assert listing(folder) == before


def test_labels_out_of_range(run: Run, folder: Path, rewritten: Path) -> None:
    x = np.zeros((2, 16, 16, 1), np.uint8)
    y = np.array([0, 10])
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert_refused(run("train", rewritten, "--data", folder / "d.npz", "--json"), "10")


def test_a_model_that_was_not_rewritten(run: Run, folder: Path) -> None:
    done = run("train", folder / "digits.tflite", "--data", folder / "d.npz", "--json")
    assert_refused(done, "holds no training ops; run `tflm_train rewrite`")


def test_text(run: Run, folder: Path, rewritten: Path) -> None:
    done = run("train", rewritten, "--data", folder / "d.npz", "--epochs", 1)
    assert done.status == 0
    first = done.out.splitlines()[0]
    assert first.startswith("before: test accuracy ")
    assert first.endswith(" steps a second on this PC)")


def test_a_regression(run: Run, folder: Path) -> None:
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


def test_frozen_layers_run_once_and_are_kept(run: Run, folder: Path, rewritten: Path) -> None:
    cache = folder / "cache"
    arguments = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 1]
    first = run(*arguments, "--save-state", folder / "a", "--cache", cache)
    assert first.status == 0 and "frozen layers: " in first.err
    kept = {file: file.stat().st_ino for file in cache.iterdir()}
    assert kept
    assert run(*arguments, "--save-state", folder / "b", "--cache", cache).status == 0
    assert {file: file.stat().st_ino for file in cache.iterdir()} == kept
    assert run(*arguments, "--save-state", folder / "c", "--cache", "none").status == 0
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes() == (folder / "c").read_bytes()
    evaluate = ["evaluate", rewritten, "--data", folder / "d.npz", "--json", "--load-state"]
    found = [run(*evaluate, folder / "a", "--cache", place).json for place in (cache, "none")]
    assert found[0] == found[1]


def test_forgetting_is_a_number(run: Run, folder: Path, rewritten: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (8, 16, 16, 1)).astype(np.uint8)
    interpreter = tt.Interpreter(rewritten)
    known = [int(np.argmax(interpreter.infer(one))) for one in model_inputs(interpreter, x, "x")]
    y = np.array(known)
    np.savez(folder / "old.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    state = folder / "s.bin"
    asked = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 3, "--lr", 0.3]
    asked += ["--also-evaluate", folder / "old.npz", "--also-evaluate", folder / "d.npz"]
    trained = run(*asked, "--save-state", state, "--json").json
    old, new = trained["also"]
    assert old["before"] == 1.0 and old["samples"] == 8
    assert new["before"] == trained["test_accuracy_before"]
    assert new["after"] == trained["test_accuracy"]
    evaluated = run(
        "evaluate", rewritten, "--data", folder / "old.npz", "--load-state", state, "--json"
    ).json
    assert old["after"] == evaluated["test_accuracy"] < 1.0
    assert "old.npz: before: test accuracy 100.0 %; after: test accuracy" in run(*asked).out
    y = np.full(8, 12)
    np.savez(folder / "old.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    refused = run(*asked)
    assert_refused(refused, "--also-evaluate", "old.npz", "y_test")


def test_progress_where_nobody_watches(
    run: Run, folder: Path, rewritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["train", rewritten, "--data", folder / "d.npz", "--epochs", 2, "--lr", 0.01]
    assert "8/8" not in run(*asked).err
    monkeypatch.setattr(shared, "SECONDS_BETWEEN", 0.0)
    err = run(*asked).err
    assert "epoch 2  loss" in err and "  8/8\n" in err
    assert run(*asked, "--json").err == ""
