"""What is written loads, and crashes no TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models import converted_model
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Tensor
from tflm_train.model.written import check_written, write_checked


def test_unguarded_variables_get_a_zero_point() -> None:
    model = Model(converted_model("keyword"))
    variable = Tensor.make("kept", np.int8, (3,), is_variable=True)
    model.graph.add(variable)
    with pytest.raises(UnsupportedError, match=r"int8 variable 'kept' has no zero point"):
        check_written(model.to_bytes(), "model")
    again = Model(write_checked(model)).graph.tensors[-1]
    assert again.quantization is not None
    assert (again.scale, again.zero_point) == (1.0, 0)


def test_what_would_not_load_is_not_handed_out() -> None:
    model = Model(converted_model("keyword"))
    model.graph.ops[0].outputs = []
    with pytest.raises(UnsupportedError, match="would not load, so it was not written"):
        write_checked(model)
