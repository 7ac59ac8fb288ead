"""The shapes that the outputs of builtin operators must have: what several rows share.

A shape rule takes an operator whose inputs are there and whose options are of the right kind, and
returns the shapes of its outputs, `None` for one that only the running model knows. What cannot be
(a stride of 0, a filter for other channels) is raised as `MalformedOpError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op, Tensor
from tflm_train.graph.window import window_positions

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]
ShapeRule = Callable[[Op], Shapes]

ANY: Shapes = (None,)
"""One output of which nothing is known."""

_BIAS_TYPES = {"INT8": ("INT32",), "INT16": ("INT32", "INT64"), "FLOAT32": ("FLOAT32",)}
_MAX_STEP = 1 << 15


class MalformedOpError(Exception):
    """Why an operator contradicts itself."""


def require(condition: bool, reason: str) -> None:
    """Raises `MalformedOpError` unless the condition holds."""
    if not condition:
        raise MalformedOpError(reason)


def tensor_of(op: Op, index: int) -> Tensor:
    """An input that must be there."""
    tensor = op.optional_input(index)
    if tensor is None:
        raise MalformedOpError(f"input {index} is missing")
    return tensor


def same_shape(op: Op) -> Shapes:
    """Elementwise, one input."""
    return (op.input.shape,)


def unknown_shape(op: Op) -> Shapes:
    """Nothing is said of the outputs."""
    return [None] * len(op.outputs)


def same_size(op: Op) -> Shapes:
    """RESHAPE and its like: as many elements as before."""
    x, y = op.input, op.output
    require(x.size == y.size, f"{listed(x.shape)} cannot become {listed(y.shape)}")
    return ANY


def broadcast(op: Op) -> Shapes:
    """Elementwise, two inputs."""
    return (broadcast_shapes(tensor_of(op, 0).shape, tensor_of(op, 1).shape),)


def broadcast_shapes(a: Sequence[int], b: Sequence[int]) -> Shape:
    """The shape of two arrays broadcast against each other."""
    try:
        return np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        raise MalformedOpError(
            f"its inputs {listed(a)} and {listed(b)} do not go together"
        ) from None


def axis_of(axis: int, rank: int) -> int:
    """A dimension counted from the end if negative, as one counted from the start."""
    require(-rank <= axis < rank, f"axis {axis} does not exist in {rank} dimensions")
    return axis % rank


def integers(tensor: Tensor) -> list[int]:
    """The values of a constant that must be of an integer type."""
    assert tensor.data is not None
    require(tensor.data.dtype.kind == "i", f"{tensor.name!r} is {tensor.type_name}, no integers")
    return [int(value) for value in tensor.data.reshape(-1)]


def single(tensor: Tensor) -> int:
    """The only value of an integer constant."""
    values = integers(tensor)
    require(len(values) == 1, f"{tensor.name!r} has {len(values)} values, not one")
    return values[0]


def listed(shape: Sequence[int]) -> str:
    """A shape as messages write it."""
    return "x".join(map(str, shape)) if math.prod(shape) or shape else "a scalar"


def all_listed(shapes: Sequence[Shape]) -> str:
    """Several shapes as messages write them."""
    return ", ".join(map(listed, shapes))


def require_rank(tensor: Tensor, rank: int) -> None:
    """Raises `MalformedOpError` unless a tensor has that many dimensions, none of them 0."""
    right = len(tensor.shape) == rank and min(tensor.shape) >= 1
    require(right, f"{tensor.name!r} is {listed(tensor.shape)}; {rank} dimensions are needed")


def require_bias(op: Op, index: int, channels: int) -> None:
    """Raises `MalformedOpError` where a bias does not fit its channels or its type the output."""
    bias, output = op.optional_input(index), op.output
    if bias is None:
        return
    require(bias.size == channels, f"its bias has {bias.size} values for {channels} channels")
    wanted = _BIAS_TYPES.get(output.type_name)
    if wanted is not None:
        fits = bias.type_name in wanted
        require(fits, f"its bias is {bias.type_name} beside {output.type_name} activations")


def window_output(op: Op, x: Tensor, kernel: tuple[int, int], channels: int) -> Shape:
    """The output of a window that slides over an image, by the operator's options."""
    options = op.options
    sizes = []
    for axis, taps, stride, dilation in (
        (1, kernel[0], options.strideH, getattr(options, "dilationHFactor", 1)),
        (2, kernel[1], options.strideW, getattr(options, "dilationWFactor", 1)),
    ):
        for what, value in (("kernel", taps), ("stride", stride), ("dilation", dilation)):
            fits = 1 <= value <= _MAX_STEP
            require(fits, f"its {what} is {value}; only 1 to {_MAX_STEP} makes sense")
        known = options.padding in (schema.Padding.SAME, schema.Padding.VALID)
        require(known, f"its padding {options.padding} is neither SAME nor VALID")
        same = options.padding == schema.Padding.SAME
        sizes.append(window_positions(x.shape[axis], taps, stride, dilation, same=same))
    fits = min(sizes) >= 1
    require(fits, f"its {kernel[0]}x{kernel[1]} kernel is larger than its input {listed(x.shape)}")
    return (x.shape[0], *sizes, channels)
