"""Shapes that a model works out while it runs, worked out beforehand.

A converter that does not know how many samples a model will take leaves operators in it that look
(SHAPE), cut, join and compute sizes, and gives a RESHAPE what comes of it. In the file such a
RESHAPE has a shape of ones, which TFLM takes at its word. Once the inputs have sizes, all of that
is known: the sizes become constants, their operators go, and every tensor has its real shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from tflm_train.graph import Graph, Op, Tensor
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.builtin.shapes import MalformedOpError

_Array = npt.NDArray[np.int64]
_Values = Sequence[_Array]


def has_open_shapes(graph: Graph) -> bool:
    """Whether an operator of a graph looks how large a tensor is."""
    return any(op.name == "SHAPE" and not op.is_custom for op in graph.ops)


def close_shapes(graph: Graph) -> bool:
    """Makes constants of the sizes that operators work out, and gives every tensor its shape.

    Args:
      graph: Changed in place; its inputs have the sizes that they are to have.

    Returns:
      Whether a tensor had another shape before: TFLM could not have run the graph.
    """
    if not has_open_shapes(graph):
        return False
    before = {id(op): [t.shape for t in op.outputs] for op in graph.ops}
    kept = []
    for op in graph.ops:
        if any(tensor in graph.outputs for tensor in op.outputs) or not _fold(op):
            _give_shapes(op)
            kept.append(op)
    graph.ops, idle = _still_wanted(graph, kept)
    # What nothing computes has no place in the file either.
    gone = {id(t) for op in idle for t in op.outputs}
    graph.tensors[:] = [t for t in graph.tensors if id(t) not in gone]
    return any([t.shape for t in op.outputs] != before[id(op)] for op in graph.ops)


def _still_wanted(graph: Graph, kept: Sequence[Op]) -> tuple[list[Op], list[Op]]:
    """The operators that stay, and those that only gave tensors to be looked at."""
    looked_at = {id(op.input) for op in graph.ops if op.name == "SHAPE" and not op.is_custom}
    used = {id(tensor) for tensor in graph.outputs}
    wanted: list[Op] = []
    idle: list[Op] = []
    for op in reversed(kept):
        is_idle = all(id(t) in looked_at and id(t) not in used for t in op.outputs)
        if is_idle and op.outputs:
            looked_at |= {id(t) for t in op.inputs if t is not None}
            idle.append(op)
            continue
        used |= {id(t) for t in op.inputs if t is not None}
        wanted.append(op)
    return wanted[::-1], idle


def _fold(op: Op) -> bool:
    """Makes a constant of what an operator gives, where that is known."""
    compute = None if op.is_custom else _SIZES.get(op.name)
    inputs = [t for t in op.inputs if t is not None]
    if compute is None or len(op.outputs) != 1 or not _is_integer(op.output):
        return False
    if op.name != "SHAPE" and not all(t.data is not None and _is_integer(t) for t in inputs):
        return False
    values = [t.data.astype(np.int64) for t in inputs if t.data is not None]
    try:
        value = np.asarray(compute(op, values), np.int64)
    except (ValueError, IndexError):
        return False  # what contradicts itself is named when the graph is checked
    assert op.output.dtype is not None
    op.output.shape = value.shape
    op.output.data = value.astype(op.output.dtype)
    return True


def _is_integer(tensor: Tensor) -> bool:
    """Sizes are whole numbers, not quantized ones."""
    return tensor.type_name in ("INT32", "INT64") and tensor.quantization is None


def _give_shapes(op: Op) -> None:
    """Gives the outputs of an operator that stays the shapes that follow from its inputs."""
    row = builtin_of(op)
    if row is None or row.shapes is None:
        return
    try:
        shapes = _by_values(op) or row.shapes(op)
    except (MalformedOpError, AssertionError, AttributeError, IndexError, ValueError):
        return  # what contradicts itself is named when the graph is checked
    for tensor, shape in zip(op.outputs, shapes, strict=False):
        if shape is not None:
            tensor.shape = tuple(int(size) for size in shape)


def _by_values(op: Op) -> Sequence[tuple[int, ...]] | None:
    """Shapes of outputs that the other operators' rules take from the file."""
    x, y = op.input, op.output
    if op.name == "RESHAPE":
        wanted = op.optional_input(1)
        if wanted is None or wanted.data is None:
            return None
        return [_filled_up([int(size) for size in wanted.data.reshape(-1)], x.size)]
    if op.name == "EXPAND_DIMS":
        axis = op.optional_input(1)
        if axis is None or axis.data is None:
            return None
        return [np.expand_dims(np.empty(x.shape, np.int8), int(axis.data.reshape(-1)[0])).shape]
    if op.name == "SQUEEZE":
        gone = {int(axis) % len(x.shape) for axis in _listed(op.options, "squeezeDims")}
        return [tuple(s for i, s in enumerate(x.shape) if not (i in gone or (not gone and s == 1)))]
    if op.name == "FULLY_CONNECTED" and not op.options.keepNumDims:
        weights = op.optional_input(1)
        if (
            weights is None
            or len(weights.shape) != 2
            or y.size * weights.shape[1] == (x.size * weights.shape[0])
        ):
            return None
        return [(x.size // weights.shape[1], weights.shape[0])]
    return None


def _listed(options: object, field: str) -> Sequence[int]:
    found = getattr(options, field, None)
    return [] if found is None else found


def _filled_up(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """A shape whose -1 stands for what is left of so many elements."""
    known = math.prod(s for s in shape if s >= 0)
    return tuple(size // max(known, 1) if s < 0 else s for s in shape)


def _strided_slice(op: Op, values: _Values) -> _Array:
    """STRIDED_SLICE of a list of sizes."""
    x, begin, end, strides = values
    options = op.options
    if options.ellipsisMask or options.newAxisMask or x.ndim != 1 or begin.size != 1:
        raise ValueError("not a cut of a list")
    first = int(begin.reshape(-1)[0])
    if options.shrinkAxisMask & 1:
        return x[first]  # type: ignore[no-any-return]
    start = None if options.beginMask & 1 else first
    stop = None if options.endMask & 1 else int(end.reshape(-1)[0])
    return x[start : stop : int(strides.reshape(-1)[0])]


def _slice(_: Op, values: _Values) -> _Array:
    """SLICE; a size of -1 is all that is left."""
    x, begin, size = values
    cuts = zip(begin.reshape(-1), size.reshape(-1), strict=True)
    return x[tuple(slice(b, None if s < 0 else b + s) for b, s in cuts)]


def _gather(op: Op, values: _Values) -> _Array:
    """GATHER without batches."""
    if op.options.batchDims:
        raise ValueError("batches of a list of sizes")
    return np.take(values[0], values[1], axis=int(op.options.axis))


def _product(op: Op, values: _Values) -> _Array:
    """REDUCE_PROD."""
    axes = tuple(int(axis) for axis in values[1].reshape(-1))
    return np.prod(values[0], axis=axes, keepdims=bool(op.options.keepDims))  # type: ignore[no-any-return]


def _squeeze(op: Op, values: _Values) -> _Array:
    axes = tuple(int(axis) for axis in _listed(op.options, "squeezeDims"))
    return np.squeeze(values[0], axis=axes or None)


_SIZES: dict[str, Callable[[Op, _Values], _Array]] = {
    "ADD": lambda _, v: v[0] + v[1],
    "CAST": lambda _, v: v[0],
    "CONCATENATION": lambda op, v: np.concatenate(v, int(op.options.axis)),
    "EXPAND_DIMS": lambda _, v: np.expand_dims(v[0], int(v[1].reshape(-1)[0])),
    "FLOOR_DIV": lambda _, v: v[0] // v[1],
    "GATHER": _gather,
    "MAXIMUM": lambda _, v: np.maximum(v[0], v[1]),
    "MINIMUM": lambda _, v: np.minimum(v[0], v[1]),
    "MUL": lambda _, v: v[0] * v[1],
    "PACK": lambda op, v: np.stack(v, int(op.options.axis)),
    "REDUCE_PROD": _product,
    "RESHAPE": lambda _, v: v[0].reshape(tuple(v[1].reshape(-1))),
    "SHAPE": lambda op, _: np.array(op.input.shape, np.int64),
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUB": lambda _, v: v[0] - v[1],
}
"""The operators that sizes are worked out with, and what they give."""
