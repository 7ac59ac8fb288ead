"""Pools and reductions."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op
from tflm_train.ops.builtin.memory import WORD, KernelCase, KernelMemory, fixed, some
from tflm_train.ops.builtin.operator import BuiltinOperator
from tflm_train.ops.builtin.shapes import (
    ANY,
    Shapes,
    axis_of,
    integers,
    require_rank,
    tensor_of,
    unknown_shape,
    window_output,
)
from tflm_train.ops.target import Struct

_TWO = (2, 2)


def _pool_shape(op: Op) -> Shapes:
    """AVERAGE_POOL_2D, MAX_POOL_2D."""
    require_rank(op.input, 4)
    kernel = (int(op.options.filterHeight), int(op.options.filterWidth))
    return (window_output(op, op.input, kernel, op.input.shape[3]),)


def _reduction_shape(op: Op) -> Shapes:
    """MEAN, SUM, REDUCE_MAX, REDUCE_MIN: input 1 has the axes."""
    shape, axes = op.input.shape, tensor_of(op, 1)
    if axes.data is None:
        return ANY
    gone = {axis_of(axis, len(shape)) for axis in integers(axes)}
    if op.options.keepDims:
        return (tuple(1 if i in gone else d for i, d in enumerate(shape)),)
    return (tuple(d for i, d in enumerate(shape) if i not in gone),)


def _average_pool_memory(case: KernelCase) -> KernelMemory:
    return _pool_memory(case, WORD * case.x.shape[3] if case.quantized and case.dsp else 0)


def _max_pool_memory(case: KernelCase) -> KernelMemory:
    return _pool_memory(case, 0)


def _pool_memory(case: KernelCase, scratch: int) -> KernelMemory:
    data: Struct = ("iiiiiiff",)
    if case.cmsis:
        data = (data, "i")
    return KernelMemory(("eiiiieiiii",), data, (), some(scratch))


def _mean_memory(case: KernelCase) -> KernelMemory:
    axes = case.op.optional_input(1)
    scratch = [WORD * len(case.x.shape), WORD * (0 if axes is None else axes.size)]
    if case.quantized:
        scratch.insert(0, WORD * case.op.output.size)
    return KernelMemory(("b",), ("iiiiiififii",), (), tuple(scratch))


def _min_max_memory(case: KernelCase) -> KernelMemory:
    axes = case.op.optional_input(1)
    scratch = (WORD * len(case.x.shape), WORD * (0 if axes is None else axes.size))
    return KernelMemory(("b",), ("iiiiiififii",), (), scratch)


ROWS = (
    BuiltinOperator("ARG_MAX", unknown_shape, _TWO, memory=fixed("e"), chooses_largest=True),
    BuiltinOperator("ARG_MIN", unknown_shape, _TWO, memory=fixed("e")),
    BuiltinOperator(
        "AVERAGE_POOL_2D",
        _pool_shape,
        options=schema.Pool2DOptionsT,
        memory=_average_pool_memory,
        keeps_channels=True,
    ),
    BuiltinOperator(
        "MAX_POOL_2D", _pool_shape, options=schema.Pool2DOptionsT, memory=_max_pool_memory
    ),
    BuiltinOperator(
        "MEAN",
        _reduction_shape,
        _TWO,
        schema.ReducerOptionsT,
        memory=_mean_memory,
        keeps_channels=True,
    ),
    BuiltinOperator(
        "REDUCE_MAX", _reduction_shape, _TWO, schema.ReducerOptionsT, memory=_min_max_memory
    ),
    BuiltinOperator(
        "REDUCE_MIN", _reduction_shape, _TWO, schema.ReducerOptionsT, memory=_min_max_memory
    ),
    BuiltinOperator("SUM", _reduction_shape, _TWO, schema.ReducerOptionsT, memory=_mean_memory),
)
