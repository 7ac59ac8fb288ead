"""`tflm_train state`, `merge`, and the options that take states, as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import DIGITS, full_scheme, random_inputs, train
from tflm_train.rewriter import rewrite


def tflm_train(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tflm_train", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def succeed(*arguments: str | Path) -> dict[str, Any]:
    finished = tflm_train(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


def fail(*arguments: str | Path) -> str:
    finished = tflm_train(*arguments)
    assert finished.returncode != 0
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1, finished.stderr
    return finished.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rewritten model, its factory state, two trained states, a small data set."""
    path = tmp_path_factory.mktemp("state")
    model = tt.load(DIGITS)
    data = rewrite(model, full_scheme(model)).model_bytes
    (path / "model.tflite").write_bytes(data)
    interpreter = tt.Interpreter(data)
    (path / "factory.state").write_bytes(interpreter.state())
    for seed, name in ((1, "a.state"), (2, "b.state")):
        interpreter.reset()
        train(interpreter, 3 + seed, seed=seed, rate=0.05)
        (path / name).write_bytes(interpreter.state())
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 16, 16, 1)).astype(np.uint8)
    y = np.arange(12) % 10
    np.savez(path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return path


def test_info(folder: Path) -> None:
    header = succeed("state", "info", folder / "a.state")
    assert header["step"] == 4
    assert header["bytes"] == (folder / "a.state").stat().st_size
    whole = succeed("state", "info", folder / "a.state", "--model", folder / "model.tflite")
    assert header["fingerprint"] == whole["fingerprint"]
    assert {"train/ranges", "train/scales"} <= {v["name"] for v in whole["variables"]}
    asked = ("state", "info", folder / "a.state", "--model", folder / "model.tflite")
    first, second = tflm_train(*asked).stdout.splitlines()
    model = folder / "model.tflite"
    assert first == f"{folder / 'a.state'}: 4 training steps, belongs to {model}"
    assert header["fingerprint"] in second
    assert "train/ranges" in tflm_train(*asked, "--tensors").stdout
    assert "--tensors needs --model" in fail(*asked[:3], "--tensors")
    other = folder / "other.tflite"
    other.write_bytes(rewrite(tt.load(DIGITS), tt.Scheme()).model_bytes)
    assert "saved from another model" in fail(*asked[:4], other)


def test_diff(folder: Path) -> None:
    same = succeed("state", "diff", folder / "a.state", folder / "a.state")
    assert same["identical"] and same["bytes_changed"] == 0
    model = ("--model", folder / "model.tflite")
    other = succeed("state", "diff", folder / "a.state", folder / "b.state", *model)
    assert not other["identical"] and other["same_model"] and other["steps"] == [4, 5]
    assert any(v["changed"] for v in other["variables"])


def test_reset(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "new.state"
    model = ("--model", folder / "model.tflite")
    succeed("state", "reset", state, *model)
    assert state.read_bytes() == (folder / "factory.state").read_bytes()
    state.write_bytes((folder / "a.state").read_bytes())
    succeed("state", "reset", state, *model)
    assert state.read_bytes() == (folder / "factory.state").read_bytes()
    state.write_bytes(b"my diary")
    assert "not a saved training state" in fail("state", "reset", state, *model)
    assert state.read_bytes() == b"my diary"
    succeed("state", "reset", state, *model, "--force")


def test_average(folder: Path, tmp_path: Path) -> None:
    model = ("--model", folder / "model.tflite")
    inputs = (folder / "a.state", folder / "b.state")
    out = tmp_path / "mean.state"
    result = succeed("state", "average", *inputs, *model, "-o", out)
    assert (result["states"], result["step"]) == (2, 5)
    interpreter = tt.Interpreter(folder / "model.tflite")
    interpreter.load_state(out.read_bytes())
    assert "at least two states" in fail("state", "average", inputs[0], *model, "-o", out)


def test_merge(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "updated.tflite"
    arguments = ("merge", folder / "model.tflite", "--state", folder / "a.state", "-o", out)
    assert succeed(*arguments)["step"] == 4
    said = tflm_train(*arguments).stdout  # its own result is replaced
    assert said == f"written: {out} ({out.stat().st_size:,} bytes), after 4 training steps\n"
    interpreter = tt.Interpreter(folder / "model.tflite")
    interpreter.load_state((folder / "a.state").read_bytes())
    for x in random_inputs(interpreter.model.graph, 5):
        np.testing.assert_array_equal(tt.Interpreter(out).infer(x), interpreter.infer(x))
    assert succeed("evaluate", out, "--data", folder / "data.npz")["samples"] == 12
    out.write_bytes(b"somebody else's model")
    assert "was not made by this command" in fail(*arguments)
    damaged = tmp_path / "damaged.state"
    damaged.write_bytes((folder / "a.state").read_bytes()[:-1])
    message = fail("merge", folder / "model.tflite", "--state", damaged, "-o", tmp_path / "x")
    assert "damaged.state: cut off or damaged" in message
    assert not (tmp_path / "x").exists()


def test_training_continues_from_a_state(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "next.state"
    common = ("--data", folder / "data.npz", "--val-share", "0", "--epochs", "1", "--lr", "0.01")
    state = ("--load-state", folder / "a.state")
    succeed("train", folder / "model.tflite", *common, *state, "--save-state", out)
    assert succeed("state", "info", out)["step"] == 4 + 12
    assert "saved training state" in fail(
        "train", folder / "model.tflite", *common, "--load-state", folder / "data.npz"
    )
