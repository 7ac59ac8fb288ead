"""Scales and biases of channels that stand in the graph as MUL and ADD, given layers that train.

A batch normalization that no convolution could take in stays in the graph as a MUL and an ADD by
constants. These have a zero point and no bits below a step, so that they cannot take the small
steps of training; weights and biases can. Behind such operators a DEPTHWISE_CONV_2D of one tap is
put, whose weights are 1 and whose bias is 0:

    d * (gamma * x + beta) + b,   d = 1, b = 0

It answers with its own input, to the bit, and is all that a scale and a bias for each channel can
be. Where nothing of it is to train it is taken out again.

An operator that clamps its output gets the layer in front of it: behind the clamp it would come too
late.

A layer normalization (`layer_norm.py`) multiplies no activation by its gamma alone. It gets its
layer behind its last operator, where the same d and b are a scale and a bias of what it gives.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Graph, Op, Quantization, Tensor
from tflm_train.model.layer_norm import layer_norms
from tflm_train.model.layers import ancestors, is_per_channel, list_layers
from tflm_train.model.model import Model
from tflm_train.ops.npu import ETHOS_U

_BY_CHANNEL = ("MUL", "ADD", "SUB")
_ONE = 64
"""A weight that stands for 1: a power of two, so that nothing is rounded, and about half of the
largest, so that a scale can double."""
_AXES = 4


def with_channel_layers(model: Model) -> Model:
    """Gives each run of operators by constants for each channel a layer that can train.

    What lies before the first layer prepares inputs and stays as it is; so does what lies behind
    the last layer of an output, which is its head.

    Args:
      model: Any model; not changed.

    Returns:
      The model with the same outputs; itself where there is nothing to add.
    """
    if not any(True for _ in _places(model.graph)):
        return model
    work = Model(model.source, model.name)
    for name in ("DEPTHWISE_CONV_2D", "RESHAPE"):
        work.add_operator_code(name)
    places = list(_places(work.graph))
    for tensor, readers in places:
        _insert(work.graph, tensor, readers)
    made = Model(work.to_bytes(), model.name)
    made.notes = model.notes
    return made


def channel_layers(graph: Graph) -> list[str]:
    """Names of the layers that answer with their input as long as nothing trains."""
    return [op.output.short_name for op in graph.ops if _is_identity(op)]


def channel_notes(names: Sequence[str]) -> list[str]:
    """What there is to say of such layers; nothing where there are none."""
    if not names:
        return []
    listed = ", ".join(map(repr, names[:2])) + (f" and {len(names) - 2} more" if names[2:] else "")
    return [
        "scales and biases of channels that are operators by constants (batch and layer "
        "normalization) train as layers of their own behind them, with the same answers: "
        f"{listed}"
    ]


def drop_channel_layers(graph: Graph, trained: Container[int] = ()) -> None:
    """Takes out layers that answer with their input and do not train.

    Args:
      graph: Changed in place.
      trained: Ids of the operators that train.
    """
    for op in list(graph.ops):
        if id(op) in trained or not _is_identity(op) or op.output in graph.outputs:
            continue
        gone, (x, y) = [op], (op.input, op.output)
        before, after = graph.producer(x), graph.consumers(y)
        if before is not None and before.name == "RESHAPE" and len(after) == 1:
            is_turned = after[0].name == "RESHAPE" and after[0].output.shape == before.input.shape
            if is_turned and after[0].output not in graph.outputs:
                gone, (x, y) = [before, op, after[0]], (before.input, after[0].output)
        for reader in graph.consumers(y):
            reader.inputs = [x if tensor is y else tensor for tensor in reader.inputs]
        graph.ops = [other for other in graph.ops if other not in gone]
        kept = {id(tensor) for tensor in graph.walk_tensors()}
        of_gone = {id(t) for other in gone for t in (*other.inputs, *other.outputs)}
        graph.tensors = [t for t in graph.tensors if id(t) in kept or id(t) not in of_gone]


def _is_identity(op: Op) -> bool:
    if not is_per_channel(op) or op.options.fusedActivationFunction:
        return False
    weights, bias = op.inputs[1], op.optional_input(2)
    if weights is None or weights.data is None or weights.quantization is None:
        return False
    q, p = op.input.quantization, op.output.quantization
    is_one = np.all(weights.data == _ONE) and np.all(weights.quantization.scale == 1 / _ONE)
    return (
        bool(is_one)
        and (bias is None or (bias.data is not None and not np.any(bias.data)))
        and q is not None
        and p is not None
        and (q.scale.tolist(), q.zero_point.tolist()) == (p.scale.tolist(), p.zero_point.tolist())
    )


def _places(graph: Graph) -> Iterator[tuple[Tensor, list[Op]]]:
    """The tensors that are to go through a layer, with the operators that read them behind it."""
    norms = [norm for norm in layer_norms(graph) if _is_of_channels(norm.last.output)]
    inner = {id(op) for norm in norms for op in norm.inner}
    by_channel = {id(op) for op in graph.ops if _is_by_channel(op)} - inner
    by_channel |= {id(norm.last) for norm in norms}
    if not by_channel:
        return
    between = _between_layers(graph)
    for op in graph.ops:
        if id(op) not in by_channel:
            continue
        readers = graph.consumers(op.output)
        is_clamped = bool(op.options.fusedActivationFunction)
        goes_on = len(readers) == 1 and id(readers[0]) in by_channel
        if goes_on and not is_clamped:
            continue
        tensor = next(t for t in op.inputs if t is not None and t.data is None)
        tensor, readers = (tensor, [op]) if is_clamped else (op.output, readers)
        is_inside = id(op) in between and tensor not in graph.outputs
        if any(map(ETHOS_U.is_kind_of, readers)):
            continue  # It reads that tensor, where it lies.
        if is_inside and not _has_layer(graph, tensor):
            yield tensor, readers


def _is_by_channel(op: Op) -> bool:
    """Whether an operator is an int8 one of an activation and a constant for each channel."""
    if op.name not in _BY_CHANNEL or op.is_custom or len(op.inputs) != 2:
        return False
    constants = [t for t in op.inputs if t is not None and t.data is not None]
    activations = [t for t in op.inputs if t is not None and t.data is None]
    if len(constants) != 1 or not _is_of_channels(op.output):
        return False
    shape = op.output.shape
    constant, x = constants[0], activations[0]
    is_for_channels = constant.shape[-1:] == shape[-1:] and constant.size == shape[-1]
    return is_for_channels and x.shape == shape and all(map(_is_int8, (constant, x, op.output)))


def _is_of_channels(tensor: Tensor) -> bool:
    """Whether a layer can be put behind a tensor: int8, of one sample, with several channels."""
    shape = tensor.shape
    has_axes = 2 <= len(shape) <= _AXES and shape[0] == 1 and shape[-1] > 1
    return has_axes and _is_int8(tensor)


def _is_int8(tensor: Tensor) -> bool:
    q = tensor.quantization
    return tensor.type_name == "INT8" and q is not None and q.per_tensor


def _between_layers(graph: Graph) -> set[int]:
    """Ids of the operators that read what a layer made, and feed no output without a layer."""
    layers = list_layers(graph)
    behind: set[int] = set()
    made: set[int] = set()
    for op in graph.ops:
        if any(id(layer.op) == id(op) for layer in layers) or any(id(t) in made for t in op.inputs):
            behind.add(id(op))
            made |= {id(t) for t in op.outputs}
    for output in graph.outputs:
        feeding = ancestors(graph, output)
        last = max((x.op_index for x in layers if id(x.op) in feeding), default=-1)
        behind -= {id(op) for op in graph.ops[last + 1 :] if id(op) in feeding}
    return behind


def _has_layer(graph: Graph, tensor: Tensor) -> bool:
    """Whether a layer for its channels lies before or behind a tensor already."""
    before = graph.producer(tensor)
    if before is not None and before.name == "RESHAPE":
        before = graph.producer(before.input)
    around = [] if before is None else [before]
    for reader in graph.consumers(tensor):
        around += graph.consumers(reader.output) if reader.name == "RESHAPE" else [reader]
    return any(map(is_per_channel, around))


def _insert(graph: Graph, x: Tensor, readers: list[Op]) -> None:
    """Puts a layer between a tensor and those that read it."""
    channels, name = x.shape[-1], f"{x.short_name}/channels"
    ones = np.full((1, 1, 1, channels), _ONE, np.int8)
    scale = np.full(channels, 1 / _ONE, np.float32)
    zeros = np.zeros(channels, np.int64)
    weights = Tensor.make(
        f"{name}/scale", np.int8, ones.shape, data=ones, quantization=Quantization(scale, zeros, 3)
    )
    bias = Tensor.make(
        f"{name}/bias",
        np.int32,
        (channels,),
        data=zeros,
        quantization=Quantization((np.float32(x.scale) * scale).astype(np.float32), zeros),
    )
    options = schema.DepthwiseConv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = options.depthMultiplier = 1
    options.dilationHFactor = options.dilationWFactor = 1
    given, y = x, graph.add(_like(x, name, x.shape))
    ops, result = [], y
    if len(x.shape) < _AXES:
        shape = (*(1,) * (_AXES - len(x.shape)), *x.shape)
        given = graph.add(_like(x, f"{name}/input", shape))
        result = graph.add(_like(x, f"{name}/map", shape))
        ops = [_reshape(graph, x, given), _reshape(graph, result, y)]
    inputs: list[Tensor | None] = [given, graph.add(weights), graph.add(bias)]
    ops.insert(len(ops) // 2, Op("DEPTHWISE_CONV_2D", inputs, [result], options))
    place = min(map(graph.index, readers))
    graph.ops[place:place] = ops
    for reader in readers:
        reader.inputs = [y if tensor is x else tensor for tensor in reader.inputs]


def _like(x: Tensor, name: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor.make(name, np.int8, shape, quantization=x.quantization)


def _reshape(graph: Graph, x: Tensor, y: Tensor) -> Op:
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(y.shape, np.int32)
    shape = graph.add(Tensor.constant(f"{y.name}/shape", np.array(y.shape, np.int32)))
    return Op("RESHAPE", [x, shape], [y], options)
