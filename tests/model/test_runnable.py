"""What TFLM has no kernel for is said before anything else is tried."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_train as tt
from tests.single_op import activation, model_of
from tflm_train.errors import ModelError
from tflm_train.model import Model
from tflm_train.model.runnable import missing_kernels
from tflm_train.ops.builtin import BUILTINS

FLOAT_ONLY = [row.name for row in BUILTINS.values() if row.is_float_only]


def function(name: str, dtype: type) -> Model:
    inputs = [activation(1, 4, 4, 2, dtype=dtype)]
    if name in ("FLOOR_DIV", "FLOOR_MOD"):
        inputs *= 2
    return model_of(name, inputs, activation(1, 4, 4, 2, dtype=dtype), None)


@pytest.mark.parametrize("name", FLOAT_ONLY)
def test_functions_of_float32_alone(name: str) -> None:
    (missing,) = missing_kernels(function(name, np.int8))
    assert missing.is_final and "computes it in float32 only" in missing.reason
    assert not missing_kernels(function(name, np.float32))


@pytest.mark.parametrize("name", ["EXP", "SQRT", "NEG", "SQUARE", "LOG"])
def test_the_interpreter_does_not_run_them(name: str) -> None:
    """Some of them fail only when they are invoked."""
    with pytest.raises(ModelError, match=r"op 0 \(.*computes it in float32 only"):
        tt.Interpreter(function(name, np.int8))
