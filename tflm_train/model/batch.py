"""A model that was made for several samples at a time, made for one.

Training takes one sample a step, as firmware does. Where every operator works sample by sample, the
batch can be taken out of the shapes, and the answer to each sample stays the same bits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from tflm_train.errors import UnsupportedError
from tflm_train.graph import Graph, Op, Tensor
from tflm_train.model.model import Model
from tflm_train.model.open_shapes import close_shapes, has_open_shapes
from tflm_train.ops.builtin import builtin_of, layer_form_of

_PLAIN = """
    ABS ADD AVERAGE_POOL_2D CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE DIV ELU EXP EXPAND_DIMS
    FULLY_CONNECTED HARD_SWISH
    L2_NORMALIZATION LEAKY_RELU LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MINIMUM MUL NEG QUANTIZE
    RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SOFTMAX SQRT
    SQUARE SQUARED_DIFFERENCE SQUEEZE SUB TANH
""".split()
"""Operators that never mix the samples of a batch, as long as it stays their first dimension."""


def batch_of(graph: Graph) -> int:
    """How many samples a graph takes at a time, by its inputs' first dimension."""
    shapes = [tensor.shape for tensor in graph.inputs if tensor.shape]
    sizes = {shape[0] for shape in shapes if len(shape) > 1}
    return sizes.pop() if len(sizes) == 1 and len(shapes) == len(graph.inputs) else 1


def one_sample(model: Model) -> Model:
    """Takes the batch out of a model's shapes, and operators that work out shapes.

    Args:
      model: Any model; not changed.

    Returns:
      The model for one sample; itself where it is that already.

    Raises:
      UnsupportedError: An operator mixes the samples of a batch.
    """
    if has_open_shapes(model.graph) or model.has_closed_shapes:
        model = _closed(model)
    batch = batch_of(model.graph)
    if batch <= 1:
        return model
    work = Model(model.source, model.name)
    graph = work.graph
    for index, op in enumerate(graph.ops):
        reason = _why_not(op, batch)
        if reason is not None:
            raise UnsupportedError(
                f"{model.name} takes {batch} samples at a time, and op {index} ({op.name}, "
                f"{op.output.name!r}) {reason}; convert the model for a batch of 1"
            )
    for op in graph.ops:
        _shorten_reshape(graph, op, batch)
    for tensor in [*graph.inputs, *(t for op in graph.ops for t in op.outputs)]:
        tensor.shape = (1, *tensor.shape[1:])
    made = Model(work.to_bytes(), model.name)
    made.notes = (
        *model.notes,
        f"{model.name} takes {batch} samples at a time; this one takes one, with the same answers",
    )
    return made


def _closed(model: Model) -> Model:
    """The model with the shapes of its tensors as constants."""
    work = Model(model.source, model.name)
    close_shapes(work.graph)
    made = Model(work.to_bytes(), model.name)
    made.notes = model.notes
    return made


def _why_not(op: Op, batch: int) -> str | None:
    """Why an operator cannot do with one sample."""
    computed = [t for t in op.inputs if t is not None and t.data is None]
    if any(not t.shape or t.shape[0] != batch for t in [*computed, *op.outputs]):
        return "does not keep them apart in its first dimension"
    if any(t is not None and t.data is not None and _spans(t, op, batch) for t in op.inputs):
        return "reads a constant that differs between them"
    form = layer_form_of(op)
    if form is not None and form.flattens:
        columns = op.inputs[form.weights]
        if columns is None or op.input.size != batch * columns.shape[1]:
            return "does not keep them apart in its first dimension"
    if op.name in _PLAIN:
        return None
    rule = _BY_AXIS.get(op.name)
    if rule is None or builtin_of(op) is None:
        return "may mix them"
    return None if rule(op) else "works along them"


def _spans(tensor: Tensor, op: Op, batch: int) -> bool:
    """Whether a constant that is broadcast has a value for each sample."""
    if layer_form_of(op) is not None or op.name not in _PLAIN:
        return False
    return len(tensor.shape) == len(op.output.shape) > 1 and tensor.shape[0] == batch


def _constant(op: Op, index: int) -> list[int] | None:
    """The integers of a constant input."""
    tensor = op.optional_input(index)
    if tensor is None or tensor.data is None:
        return None
    return [int(value) for value in tensor.data.reshape(-1)]


def _spared_by_axis(op: Op) -> bool:
    """CONCATENATION and its like: the axis is an option."""
    return bool(int(op.options.axis) % len(op.output.shape))


def _spared_by_axes(op: Op) -> bool:
    """Reductions: the axes are input 1."""
    axes = _constant(op, 1)
    return axes is not None and all(axis % len(op.input.shape) for axis in axes)


def _spared_by_padding(op: Op) -> bool:
    """PAD: input 1 has two numbers for each dimension."""
    padding = _constant(op, 1)
    return padding is not None and padding[:2] == [0, 0]


def _spared_by_permutation(op: Op) -> bool:
    """TRANSPOSE."""
    order = _constant(op, 1)
    return order is not None and order[0] == 0


def _spared_by_slice(op: Op) -> bool:
    """STRIDED_SLICE: as many samples as before, in their order."""
    strides = _constant(op, 3)
    return strides is not None and strides[0] == 1 and not op.options.shrinkAxisMask & 1


_BY_AXIS: dict[str, Callable[[Op], bool]] = {
    "CONCATENATION": _spared_by_axis,
    "MEAN": _spared_by_axes,
    "PAD": _spared_by_padding,
    "PADV2": _spared_by_padding,
    "REDUCE_MAX": _spared_by_axes,
    "STRIDED_SLICE": _spared_by_slice,
    "SUM": _spared_by_axes,
    "TRANSPOSE": _spared_by_permutation,
}


def _shorten_reshape(graph: Graph, op: Op, batch: int) -> None:
    """What says the shape of a RESHAPE's output, and where a STRIDED_SLICE ends."""
    options = op.options
    if op.name == "RESHAPE":
        if options is not None and getattr(options, "newShape", None) is not None:
            op.options = copy.copy(options)
            op.options.newShape = np.array([1, *op.output.shape[1:]], np.int32)
        if op.optional_input(1) is not None:
            shape = np.array([1, *op.output.shape[1:]], np.int32)
            op.inputs[1] = graph.add(Tensor.constant(f"{op.output.name}/shape", shape))
    elif op.name == "STRIDED_SLICE" and not options.endMask & 1:
        end = _constant(op, 2)
        assert end is not None
        values = np.array([1 if end[0] > 0 else end[0], *end[1:]], np.int32)
        op.inputs[2] = graph.add(Tensor.constant(f"{op.output.name}/end", values))
    del batch
