"""The activation that a TFLite operator applies to its own output."""

from __future__ import annotations

from typing import get_args

from tflm_train.backward_ops.numerics import Activation, activation_range
from tflm_train.backward_ops.rule import Clamp
from tflm_train.graph import Op, Tensor

_NAMES = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}


def why_not_activation(op: Op) -> str | None:
    """Why the fused activation has no gradient, None when it has."""
    name = _name(op)
    if name in get_args(Activation):
        return None
    return f"its fused activation {name} has no gradient (RELU, RELU6 and RELU_N1_TO_1 have)"


def clamp_of(op: Op) -> Clamp | None:
    """The quantised clamp range of the fused activation, None without one."""
    name = _name(op)
    return next(
        (clamp_range(known, op.output) for known in get_args(Activation) if known == name), None
    )


def clamp_range(activation: Activation, output: Tensor) -> Clamp | None:
    """The quantised clamp range of `activation` on a tensor, None for NONE."""
    found = activation_range(activation, output.scale, output.zero_point)
    return None if found is None else Clamp(*found)


def _name(op: Op) -> str:
    code = getattr(op.options, "fusedActivationFunction", 0)
    return _NAMES.get(code, f"code {code}")
