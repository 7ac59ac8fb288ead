"""What the time of TFLM's operators without weights depends on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from tflm_train.cost.amounts import VECTOR, Values, inside, named, round_up
from tflm_train.graph import Op, Tensor
from tflm_train.graph.window import window_positions

_INT8 = "INT8"
_COPIES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
_CASTS = ("QUANTIZE", "DEQUANTIZE", "CAST")
_BROADCAST = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM")
SAME_KERNEL = dict.fromkeys(_COPIES, "RESHAPE")
"""Operators that do what another does."""


def builtin_values(op: Op) -> Values:
    """Of an operator without weights; elements that are no int8 have times of their own."""
    size = float(max((t.size for t in op.outputs), default=0))
    x = next((t for t in op.inputs if t is not None), None)
    read = 0.0 if x is None else float(x.size)
    if not op.outputs or x is None:
        return {"elements": size, "read": read}
    if op.name in _COPIES:
        return {"elements": _bytes(op.output)}
    if op.name in _CASTS:
        return named(f"{x.type_name} to {op.output.type_name}".lower(), {"elements": size})
    values = _OTHERS[op.name](op, size) if op.name in _OTHERS else {"elements": size, "read": read}
    return in_type(op, values)


def in_type(op: Op, values: Values) -> Values:
    """Amounts of an operator's output type: int8 has no name."""
    name = op.output.type_name if op.outputs else _INT8
    return values if name == _INT8 else named(name.lower(), values)


def _bytes(tensor: Tensor) -> float:
    return float(tensor.size * (1 if tensor.dtype is None else tensor.dtype.itemsize))


def _broadcast(op: Op, size: float) -> Values:
    if all(t is None or t.size == size for t in op.inputs):
        return {"elements": size}
    return {"broadcast elements": size}


def _max_pool(op: Op, size: float) -> Values:
    options, (_, in_h, in_w, channels) = op.options, op.input.shape
    _, out_h, out_w, _ = op.output.shape
    met = _met(in_h, out_h, options.filterHeight, options.strideH) * _met(
        in_w, out_w, options.filterWidth, options.strideW
    )
    return {
        "compared": met * channels,
        "vector compared": met * round_up(channels, VECTOR),
        "taps": met,
        "elements": size,
        "positions": out_h * out_w,
    }


def _met(size: int, out: int, kernel: int, stride: int) -> int:
    """How often a tap meets the input along an axis."""
    is_same = out == window_positions(size, kernel, stride, 1, same=True)
    before = max(0, (out - 1) * stride + kernel - size) // 2 if is_same else 0
    return inside(out, kernel, stride, 1, before, size)


def _by_position(op: Op, size: float) -> Values:
    return {"elements": size, "positions": size / (op.output.shape or (1,))[-1]}


def _concatenation(op: Op, size: float) -> Values:
    axis = op.options.axis % len(op.output.shape)
    return {"elements": size, "copies": math.prod(op.output.shape[:axis]) * len(op.inputs)}


def _elements(op: Op, size: float) -> Values:
    del op
    return {"elements": size}


_OTHERS: Mapping[str, Callable[[Op, float], Values]] = {
    **dict.fromkeys(_BROADCAST, _broadcast),
    "MAX_POOL_2D": _max_pool,
    "RESIZE_BILINEAR": _by_position,
    "RESIZE_NEAREST_NEIGHBOR": _by_position,
    "STRIDED_SLICE": _by_position,
    "CONCATENATION": _concatenation,
    **dict.fromkeys(("TRANSPOSE", "LOGISTIC", "TANH", "RELU", "RELU6"), _elements),
    **dict.fromkeys(("LEAKY_RELU", "HARD_SWISH", "SOFTMAX"), _elements),
}
