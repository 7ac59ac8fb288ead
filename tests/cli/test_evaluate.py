"""`tflm_train evaluate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import tflm_train as tt
from tests.cli.helpers import Run, assert_refused


def test_original_and_rewritten_agree(run: Run, folder: Path, rewritten: Path) -> None:
    data = ["--data", folder / "d.npz", "--json"]
    first = run("evaluate", folder / "digits.tflite", *data).json
    second = run("evaluate", rewritten, *data).json
    assert first.keys() == {"model", "samples", "metric", "test_accuracy"}
    assert first["metric"] == "accuracy"
    assert first["samples"] == 4 and first["test_accuracy"] == second["test_accuracy"]
    assert run("evaluate", rewritten, *data, "--limit", 3).json["samples"] == 3
    shown = run("evaluate", rewritten, *data[:2])
    assert "(4 samples)" in shown.out


def test_with_a_state(run: Run, folder: Path, rewritten: Path) -> None:
    state = folder / "s.bin"
    data = ["--data", folder / "d.npz", "--json"]
    trained = run("train", rewritten, *data, "--lr", 0.05, "--save-state", state).json
    after = run("evaluate", rewritten, *data, "--load-state", state).json
    assert after["test_accuracy"] == trained["test_accuracy"]


def test_bad_states(run: Run, folder: Path, rewritten: Path) -> None:
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


def test_limit(run: Run, folder: Path, rewritten: Path) -> None:
    done = run("evaluate", rewritten, "--data", folder / "d.npz", "--limit", 0)
    assert_refused(done, "limit 0 must be at least 1")


def test_class_names_of_the_model(run: Run, folder: Path) -> None:
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


def test_class_names_of_the_data_set(run: Run, folder: Path) -> None:
    x = np.zeros((2, 16, 16, 1), np.uint8)
    y = np.array([3, 9])
    names = np.array([f"digit {i}" for i in range(10)])
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=names)
    arguments = ["evaluate", folder / "digits.tflite", "--data", folder / "d.npz", "--json"]
    classes = run(*arguments).json["classes"]
    assert [c["class"] for c in classes if c["samples"]] == ["digit 3", "digit 9"]
