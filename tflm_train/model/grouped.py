"""Grouped convolutions, written as layers that each see their own channels.

TFLM takes a CONV_2D whose filter is for a part of the input channels for several convolutions side
by side. Gradients are of one convolution at a time, so each group becomes a layer of its own
between a SPLIT and a CONCATENATION, or, where every input channel is a group, all of them a
DEPTHWISE_CONV_2D. The sums are the same, and so are the bits.
"""

from __future__ import annotations

import copy

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Graph, Op, Quantization, Tensor
from tflm_train.model.model import Model

_MOST_GROUPS = 32
"""More operators than that cost more than they are worth."""
_CHANNELS = 3


def ungrouped(model: Model) -> Model:
    """Writes grouped convolutions as several layers.

    Args:
      model: Any model; not changed.

    Returns:
      The model with the same outputs; itself where it has none.
    """
    if not any(map(_is_written_anew, model.graph.ops)):
        return model
    work = Model(model.source, model.name)
    for name in ("SPLIT", "CONCATENATION", "DEPTHWISE_CONV_2D"):
        work.add_operator_code(name)
    notes = []
    for op in list(filter(_is_written_anew, work.graph.ops)):
        place, groups = work.graph.index(op), _groups_of(op)
        is_depthwise = op.inputs[1] is not None and op.inputs[1].shape[_CHANNELS] == 1
        new = [_depthwise(work.graph, op)] if is_depthwise else _split(work.graph, op, groups)
        work.graph.ops[place : place + 1] = new
        form = "a DEPTHWISE_CONV_2D" if is_depthwise else f"{groups} layers"
        notes.append(
            f"op {place} (CONV_2D, {op.output.short_name!r}) has {groups} groups; it becomes "
            f"{form}, with the same answers"
        )
    made = Model(work.to_bytes(), model.name)
    made.notes = (*model.notes, *notes)
    return made


def _groups_of(op: Op) -> int:
    weights = op.optional_input(1)
    if op.name != "CONV_2D" or op.is_custom or weights is None or len(weights.shape) != 4:
        return 1
    return op.input.shape[_CHANNELS] // weights.shape[_CHANNELS]


def _is_written_anew(op: Op) -> bool:
    """Whether an operator is an int8 grouped convolution that is worth it."""
    groups = _groups_of(op)
    if groups == 1 or op.input.type_name != "INT8":
        return False
    weights, bias = op.inputs[1], op.optional_input(2)
    assert weights is not None
    is_constant = weights.data is not None and (bias is None or bias.data is not None)
    return is_constant and (weights.shape[_CHANNELS] == 1 or groups <= _MOST_GROUPS)


def _depthwise(graph: Graph, op: Op) -> Op:
    """Filters of one channel each, as DEPTHWISE_CONV_2D has them."""
    weights = op.inputs[1]
    assert weights is not None and weights.data is not None
    data = np.ascontiguousarray(weights.data.transpose(3, 1, 2, 0))
    q = weights.quantization
    if q is not None:
        q = Quantization(q.scale, q.zero_point, _CHANNELS if not q.per_tensor else 0)
    turned = Tensor.make(
        f"{weights.name}/depthwise", np.int8, data.shape, data=data, quantization=q
    )
    options = schema.DepthwiseConv2DOptionsT()
    for field in vars(op.options):
        if hasattr(options, field):
            setattr(options, field, getattr(op.options, field))
    options.depthMultiplier = data.shape[_CHANNELS] // op.input.shape[_CHANNELS]
    return Op(
        "DEPTHWISE_CONV_2D", [op.input, graph.add(turned), *op.inputs[2:]], op.outputs, options
    )


def _split(graph: Graph, op: Op, groups: int) -> list[Op]:
    """SPLIT, a CONV_2D for each group, CONCATENATION."""
    x, y, bias = op.input, op.output, op.optional_input(2)
    weights = op.inputs[1]
    assert weights is not None
    axis = graph.add(Tensor.constant(f"{y.name}/axis", np.array(_CHANNELS, np.int32)))
    parts = [_part_of(graph, x, f"{x.name}/group_{i}", groups) for i in range(groups)]
    results = [_part_of(graph, y, f"{y.name}/group_{i}", groups) for i in range(groups)]
    convolutions = []
    for index, (part, result) in enumerate(zip(parts, results, strict=True)):
        inputs: list[Tensor | None] = [part, _slice(graph, weights, index, groups)]
        if len(op.inputs) > 2:
            inputs.append(None if bias is None else _slice(graph, bias, index, groups))
        convolutions.append(Op("CONV_2D", inputs, [result], copy.copy(op.options)))
    split, join = schema.SplitOptionsT(), schema.ConcatenationOptionsT()
    split.numSplits, join.axis = groups, _CHANNELS
    return [
        Op("SPLIT", [axis, x], parts, split),
        *convolutions,
        Op("CONCATENATION", list(results), [y], join),
    ]


def _part_of(graph: Graph, tensor: Tensor, name: str, groups: int) -> Tensor:
    """A part of an activation's channels."""
    shape = (*tensor.shape[:_CHANNELS], tensor.shape[_CHANNELS] // groups)
    return graph.add(Tensor.make(name, np.int8, shape, quantization=tensor.quantization))


def _slice(graph: Graph, tensor: Tensor, index: int, groups: int) -> Tensor:
    """What of a filter or bias belongs to a group, by its first dimension."""
    assert tensor.data is not None
    size = tensor.shape[0] // groups
    of = slice(index * size, (index + 1) * size)
    q = tensor.quantization
    if q is not None and not q.per_tensor:
        q = Quantization(q.scale[of], q.zero_point[of], q.axis)
    name, data = f"{tensor.name}/group_{index}", np.ascontiguousarray(tensor.data[of])
    return graph.add(Tensor.make(name, data.dtype, data.shape, data=data, quantization=q))
