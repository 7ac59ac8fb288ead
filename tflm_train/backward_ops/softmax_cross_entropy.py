"""Softmax cross-entropy on int8 logits: reference of the loss operator.

With logits `a_i = s (q_i - z)` and `p = softmax(a)`:

    L = log(sum exp(a_i - max a)) + max a - a_label
    dL/da_i = p_i - [i == label]

The zero point cancels. The only float arithmetic per element of a training step is here, once per
class, with the exponential and logarithm of `numerics`, so that no bit depends on a libm.
"""

from typing import NamedTuple

import numpy as np

from tflm_train import kernel_abi as abi
from tflm_train.backward_ops.numerics import (
    LOG2_E,
    Int8Array,
    QuantizedGradient,
    exp2_neg,
    log,
    round_to_int32,
)
from tflm_train.errors import DataError, UnsupportedError
from tflm_train.model import Model, Tensor

_VANISHED = np.float32(2.0**-20)


class Loss(NamedTuple):
    """A loss and the gradient of the logits.

    Attributes:
      value: float32, the loss in nats.
      gradient: int8 `[classes]` with its scale.
    """

    value: np.float32
    gradient: QuantizedGradient


def loss(logits: Int8Array, label: int, scale: float | np.float32) -> Loss:
    """LOSS: softmax cross-entropy of one sample.

    Args:
      logits: int8, one per class.
      label: Index of the true class.
      scale: Scale of the logits.

    Raises:
      DataError: `label` outside `[0, classes)`.
    """
    q = logits.reshape(-1).astype(np.int32)
    if not 0 <= label < q.size:
        raise DataError(f"label {label} is outside the model's {q.size} classes [0, {q.size})")
    scale = np.float32(scale)
    largest = q.max()
    exponentials = exp2_neg((largest - q).astype(np.float32) * (scale * LOG2_E))
    # `accumulate` adds in index order; `sum` adds pairwise and gives other bits.
    total = np.add.accumulate(exponentials)[-1]
    d = exponentials / total
    d[label] -= np.float32(1)
    value = np.float32(largest - q[label]) * scale + np.float32(log(total))
    dmax = np.abs(d).max()
    if dmax < _VANISHED:
        return Loss(value, QuantizedGradient(np.zeros(q.size, np.int8), np.float32(0)))
    quantized = round_to_int32(d * (np.float32(127) / dmax)).clip(-127, 127).astype(np.int8)
    return Loss(value, QuantizedGradient(quantized, dmax / np.float32(127)))


def find_logits(model: Model) -> Tensor:
    """The int8 tensor that the loss is computed on: the output, before SOFTMAX and DEQUANTIZE.

    Args:
      model: The model; its first output is the trained one.

    Raises:
      UnsupportedError: The output is no vector of int8 class scores.
    """
    graph = model.graph
    tensor = graph.outputs[0]
    while (op := graph.producer(tensor)) is not None and op.name in ("SOFTMAX", "DEQUANTIZE"):
        if op.name == "SOFTMAX" and op.options is not None and op.options.beta != 1.0:
            raise UnsupportedError(
                f"op {graph.index(op)} (SOFTMAX): beta is {op.options.beta}; only beta 1 trains"
            )
        tensor = op.input
    where = f"{model.name}: output 0's logits {tensor.name!r}"
    if tensor.type_name != "INT8" or tensor.quantization is None:
        raise UnsupportedError(
            f"{where} are {tensor.type_name}, not quantized int8; softmax_cross_entropy needs int8"
        )
    if tensor.size != tensor.shape[-1] or tensor.size < 2:
        raise UnsupportedError(
            f"{where} have shape {tensor.shape}; softmax_cross_entropy needs one vector of at "
            "least 2 classes"
        )
    return tensor


def loss_params(logits: Tensor, slot: int) -> abi.LossParams:
    """Parameters of the LOSS op on `logits`, whose gradient goes to `slot`."""
    return abi.LossParams(logits.size, logits.zero_point, logits.scale, slot)
