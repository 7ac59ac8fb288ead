"""A model, a scheme, a data set, and a way to run commands on them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.cli.helpers import SCHEME, Outcome, Run
from tests.steps import DIGITS
from tflm_train.cli import shared
from tflm_train.cli.main import execute, parse
from tflm_train.model import load
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, however slow without lines of progress."""
    monkeypatch.setattr(shared, "SECONDS_BETWEEN", math.inf)

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        try:
            parsed = parse(["tflm_train", *map(str, arguments)])
            status = execute(parsed)
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


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
    path.write_bytes(rewrite(load(DIGITS), Scheme.parse(SCHEME)).model_bytes)
    return path
