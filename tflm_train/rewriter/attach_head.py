"""Replaces the classifier by a fresh one of another number of classes.

The fresh head starts at zero: weights and bias zero, weight scale the old classifier's median, and
an output scale of 0.25 (or the old one's when it is sane), because logits on a finer scale saturate
before they can express confidence: 0.06 was measured to destroy training.
"""

from __future__ import annotations

import numpy as np

from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Op, Quantization, Tensor
from tflm_train.model.layers import Layer

LOGITS_SCALE = 0.25
LOGITS_SCALE_RANGE = (0.12, 0.5)

_NO_ACTIVATION = 0
_SHAPE_OPS = ("RESHAPE", "SQUEEZE", "AVERAGE_POOL_2D", "MEAN")
_OUTPUT_OPS = ("SOFTMAX", "DEQUANTIZE")


def attach_head(model: Model, head: Layer, classes: int) -> None:
    """Replaces `head` in place, and the shapes of everything between it and the output.

    Args:
      model: The model; changed.
      head: Its last layer.
      classes: Number of classes of the fresh head.

    Raises:
      UnsupportedError: Something between the head and the output mixes classes.
    """
    if head.op.name not in ("CONV_2D", "FULLY_CONNECTED"):
        raise UnsupportedError(
            f"head.classes: {head} cannot be replaced; only CONV_2D and FULLY_CONNECTED heads can"
        )
    old_classes = head.out_channels
    _replace_layer(head, classes)
    changed = {id(head.op.output): head.op.output}
    for op in model.graph.ops[head.op_index + 1 :]:
        source = next((t for t in op.inputs if t is not None and id(t) in changed), None)
        if source is not None:
            _replace_follower(model, op, source, old_classes, classes)
            changed[id(op.output)] = op.output


def _replace_layer(head: Layer, classes: int) -> None:
    weights, bias, output = head.weights, head.bias, head.op.output
    assert weights.quantization is not None and output.quantization is not None
    old = weights.quantization
    scale = np.float32(np.median(old.scale))
    count = 1 if old.per_tensor else classes
    weights.shape = (classes, *weights.shape[1:])
    weights.quantization = Quantization(
        np.full(count, scale, np.float32), np.zeros(count, np.int64), old.axis
    )
    weights.data = np.zeros(weights.shape, np.int8)
    if bias is not None:
        bias.shape = (classes,)
        bias.data = np.zeros(classes, np.int32)
        bias_scale = np.full(count, np.float32(head.x.scale) * scale, np.float32)
        bias.quantization = Quantization(bias_scale, np.zeros(count, np.int64), 0)
    low, high = LOGITS_SCALE_RANGE
    logits_scale = output.scale if low <= output.scale <= high else LOGITS_SCALE
    output.shape = (*output.shape[:-1], classes)
    output.quantization = _per_tensor(logits_scale, 0)
    head.op.options.fusedActivationFunction = _NO_ACTIVATION


def _replace_follower(model: Model, op: Op, source: Tensor, old: int, new: int) -> None:
    where = f"op {model.graph.index(op)} ({op.name}, {op.output.name!r})"
    if op.name not in _SHAPE_OPS + _OUTPUT_OPS or not op.output.shape:
        raise UnsupportedError(
            f"head.classes: {where} stands between the head and the output and cannot be resized; "
            "leave `head.classes` out to train the classifier the model has"
        )
    if op.output.shape[-1] != old:
        raise UnsupportedError(
            f"head.classes: {where} changes the class dimension ({op.output.shape}); "
            "leave `head.classes` out to train the classifier the model has"
        )
    op.output.shape = (*op.output.shape[:-1], new)
    if op.name in _SHAPE_OPS and source.quantization is not None:
        op.output.quantization = _per_tensor(source.scale, source.zero_point)
    if op.name == "RESHAPE":
        target = op.optional_input(1)
        if target is not None and target.data is not None:
            shape = np.array(op.output.shape, np.int32)
            # A tensor of its own: the old shape constant may serve other ops.
            op.inputs[1] = model.graph.add(Tensor.constant(f"{op.output.name}/shape", shape))
        if op.options is not None:
            op.options.newShape = np.array(op.output.shape, np.int32)


def _per_tensor(scale: float, zero_point: int) -> Quantization:
    return Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))
