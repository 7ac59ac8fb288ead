"""`tflm_train quantize`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import requirements
from tests.cli.helpers import Run, assert_refused


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 13)).astype(np.float32), rng.integers(0, 3, 40)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return tmp_path / "d.npz"


def test_a_refused_float_model_names_the_command_that_helps(
    run: Run, data: Path, tmp_path: Path
) -> None:
    source = requirements.shared() / "cases" / "zoo" / "float32_01.tflite"
    small, trainable = tmp_path / "small.tflite", tmp_path / "t.tflite"
    refused = run("rewrite", source, "--preset", "head", "-o", trainable)
    assert_refused(refused, "tflm_train quantize MODEL --data D")
    result = run("quantize", source, "--data", data, "-o", small, "--json").json
    assert result["metric"] == "accuracy" and result["bytes"] == small.stat().st_size
    assert abs(result["after"] - result["before"]) < 0.1 and result["output_error"] < 0.05
    shown = run("quantize", source, "--data", data, "-o", small, "--force").out
    assert "float: accuracy" in shown and "the layers that are off most: " in shown
    assert run("rewrite", small, "--preset", "head", "-o", trainable).status == 0


def test_nothing_is_overwritten(run: Run, data: Path, tmp_path: Path) -> None:
    source = requirements.shared() / "cases" / "zoo" / "float32_01.tflite"
    other = tmp_path / "mine.tflite"
    other.write_bytes(b"mine")
    assert_refused(run("quantize", source, "--data", data, "-o", other), "mine.tflite")
    assert other.read_bytes() == b"mine"
