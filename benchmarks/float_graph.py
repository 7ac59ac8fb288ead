"""A quantised .tflite as a float TensorFlow function: the dequantised twin of the int8 network.

Written apart from the product's own reader and gradient rules on purpose: what the benchmarks
compare with must not share their mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tflite_micro import runtime

Array: TypeAlias = npt.NDArray[Any]
Tensor: TypeAlias = Any  # TensorFlow ships no types
# Gets an operator and its value before and after the fused activation, gives the value to go on
# with.
Hook: TypeAlias = Callable[["Op", Tensor, Tensor], Tensor]

LAYER_OPS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_OP_NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if k.isupper()}
_ACTIVATIONS = {v: k for k, v in vars(schema.ActivationFunctionType).items() if k.isupper()}
_PADDINGS = {v: k for k, v in vars(schema.Padding).items() if k.isupper()}


@dataclass(frozen=True)
class Op:
    """One operator: tensor indices in and out, its builtin options, its fused activation."""

    name: str
    inputs: tuple[int, ...]
    output: int
    options: Any
    activation: str


@dataclass(frozen=True)
class Quantisation:
    """Real value = scale * (q - zero_point)."""

    scale: npt.NDArray[np.float32]
    zero_point: int


class FloatGraph:
    """The first subgraph of a .tflite with batch size free, its weights dequantised.

    Attributes:
        ops: operators in execution order.
        layers: position in `ops` of each CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, in
            execution order; the position in this list is the layer index of the schemes. The last
            one is the head.
        input: tensor index of the input.
        logits: tensor index of the classifier's output before any SOFTMAX.
    """

    def __init__(self, path: str | Path) -> None:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(Path(path).read_bytes(), 0))
        graph = model.subgraphs[0]
        self._tensors = graph.tensors
        self._buffers = model.buffers
        self.ops = [_op(model, op) for op in graph.operators]
        self.layers = [i for i, op in enumerate(self.ops) if op.name in LAYER_OPS]
        self.input = int(graph.inputs[0])
        last = self.ops[-1]
        self.logits = last.inputs[0] if last.name == "SOFTMAX" else last.output

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Shape of a tensor as the file has it, batch of 1 included."""
        return tuple(int(extent) for extent in self._tensors[tensor].shape)

    def quantisation(self, tensor: int) -> Quantisation:
        """Scale (per channel or of length 1) and the zero point of a tensor."""
        q = self._tensors[tensor].quantization
        zero_points = {int(z) for z in q.zeroPoint}
        if len(zero_points) != 1:
            raise ValueError(f"tensor {tensor} has several zero points")
        return Quantisation(np.asarray(q.scale, np.float32), zero_points.pop())

    def constant(self, tensor: int) -> Array | None:
        """The stored integers of a constant tensor, or None for an activation."""
        data = self._buffers[self._tensors[tensor].buffer].data
        if data is None or not len(data):
            return None
        dtype = {
            schema.TensorType.INT8: np.int8,
            schema.TensorType.INT32: np.int32,
            schema.TensorType.FLOAT32: np.float32,
        }[self._tensors[tensor].type]
        return np.asarray(data, np.uint8).view(dtype).reshape(self.shape(tensor))

    def parameters(self, layer: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Dequantised weights (in the file's layout) and bias [channels] of a layer."""
        op = self.ops[self.layers[layer]]
        weights, q = self.constant(op.inputs[1]), self.quantisation(op.inputs[1])
        if weights is None:
            raise ValueError(f"layer {layer}: its weights are not constant")
        channel_axis = 3 if op.name == "DEPTHWISE_CONV_2D" else 0
        channels = weights.shape[channel_axis]
        scale = np.broadcast_to(q.scale, channels)
        along = np.ones(weights.ndim, int)
        along[channel_axis] = channels
        real = (weights.astype(np.float32) - q.zero_point) * scale.reshape(along)
        bias = self.constant(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
        if bias is None:
            return real, np.zeros(channels, np.float32)
        input_scale = self.quantisation(op.inputs[0]).scale
        return real, bias.astype(np.float32) * (input_scale * scale)

    def dequantise(self, tensor: int, values: Tensor) -> Tensor:
        """int8 values of an activation as float."""
        q = self.quantisation(tensor)
        return (tf.cast(values, tf.float32) - float(q.zero_point)) * float(q.scale[0])

    def clamp_range(self, op: Op) -> tuple[int, int] | None:
        """Quantised range that a fused RELU or RELU6 leaves, None without one."""
        if op.activation == "NONE":
            return None
        q = self.quantisation(op.output)
        top = 127
        if op.activation == "RELU6":
            top = min(127, q.zero_point + int(np.floor(6.0 / float(q.scale[0]) + 0.5)))
        return max(-128, q.zero_point), top

    def crossing(self, first_op: int) -> list[int]:
        """Activations that the operators from `first_op` on read and do not make."""
        made: set[int] = set()
        read: dict[int, None] = {}
        for op in self.ops[first_op:]:
            read.update((t, None) for t in op.inputs if t >= 0 and t not in made)
            made.add(op.output)
        return [t for t in read if self.constant(t) is None]

    def run(
        self,
        feed: Mapping[int, Tensor],
        parameters: Mapping[int, tuple[Tensor, Tensor]],
        first_op: int = 0,
        hook: Hook | None = None,
    ) -> Tensor:
        """The logits in float, [batch, classes].

        Args:
            feed: float values [batch, ...] of the tensors in `crossing(first_op)`.
            parameters: weights (file layout) and bias for each layer from `first_op` on.
            first_op: where to start.
            hook: may replace each operator's result.
        """
        values = dict(feed)
        numbers = {position: layer for layer, position in enumerate(self.layers)}
        for position, op in enumerate(self.ops[first_op:], first_op):
            if op.name == "SOFTMAX":
                continue
            layer = numbers.get(position)
            plain = self._forward(op, values, parameters[layer] if layer is not None else None)
            clamped = self._activate(op, plain)
            values[op.output] = hook(op, plain, clamped) if hook else clamped
        logits = values[self.logits]
        return tf.reshape(logits, [tf.shape(logits)[0], -1])

    def _activate(self, op: Op, x: Tensor) -> Tensor:
        if op.activation == "NONE":
            return x
        if op.activation == "RELU6":
            return tf.clip_by_value(x, 0.0, 6.0)
        q = self.quantisation(op.output)
        return tf.clip_by_value(x, 0.0, float(q.scale[0]) * (127 - q.zero_point))

    def _forward(
        self, op: Op, values: Mapping[int, Tensor], layer: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        x = values[op.inputs[0]]
        options = op.options
        if layer is not None:
            weights, bias = layer
            return _layer_forward(op, x, weights) + bias
        if op.name == "ADD":
            return x + values[op.inputs[1]]
        if op.name == "AVERAGE_POOL_2D":
            return tf.nn.avg_pool2d(
                x,
                [options.filterHeight, options.filterWidth],
                [options.strideH, options.strideW],
                _PADDINGS[options.padding],
            )
        if op.name == "MEAN":
            axes = np.ravel(np.asarray(self.constant(op.inputs[1]))).tolist()
            return tf.reduce_mean(x, axis=axes, keepdims=options.keepDims)
        if op.name == "PAD":
            return tf.pad(x, self.constant(op.inputs[1]))
        if op.name == "RESHAPE":
            extents = self.shape(op.output)[1:]
            # A replaced head has other numbers of channels than the file says.
            fits = np.prod(extents) == np.prod(x.shape[1:])
            return tf.reshape(x, [-1, *(extents if fits else x.shape[-1:])])
        raise NotImplementedError(f"{op.name} has no float twin")


def _layer_forward(op: Op, x: Tensor, weights: Tensor) -> Tensor:
    """The product of a layer with its weights in the file's layout, without bias."""
    if op.name == "FULLY_CONNECTED":
        return tf.matmul(tf.reshape(x, [-1, weights.shape[1]]), weights, transpose_b=True)
    options = op.options
    strides = [1, options.strideH, options.strideW, 1]
    dilations = [options.dilationHFactor, options.dilationWFactor]
    padding = _PADDINGS[options.padding]
    if op.name == "CONV_2D":
        kernel = tf.transpose(weights, [1, 2, 3, 0])
        return tf.nn.conv2d(x, kernel, strides, padding, dilations=[1, *dilations, 1])
    _, height, width, channels = weights.shape
    inputs = x.shape[-1]
    kernel = tf.reshape(weights, [height, width, inputs, channels // inputs])
    return tf.nn.depthwise_conv2d(x, kernel, strides, padding, dilations=dilations)


def _op(model: Any, op: Any) -> Op:
    code = model.operatorCodes[op.opcodeIndex]
    name = _OP_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
    activation = getattr(op.builtinOptions, "fusedActivationFunction", 0)
    return Op(
        name,
        tuple(int(i) for i in op.inputs),
        int(op.outputs[0]),
        op.builtinOptions,
        _ACTIVATIONS[activation],
    )


class Int8Interpreter:
    """The TFLM interpreter with every activation kept, to be read by its index in the file."""

    def __init__(self, path: str | Path) -> None:
        self._interpreter = runtime.Interpreter.from_file(
            str(path), intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors
        )

    def activations(self, x: npt.NDArray[np.int8], tensors: Iterable[int]) -> dict[int, Array]:
        """The int8 values of some tensors after one inference of `x` [1, ...]."""
        self._interpreter.set_input(x, 0)
        self._interpreter.invoke()
        return {
            t: np.array(self._interpreter.GetTensor(t, 0)["tensor_data"], copy=True)
            for t in tensors
        }


def boundary_activations(
    path: str | Path, samples: Iterable[npt.NDArray[np.int8]], tensors: Sequence[int]
) -> dict[int, npt.NDArray[np.int8]]:
    """int8 activations [n, ...] of some tensors in the TFLM interpreter, for samples [1, ...]."""
    interpreter = Int8Interpreter(path)
    rows = [interpreter.activations(sample, tensors) for sample in samples]
    return {t: np.concatenate([row[t] for row in rows]) for t in tensors}
