"""`tflm_train evaluate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import tflm_train as tt
from tests.cli.helpers import Run, assert_refused
from tests.loss_models import loss_model
from tflm_train.runtime.metrics import real_values
from tflm_train.runtime.model_data import model_inputs


def test_original_and_rewritten_agree(run: Run, folder: Path, rewritten: Path) -> None:
    data = ["--data", folder / "d.npz", "--json"]
    first = run("evaluate", folder / "digits.tflite", *data).json
    second = run("evaluate", rewritten, *data).json
    assert first.keys() == {
        "model", "samples", "metric", "test_accuracy", "standard_error", "classes", "confusion",
        "top_k", "ties",
    }  # fmt: skip
    assert first["metric"] == "accuracy"
    assert first["samples"] == 4 and first["test_accuracy"] == second["test_accuracy"]
    assert run("evaluate", rewritten, *data, "--limit", 3).json["samples"] == 3
    shown = run("evaluate", rewritten, *data[:2])
    assert shown.out.startswith("test accuracy ") and "(4 samples)" in shown.out.splitlines()[0]


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
        assert_refused(run(*arguments), f"{state}: ")
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


def test_what_people_read(run: Run, folder: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 16, 16, 1)).astype(np.uint8)
    y = np.arange(40) % 10
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    asked = ["evaluate", folder / "digits.tflite", "--data", folder / "d.npz"]
    found, shown = run(*asked, "--json").json, run(*asked).out
    for word in ("precision", "recall", "true (row), found (column)"):
        assert word in shown
    assert f"top-3 accuracy {100 * found['top_k']['3']:.1f} %, top-5 accuracy " in shown
    x = np.full((4, 16, 16, 1), 128, np.uint8)
    np.savez(folder / "d.npz", x_train=x, y_train=y[:4], x_test=x, y_test=y[:4])
    fresh = ["rewrite", folder / "digits.tflite", "--preset", "head", "--classes", 10]
    assert run(*fresh, "-o", folder / "fresh.tflite").status == 0
    shown = run("evaluate", folder / "fresh.tflite", "--data", folder / "d.npz").out
    assert "the two largest outputs were equal in 100.0 % of the samples" in shown
    assert sum(map(sum, found["confusion"])) == 40
    assert [row["samples"] for row in found["classes"]] == [4] * 10


def test_anomalies(run: Run, folder: Path) -> None:
    """A model that repeats its input: labels say what is normal, before and after rewriting."""
    model = folder / "a.tflite"
    model.write_bytes(loss_model("autoencoder"))
    scheme = folder / "a.yaml"
    scheme.write_text("version: 1\nloss: {name: mean_squared_error, target: input}\n")
    run("rewrite", model, "--scheme", scheme)
    size = tt.load(model).graph.inputs[0].size
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.2, 0.2, (40, size)).astype(np.float32)
    x[20:] *= 5
    y = np.repeat([1, 0], 20)
    np.savez(folder / "a.npz", x_train=x[:10], y_train=y[:10], x_test=x, y_test=y)
    for file in (model, folder / "a_train.tflite"):
        found = run("evaluate", file, "--data", folder / "a.npz", "--json").json
        assert found["metric"] == "mean_squared_error"
        errors = []
        interpreter = tt.Interpreter(file)
        tensor = interpreter.model.graph.inputs[0]
        output = interpreter.model.graph.outputs[0]
        for one in model_inputs(interpreter, x, "x"):
            given = real_values(interpreter.infer(one), output).reshape(-1)
            errors.append(np.mean((given - real_values(one, tensor).reshape(-1)) ** 2))
        assert found["test_accuracy"] == pytest.approx(np.mean(errors))
        assert found["auc"] == pytest.approx(roc_auc_score(y == 0, errors))
        assert found["auc"] > 0.9
    assert "area under the ROC curve" in run("evaluate", model, "--data", folder / "a.npz").out
