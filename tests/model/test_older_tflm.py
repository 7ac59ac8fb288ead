"""What an older TFLM computes otherwise."""

from __future__ import annotations

import pytest

from tests.networks import load_network
from tests.steps import DIGITS
from tflm_train.errors import UnsupportedError
from tflm_train.model import load
from tflm_train.model.older_tflm import Tflm, require_same_answers


@pytest.mark.parametrize("tflm", [Tflm.SINCE_2023, Tflm.SINCE_2024])
def test_scales_by_output_channel_are_refused(tflm: Tflm) -> None:
    with pytest.raises(UnsupportedError, match=r"op 14 \('.*MatMul'\): TFLM takes the first"):
        require_same_answers(load(DIGITS), tflm)


@pytest.mark.parametrize("tflm", [Tflm.ANY, Tflm.SINCE_2026])
def test_nothing_is_asked_of_others(tflm: Tflm) -> None:
    assert require_same_answers(load(DIGITS), tflm) == ()


def test_a_mean_is_rounded_otherwise() -> None:
    model = load_network("mobilenet_v2")
    for op in model.graph.ops:
        if op.name == "FULLY_CONNECTED":
            weights = op.inputs[1]
            assert weights is not None and weights.quantization is not None
            one = weights.quantization
            weights.quantization = type(one)(one.scale[:1], one.zero_point[:1])
    (said,) = require_same_answers(model, Tflm.SINCE_2023)
    assert "MEAN (op " in said
    assert require_same_answers(model, Tflm.SINCE_2024) == ()
