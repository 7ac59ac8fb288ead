"""Operators that join tensors or take them apart: CONCATENATION, SPLIT and their like."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op
from tflm_train.ops.builtin.memory import KernelCase, KernelMemory, fixed
from tflm_train.ops.builtin.operator import ANY_NUMBER, BuiltinOperator
from tflm_train.ops.builtin.shapes import (
    Shapes,
    all_listed,
    axis_of,
    integers,
    listed,
    require,
    single,
    tensor_of,
)

_MANY = (1, ANY_NUMBER)


def _concatenation_shape(op: Op) -> Shapes:
    """CONCATENATION."""
    shapes = [tensor_of(op, i).shape for i in range(len(op.inputs))]
    axis = axis_of(int(op.options.axis), len(shapes[0]))
    rests = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
    fits = len(rests) == 1 and len({len(s) for s in shapes}) == 1
    require(fits, f"its inputs {all_listed(shapes)} cannot be joined along axis {axis}")
    joined = sum(s[axis] for s in shapes)
    return ((*shapes[0][:axis], joined, *shapes[0][axis + 1 :]),)


def _pack_shape(op: Op) -> Shapes:
    """PACK."""
    shapes = [tensor_of(op, i).shape for i in range(len(op.inputs))]
    count = int(op.options.valuesCount)
    require(count == len(shapes), f"it has {len(shapes)} inputs, its options say {count}")
    require(len(set(shapes)) == 1, f"its inputs {all_listed(shapes)} differ")
    axis = axis_of(int(op.options.axis), len(shapes[0]) + 1)
    return ((*shapes[0][:axis], len(shapes), *shapes[0][axis:]),)


def _unpack_shape(op: Op) -> Shapes:
    """UNPACK."""
    shape = op.input.shape
    axis = axis_of(int(op.options.axis), len(shape))
    parts = len(op.outputs)
    fits = parts == shape[axis] == int(op.options.num)
    require(fits, f"it has {parts} outputs for {shape[axis]} parts")
    return [(*shape[:axis], *shape[axis + 1 :])] * parts


def _split_shape(op: Op) -> Shapes:
    """SPLIT: input 0 is the axis."""
    axis, shape = tensor_of(op, 0), tensor_of(op, 1).shape
    parts = len(op.outputs)
    require(int(op.options.numSplits) == parts, f"it has {parts} outputs for its parts")
    if axis.data is None:
        return [None] * parts
    place = axis_of(single(axis), len(shape))
    require(shape[place] % parts == 0, f"{shape[place]} cannot be split into {parts} parts")
    return [(*shape[:place], shape[place] // parts, *shape[place + 1 :])] * parts


def _split_v_shape(op: Op) -> Shapes:
    """SPLIT_V: input 1 has the sizes, of which one may be -1, input 2 the axis."""
    shape, sizes, axis = op.input.shape, tensor_of(op, 1), tensor_of(op, 2)
    parts = len(op.outputs)
    require(int(op.options.numSplits) == parts, f"it has {parts} outputs for its parts")
    if sizes.data is None or axis.data is None:
        return [None] * parts
    place, given = axis_of(single(axis), len(shape)), integers(sizes)
    known = sum(size for size in given if size >= 0)
    given = [shape[place] - known if size == -1 else size for size in given]
    fits = len(given) == parts and min(given) >= 0 and sum(given) == shape[place]
    require(fits, f"its parts {listed(given)} do not add up to {shape[place]}")
    return [(*shape[:place], size, *shape[place + 1 :]) for size in given]


def _concatenation_memory(case: KernelCase) -> KernelMemory:
    indices = "i" * 10 if case.target.compression else ""
    return KernelMemory(("ie",), (("iPPiif",), indices))


ROWS = (
    BuiltinOperator(
        "CONCATENATION",
        _concatenation_shape,
        _MANY,
        schema.ConcatenationOptionsT,
        memory=_concatenation_memory,
    ),
    BuiltinOperator("PACK", _pack_shape, _MANY, schema.PackOptionsT, memory=fixed("ii")),
    BuiltinOperator("SPLIT", _split_shape, (2, 2), schema.SplitOptionsT, None, fixed("i")),
    BuiltinOperator("SPLIT_V", _split_v_shape, (3, 3), schema.SplitVOptionsT, None, fixed("i")),
    BuiltinOperator("UNPACK", _unpack_shape, (1, 1), schema.UnpackOptionsT, None, fixed("ii")),
)
