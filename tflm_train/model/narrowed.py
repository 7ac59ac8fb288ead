"""Models of int16 activations whose last layer gets int8 ones, so that it can train.

Denoisers and other models of sound often keep activations in 16 bits beside weights in 8. Gradients
and updates are of int8 layers. So the last layer gets its input through a QUANTIZE, works with int8
as any other, and a second QUANTIZE gives what follows its 16 bits again. Its weights stay the same;
its input and output lose their lower 8 bits. All layers before it stay what they are, and frozen.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Graph, Op, Quantization, Tensor
from tflm_train.model.ending import ending_of
from tflm_train.model.model import Model
from tflm_train.ops.builtin import builtin_of

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_RELU, _RELU6 = 1, 3
_LARGEST = 32767
_STEPS = 255
_REARRANGING = ("MAX_POOL_2D", "TRANSPOSE")
"""Operators that give values of their input, beside those that only change its shape."""


def with_narrow_heads(model: Model) -> Model:
    """Gives the last int16 layer of each output int8 activations.

    Args:
      model: Any model; not changed.

    Returns:
      The model, whose answers lose what 8 bits do not tell; itself where it has no such layer.
    """
    if not _wide_heads(model.graph):
        return model
    work = Model(model.source, model.name)
    work.add_operator_code("QUANTIZE")
    notes = []
    narrow: dict[int, Tensor] = {}
    for place, op in [(work.graph.index(op), op) for op in _wide_heads(work.graph)]:
        now = work.graph.index(op)
        work.graph.ops[now : now + 1] = _narrow(work.graph, op, narrow)
        notes.append(
            f"op {place} ({op.name}, {op.output.short_name!r}) has int16 activations; it gets int8 "
            "ones, so that it can train; the layers before it stay int16 and cannot: convert the "
            "model with int8 activations where more is to train"
        )
    made = Model(work.to_bytes(), model.name)
    made.notes = (*model.notes, *notes)
    return made


def has_narrow_head(before: Model, after: Model) -> bool:
    """Whether `with_narrow_heads` made the second model of the first, and changed something."""
    return bool(_wide_heads(before.graph)) and not _wide_heads(after.graph)


def _wide_heads(graph: Graph) -> list[Op]:
    """The last layers that have int16 activations, in order."""
    found: set[int] = set()
    for output in graph.outputs:
        *_, logits = (output, *(op.input for op in ending_of(graph, output)))
        op = graph.producer(logits)
        if op is not None and _is_wide(op):
            found.add(id(op))
    return [op for op in graph.ops if id(op) in found]


def _is_wide(op: Op) -> bool:
    weights, bias = op.optional_input(1), op.optional_input(2)
    return (
        op.name in _LAYERS
        and not op.is_custom
        and op.input.type_name == op.output.type_name == "INT16"
        and op.input.quantization is not None
        and op.output.quantization is not None
        and weights is not None
        and weights.type_name == "INT8"
        and weights.data is not None
        and weights.quantization is not None
        and (bias is None or _fits(bias))
    )


def _fits(bias: Tensor) -> bool:
    """Whether an int64 bias is an int32 in the larger steps of an int8 input."""
    if bias.data is None:
        return False
    largest = float(np.abs(bias.data.astype(np.float64)).max(initial=0.0))
    return largest * _STEPS / _LARGEST < np.iinfo(np.int32).max


def _narrow(graph: Graph, op: Op, narrow: dict[int, Tensor]) -> list[Op]:
    """The layer in int8, between a QUANTIZE of its input, made once for all, and another."""
    x, y, weights, bias = op.input, op.output, op.inputs[1], op.optional_input(2)
    assert weights is not None and weights.data is not None and weights.quantization is not None
    if len(graph.consumers(weights)) > 1:  # The other layer stays int16, and does not train.
        own = weights.data.copy()
        weights = graph.add(
            Tensor.make(
                f"{weights.name}/own", own.dtype, own.shape, data=own,
                quantization=weights.quantization,
            )
        )  # fmt: skip
    is_new = id(x) not in narrow
    if is_new:
        narrow[id(x)] = _narrow_tensor(graph, x, _is_positive(graph.producer(x), graph))
    x8, y8 = narrow[id(x)], _narrow_tensor(graph, y, _is_positive(op, graph))
    inputs: list[Tensor | None] = [x8, weights]
    if len(op.inputs) > 2:
        inputs.append(None if bias is None else _rescaled(graph, bias, x, x8, weights))
    layer = [
        Op(op.name, inputs, [y8], op.options),
        Op("QUANTIZE", [y8], [y], schema.QuantizeOptionsT()),
    ]
    return [Op("QUANTIZE", [x], [x8], schema.QuantizeOptionsT()), *layer] if is_new else layer


def _is_positive(op: Op | None, graph: Graph) -> bool:
    """Whether no value that an operator gives is negative."""
    while op is not None and _gives_its_values(op):
        op = graph.producer(op.input)
    return op is not None and getattr(op.options, "fusedActivationFunction", 0) in (_RELU, _RELU6)


def _gives_its_values(op: Op) -> bool:
    row = builtin_of(op)
    return row is not None and (row.keeps_elements or op.name in _REARRANGING)


def _narrow_tensor(graph: Graph, tensor: Tensor, is_positive: bool) -> Tensor:
    """An int8 tensor of the same range: of its upper half where no value is negative."""
    steps, zero_point = (_STEPS, -128) if is_positive else (127, 0)
    scale = np.array([tensor.scale * _LARGEST / steps], np.float32)
    quantization = Quantization(scale, np.array([zero_point], np.int64), 0)
    name = f"{tensor.name}/int8"
    return graph.add(Tensor.make(name, np.int8, tensor.shape, quantization=quantization))


def _rescaled(graph: Graph, bias: Tensor, x: Tensor, x8: Tensor, weights: Tensor) -> Tensor:
    """The bias in steps of the int8 input and the weights."""
    assert bias.data is not None and weights.quantization is not None
    data = np.rint(bias.data.astype(np.float64) * (x.scale / x8.scale)).astype(np.int32)
    scale = (np.float64(x8.scale) * weights.quantization.scale).astype(np.float32)
    quantization = Quantization(scale, np.zeros(len(scale), np.int64), 0)
    name = f"{bias.name}/int32"
    return graph.add(Tensor.make(name, np.int32, data.shape, data=data, quantization=quantization))
