"""Checks of a graph that was read: what the format lets one write, but no interpreter could run.

The parser follows every index; here the parts are held against each other: operators against their
options and the shapes of their tensors, scales against channels, and each tensor against the order
of execution. So that what comes later may rely on it, and says nothing stranger than a
`ModelError`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from tflm_train.errors import ModelError
from tflm_train.graph import Graph, Op, Tensor
from tflm_train.ops import npu
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.builtin.shapes import MalformedOpError, require, tensor_of
from tflm_train.ops.checks import why_not
from tflm_train.ops.declaration import VERSION
from tflm_train.ops.reading import is_ours
from tflm_train.ops.training import unpack

_MAX_TENSOR_BYTES = 1 << 31
_NEED_ZERO_POINTS = ("INT8", "UINT8", "INT16")
"""Types of which the interpreter takes a tensor without zero points for one without scales."""
_MIN_SCALE, _MAX_SCALE = 1e-20, 1e20
"""Beyond them products of scales leave what the interpreter's multipliers hold."""
_HEADER = struct.Struct("<HH")  # kind and version


def check_graph(graph: Graph, name: str, subgraph: int = 0) -> None:
    """Checks that the parts of a graph agree.

    Args:
      graph: The graph as it was read.
      name: What to call the file in errors.
      subgraph: Its index in the file.

    Raises:
      ModelError: They do not, or another version of this package wrote some of the operators.
    """
    for op in graph.ops:
        _check_version(op, name)
    for index, tensor in enumerate(graph.tensors):
        reason = _why_malformed_tensor(tensor)
        if reason is not None:
            raise _malformed(name, subgraph, f"tensor {index} ({tensor.name!r})", reason)
    if subgraph == 0 and not (graph.ops and graph.outputs):
        missing = "outputs" if graph.ops else "operators"
        raise _malformed(name, subgraph, "the whole graph", f"it has no {missing}")
    if len({id(t) for t in graph.inputs}) < len(graph.inputs):
        raise _malformed(name, subgraph, "its inputs", "one of them is there twice")
    known = {id(t) for t in graph.tensors if _is_there_before_any_op(t)}
    known |= {id(t) for t in graph.inputs}
    written = {id(t) for t in graph.inputs}
    for index, op in enumerate(graph.ops):
        try:
            _check_order(op, known, written)
            _check_op(op, subgraph)
            _check_training_op(op)
        except MalformedOpError as error:
            label = op.outputs[0].name if op.outputs else "no output"
            where = f"op {index} ({op.name}, {label!r})"
            raise _malformed(name, subgraph, where, str(error)) from None
    for index, tensor in enumerate(graph.outputs):
        if id(tensor) not in known:
            where = f"output {index} ({tensor.name!r})"
            raise _malformed(name, subgraph, where, "nothing writes it")


def check_calls(graphs: Sequence[Graph], name: str) -> list[int]:
    """Checks which subgraphs call which (IF, WHILE, CALL_ONCE).

    Args:
      graphs: All of the file.
      name: What to call the file in errors.

    Returns:
      The subgraphs that the primary one does not call, directly or not.

    Raises:
      ModelError: An operator calls a subgraph that is not there, or one that calls it in turn.
    """
    reached: set[int] = set()

    def visit(index: int, callers: tuple[int, ...]) -> None:
        reached.add(index)
        for place, op in enumerate(graphs[index].ops):
            fields = {} if op.options is None else vars(op.options)
            for field, called in fields.items():
                if not field.endswith("SubgraphIndex"):
                    continue
                where = f"op {place} ({op.name})"
                if not 0 <= called < len(graphs):
                    raise _malformed(name, index, where, f"it calls subgraph {called}")
                if called in (*callers, index):
                    raise _malformed(name, index, where, f"it calls itself by subgraph {called}")
                visit(called, (*callers, index))

    visit(0, ())
    return [index for index in range(len(graphs)) if index not in reached]


def _check_version(op: Op, name: str) -> None:
    """Our ops say in the header of their options which version of them they are made for."""
    if not is_ours(op) or op.custom_options is None or len(op.custom_options) < _HEADER.size:
        return
    _, version = _HEADER.unpack_from(op.custom_options)
    if version != VERSION:
        raise ModelError(
            f"{name}: made with version {version} of our operators, and this tflm_train has "
            f"version {VERSION}; rewrite the original model again"
        )


def _check_training_op(op: Op) -> None:
    """Parameters and tensors of our ops are as declared: what Prepare would refuse."""
    if not is_ours(op):
        return
    try:
        params = unpack(op.custom_options or b"", op.name)
    except ValueError as error:
        raise MalformedOpError(str(error)) from error
    reason = why_not(op, params)
    require(reason is None, str(reason))


def _malformed(name: str, subgraph: int, where: str, reason: str) -> ModelError:
    return ModelError(
        f"{name}: corrupt .tflite file: subgraph {subgraph}, {where}: {reason}; get an undamaged "
        "copy, or convert the model again"
    )


def _why_malformed_tensor(tensor: Tensor) -> str | None:
    if tensor.nbytes >= _MAX_TENSOR_BYTES:
        return f"{tensor.nbytes} bytes are more than any interpreter can address"
    if tensor.is_variable and tensor.data is not None:
        return "it is a variable and has values, which the interpreter would fill with zeros"
    q, dtype = tensor.quantization, tensor.dtype
    if q is None:
        return None
    if tensor.type_name in _NEED_ZERO_POINTS and not _has_zero_points(tensor):
        return "impossible quantization: scales without zero points"
    wrong = ~(np.isfinite(q.scale) & (q.scale >= 0) & (q.scale <= _MAX_SCALE))
    if q.per_tensor or not np.any(q.scale):
        # A channel without any weight may have scale 0, a whole tensor may not.
        wrong |= q.scale < _MIN_SCALE
    if np.any(wrong):
        return f"impossible quantization: scale {q.scale[wrong][0]:g}"
    if dtype is not None and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        wrong = (q.zero_point < limits.min) | (q.zero_point > limits.max)
        if np.any(wrong):
            return (
                f"impossible quantization: zero point {q.zero_point[wrong][0]} of a "
                f"{tensor.type_name} tensor"
            )
    if not q.per_tensor:
        rank = len(tensor.shape)
        # Of a bias there is but one dimension; old converters wrote the filter's number of it.
        axis = 0 if rank == 1 else q.axis
        if not 0 <= axis < rank:
            return f"impossible quantization: along dimension {axis} of {rank}"
        if tensor.shape[axis] != q.scale.size:
            return (
                f"impossible quantization: {q.scale.size} scales for {tensor.shape[axis]} "
                f"channels (dimension {axis})"
            )
    return None


def _has_zero_points(tensor: Tensor) -> bool:
    zero_points = tensor.raw.quantization.zeroPoint
    return zero_points is not None and len(zero_points) > 0


def _is_there_before_any_op(tensor: Tensor) -> bool:
    """Constants and variables; of types without a numpy twin nothing is known."""
    is_empty = tensor.size == 0
    return tensor.data is not None or tensor.is_variable or tensor.dtype is None or is_empty


def _check_order(op: Op, known: set[int], written: set[int]) -> None:
    """Each tensor is written once, before it is read."""
    for tensor in npu.without_work_memory(op):
        if tensor is not None:
            require(id(tensor) in known, f"nothing has written its input {tensor.name!r} before")
    row = builtin_of(op)
    require(bool(op.outputs) or (row is not None and row.outputs == 0), "it has no output")
    for tensor in op.outputs:
        require(tensor.data is None, f"it writes the constant {tensor.name!r}")
        require(id(tensor) not in written, f"{tensor.name!r} is written twice")
        written.add(id(tensor))
        known.add(id(tensor))


def _check_op(op: Op, subgraph: int) -> None:
    require(not is_ours(op) or subgraph == 0, "training ops belong into subgraph 0")
    require(
        not is_ours(op) or not op.inputs or op.inputs[-1] is not None, "its last input is left out"
    )
    row = builtin_of(op)
    if row is None or row.shapes is None:
        return
    fewest, most = row.inputs
    count = len(op.inputs)
    require(fewest <= count <= most, f"it has {count} inputs")
    for index in range(fewest):
        tensor_of(op, index)
    if row.outputs is not None:
        found = len(op.outputs)
        require(found == row.outputs, f"it has {found} outputs, not {row.outputs}")
    if row.options is not None and not isinstance(op.options, row.options):
        wanted = row.options.__name__.removesuffix("T")
        kind = type(op.options).__name__.removesuffix("T")
        raise MalformedOpError(f"it needs {wanted}, but has {kind}")
    for tensor in [*op.inputs, *op.outputs]:
        if tensor is not None and tensor.data is None:
            is_empty = 0 in tensor.shape and tensor.shape != (0,)
            require(not is_empty, f"{tensor.name!r} is empty")
    for tensor, shape in zip(op.outputs, row.shapes(op), strict=True):
        if shape is not None:
            require(
                shape == tensor.shape,
                f"its output {tensor.name!r} should be {list(shape)}, but is {list(tensor.shape)}",
            )
