"""The activation that a TFLite operator applies to its own output."""

from __future__ import annotations

from typing import Literal

from tflm_train.backward_ops.numerics import activation_range
from tflm_train.backward_ops.rule import Clamp
from tflm_train.model.graph import Op

_NAMES = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
_DIFFERENTIABLE: tuple[Literal["NONE", "RELU", "RELU6"], ...] = ("NONE", "RELU", "RELU6")


def why_not_activation(op: Op) -> str | None:
    """Why the fused activation has no gradient, None when it has."""
    name = _name(op)
    if name in _DIFFERENTIABLE:
        return None
    return f"its fused activation {name} has no gradient (RELU and RELU6 have)"


def clamp_of(op: Op) -> Clamp | None:
    """The quantised clamp range of the fused activation, None without one."""
    name = _name(op)
    for known in _DIFFERENTIABLE:
        if known == name:
            found = activation_range(known, op.output.scale, op.output.zero_point)
            return None if found is None else Clamp(*found)
    return None


def _name(op: Op) -> str:
    code = getattr(op.options, "fusedActivationFunction", 0)
    return _NAMES.get(code, f"code {code}")
