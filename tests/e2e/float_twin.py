"""TensorFlow's gradients of an int8 model, dequantised, at the activations that TFLM computes.

Written apart from the package's gradient rules. Rounding is straight through; where an activation
is clamped by its fused function no gradient passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

import tflm_train as tt
from tflm_train.graph import Op, Tensor
from tflm_train.model import Model
from tflm_train.model.layers import list_layers

Real = npt.NDArray[np.float64]
_CLAMPED = {1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
_PADDINGS = ("SAME", "VALID")
_END = ("SOFTMAX", "RESHAPE")


def gradients(model: Model, x: Any, labels: Any) -> dict[str, Real]:
    """Of softmax cross-entropy, the mean over the positions of a map.

    Args:
      model: A plain int8 model.
      x: Its input.
      labels: The class, or one for each position.

    Returns:
      The gradient of each layer's weights in real units, by the name of the weights.
    """
    interpreter = tt.Interpreter(model, preserve_all=True)
    interpreter.infer(x)
    weights = {id(y.weights): tf.constant(_real(y.weights)) for y in list_layers(model.graph)}
    logits = _logits(model)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        values = _forward(model, interpreter, weights, logits)
        rows = tf.reshape(values[id(logits)], (-1, logits.shape[-1]))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(np.ravel(labels), rows)
        loss = tf.reduce_mean(losses)
    found = tape.gradient(loss, weights)
    return {y.weights.name: found[id(y.weights)].numpy() for y in list_layers(model.graph)}


def _logits(model: Model) -> Tensor:
    """What the last SOFTMAX reads, the output where there is none."""
    tensor = model.graph.outputs[0]
    op = model.graph.producer(tensor)
    while op is not None and op.name in _END:
        tensor = op.input
        if op.name == "SOFTMAX":
            break
        op = model.graph.producer(tensor)
    return tensor if op is not None and op.name == "SOFTMAX" else model.graph.outputs[0]


def _forward(
    model: Model, interpreter: tt.Interpreter, weights: dict[int, Any], logits: Tensor
) -> dict[int, Any]:
    values: dict[int, Any] = dict(weights)

    def read(tensor: Tensor) -> Any:
        if id(tensor) not in values:
            data = tensor.data if tensor.data is not None else interpreter.tensor(tensor)
            values[id(tensor)] = tf.constant(_real(tensor, data))
        return values[id(tensor)]

    for op in model.graph.ops:
        inputs = [None if t is None else read(t) for t in op.inputs]
        results = _FUNCTIONS[op.name](op, inputs)
        results = results if isinstance(results, list | tuple) else [results]
        for tensor, plain in zip(op.outputs, results, strict=True):
            exact = _real(tensor, interpreter.tensor(tensor))
            low, high = _CLAMPED.get(
                getattr(op.options, "fusedActivationFunction", 0), (-np.inf, np.inf)
            )
            # What int8 cannot hold above a RELU is clamped as well.
            top = np.inf if tensor.dtype != np.int8 or low == -np.inf else _largest(tensor)
            passes = (exact > low) & (exact < min(high, top))
            through = tf.reshape(plain, exact.shape) * tf.constant(passes.astype(np.float64))
            values[id(tensor)] = through + tf.stop_gradient(tf.constant(exact) - through)
        if logits in op.outputs:
            break
    return values


def _largest(tensor: Tensor) -> float:
    return float(np.float64(tensor.scale) * (127 - tensor.zero_point))


def _real(tensor: Tensor, data: Any = None) -> Any:
    values = tensor.data if data is None else data
    assert values is not None
    q = tensor.quantization
    if q is None or tensor.type_name == "FLOAT32":
        return values.astype(np.float64) if values.dtype.kind == "f" else values
    along = [1] * values.ndim
    if not q.per_tensor:
        along[q.axis] = -1
    zero = q.zero_point.reshape(along) if not q.per_tensor else q.zero_point[0]
    scale = q.scale.astype(np.float64).reshape(along) if not q.per_tensor else float(q.scale[0])
    return (values.astype(np.float64) - zero) * scale


def _with_bias(y: Any, inputs: Sequence[Any]) -> Any:
    return y if len(inputs) < 3 or inputs[2] is None else y + inputs[2]


def _convolution(op: Op, inputs: Sequence[Any]) -> Any:
    o = op.options
    kernel = tf.transpose(inputs[1], [1, 2, 3, 0])
    return _with_bias(
        tf.nn.conv2d(inputs[0], kernel, [o.strideH, o.strideW], _PADDINGS[o.padding]), inputs
    )


def _depthwise(op: Op, inputs: Sequence[Any]) -> Any:
    o, (x, w) = op.options, inputs[:2]
    kernel = tf.reshape(w, (*w.shape[1:3], x.shape[-1], -1))
    strides = [1, o.strideH, o.strideW, 1]
    return _with_bias(tf.nn.depthwise_conv2d(x, kernel, strides, _PADDINGS[o.padding]), inputs)


def _transposed(op: Op, inputs: Sequence[Any]) -> Any:
    o, (_, w, x, *bias) = op.options, inputs
    kernel, strides = tf.transpose(w, [1, 2, 0, 3]), [o.strideH, o.strideW]
    y = tf.nn.conv2d_transpose(x, kernel, op.output.shape, strides, _PADDINGS[o.padding])
    return y + bias[0] if bias and bias[0] is not None else y


def _dense(op: Op, inputs: Sequence[Any]) -> Any:
    x, w = inputs[:2]
    return _with_bias(tf.matmul(tf.reshape(x, (-1, w.shape[1])), w, transpose_b=True), inputs)


def _strided_slice(op: Op, inputs: Sequence[Any]) -> Any:
    o, (x, begin, end, strides) = op.options, inputs
    masks = (o.beginMask, o.endMask, o.ellipsisMask, o.newAxisMask, o.shrinkAxisMask)
    return tf.strided_slice(x, begin, end, strides, *masks)


def _pool(function: Callable[..., Any]) -> Callable[[Op, Sequence[Any]], Any]:
    def run(op: Op, inputs: Sequence[Any]) -> Any:
        o = op.options
        window, strides = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
        return function(inputs[0], window, strides, _PADDINGS[o.padding])

    return run


def _of(function: Callable[..., Any]) -> Callable[[Op, Sequence[Any]], Any]:
    return lambda op, inputs: function(*inputs)


_FUNCTIONS: dict[str, Callable[[Op, Sequence[Any]], Any]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _dense,
    "ADD": _of(tf.add),
    "SUB": _of(tf.subtract),
    "MUL": _of(tf.multiply),
    "SQUARED_DIFFERENCE": _of(tf.math.squared_difference),
    "RSQRT": _of(tf.math.rsqrt),
    "NEG": _of(tf.negative),
    "TANH": _of(tf.tanh),
    "LOGISTIC": _of(tf.sigmoid),
    "DEQUANTIZE": _of(tf.identity),
    "QUANTIZE": _of(tf.identity),
    "MEAN": lambda op, i: tf.reduce_mean(i[0], np.ravel(i[1]).tolist(), op.options.keepDims),
    "SOFTMAX": lambda op, i: tf.nn.softmax(i[0] * op.options.beta),
    "BATCH_MATMUL": lambda op, i: tf.matmul(
        *i, transpose_a=op.options.adjX, transpose_b=op.options.adjY
    ),
    "TRANSPOSE": lambda op, i: tf.transpose(i[0], np.ravel(i[1]).tolist()),
    "RESHAPE": lambda op, i: tf.reshape(i[0], op.output.shape),
    "PAD": _of(tf.pad),
    "CONCATENATION": lambda op, i: tf.concat(i, op.options.axis),
    "SPLIT": lambda op, i: tf.split(i[1], len(op.outputs), int(np.ravel(i[0])[0])),
    "UNPACK": lambda op, i: tf.unstack(i[0], axis=op.options.axis),
    "STRIDED_SLICE": _strided_slice,
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
}
