"""The demonstration's model, data and story."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import tflm_train as tt
from tflm_train import demo
from tflm_train.data import Dataset, load_dataset
from tflm_train.demo.__main__ import run
from tflm_train.demo.data import field_data, source_data
from tflm_train.demo.start_files import write_start_files
from tflm_train.errors import TflmTrainError
from tflm_train.runtime.model_data import model_inputs
from tflm_train.runtime.training import evaluate

MODEL = Path(demo.__file__).with_name("digits.tflite")


def score(interpreter: tt.Interpreter, data: Dataset) -> float:
    return evaluate(interpreter, model_inputs(interpreter, data.x_test, "x_test"), data.y_test)


def test_data_is_upright_before_and_turned_after() -> None:
    source, field = source_data(), field_data()
    assert isinstance(source.x_test, np.ndarray)
    np.testing.assert_array_equal(np.rot90(source.x_test, axes=(1, 2)), field.x_test)
    np.testing.assert_array_equal(source.y_test, field.y_test)
    assert (len(source.x_train), len(field.x_train), len(field.x_test)) == (900, 597, 300)
    assert field.x_train.dtype == np.uint8


@pytest.mark.interpreter
def test_the_model_knows_upright_digits_only() -> None:
    assert 20_000 < MODEL.stat().st_size < 40 * 1024
    interpreter = tt.Interpreter(MODEL)
    assert score(interpreter, source_data()) > 0.97
    assert score(interpreter, field_data()) < 0.30


@pytest.mark.interpreter
def test_the_story(tmp_path: Path) -> None:
    shown = io.StringIO()
    run(tmp_path / "out", 2, Console(file=shown, width=120))
    rows = {
        line.split("│")[1].strip(): float(line.split("│")[3].split()[0])
        for line in shown.getvalue().splitlines()
        if line.count("│") == 4
    }
    assert rows["after epoch 2 on 597 turned digits"] > 80
    upright = rows["factory model, upright digits"]
    assert rows["reset: factory weights, upright digits"] == upright
    assert rows["trained state loaded, turned digits"] == rows["after epoch 2 on 597 turned digits"]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["digits.state", "digits_train.tflite", "learning_curve.png"]


@pytest.mark.interpreter
def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    picture = tmp_path / "learning_curve.png"
    picture.write_bytes(b"somebody else's picture")
    with pytest.raises(TflmTrainError, match="was not made by this command"):
        run(tmp_path, 1, Console(file=io.StringIO()))
    assert picture.read_bytes() == b"somebody else's picture"


@pytest.mark.parametrize("missing", ["PIL", "sklearn", "matplotlib"])
def test_what_is_not_installed_is_named(tmp_path: Path, missing: str) -> None:
    program = f"""
import importlib.abc, runpy, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{missing}":
            raise ModuleNotFoundError("No module named '{missing}'", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["-m", "--output", sys.argv[1]]  # As `python -m` has it while it looks for the module.
runpy.run_module("tflm_train.demo", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "pip install '.[demo]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_files_to_begin_with(tmp_path: Path) -> None:
    written = write_start_files(tmp_path / "start")
    assert [path.name for path in written] == [
        "digits.tflite", "upright.npz", "turned.npz", "both.npz", "parity.npz",
    ]  # fmt: skip
    parity = load_dataset(tmp_path / "start" / "parity.npz")
    upright = load_dataset(tmp_path / "start" / "upright.npz")
    assert parity.class_names == ("even", "odd")
    np.testing.assert_array_equal(parity.y_train, upright.y_train % 2)
    assert write_start_files(tmp_path / "start") == written  # Its own files are not in the way.
    (tmp_path / "start" / "turned.npz").write_bytes(b"mine")
    with pytest.raises(TflmTrainError, match=r"turned\.npz exists"):
        write_start_files(tmp_path / "start")
    assert (tmp_path / "start" / "turned.npz").read_bytes() == b"mine"
