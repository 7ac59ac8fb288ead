"""Models of a single builtin operator, made without a converter.

Where a builder leaves a choice open it takes what a converter would: int8 activations, weights with
a scale for each output channel, and a bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tests import raw_model
from tflm_train.graph.window import window_positions
from tflm_train.model import Model, Op, Quantization, Tensor

Shape = tuple[int, ...]
_SCALE = 1 / 32  # of every activation that an operator leaves free
_BIAS_TYPES = {"INT8": np.int32, "INT16": np.int64, "FLOAT32": np.float32}


@dataclass(frozen=True)
class Window:
    """How a convolution or a pool moves over its input; pairs are vertical, horizontal.

    Attributes:
      kernel: Taps.
      stride: Step in input elements.
      dilation: Distance of the taps.
      same: Padding SAME, else VALID.
    """

    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    same: bool = True

    def output(self, shape: Shape, channels: int) -> Shape:
        """The shape of what it makes of an NHWC input."""
        pairs = zip(shape[1:3], self.kernel, self.stride, self.dilation, strict=True)
        sides = [window_positions(*pair, same=self.same) for pair in pairs]
        return (shape[0], *sides, channels)

    def fill(self, options: Any) -> Any:
        """Sets the options that all kinds of windows have."""
        options.padding = schema.Padding.SAME if self.same else schema.Padding.VALID
        options.strideH, options.strideW = self.stride
        if hasattr(options, "dilationHFactor"):
            options.dilationHFactor, options.dilationWFactor = self.dilation
        if hasattr(options, "filterHeight"):
            options.filterHeight, options.filterWidth = self.kernel
        return options


def activation(
    *shape: int, dtype: npt.DTypeLike = np.int8, scale: float = _SCALE, zero_point: int = 0
) -> Tensor:
    """A tensor that an operator reads or writes; only integers are quantized."""
    quantization = None
    if np.dtype(dtype) in (np.int8, np.int16):
        quantization = Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))
    return Tensor.make("", dtype, shape, quantization=quantization)


def variable(tensor: Tensor) -> Tensor:
    """The tensor as one that TFLM keeps between runs."""
    tensor.is_variable, tensor.data = True, None
    return tensor


def weights(
    *shape: int, dtype: npt.DTypeLike = np.int8, axis: int = 0, per_channel: bool = True
) -> Tensor:
    """A constant filter, with a scale for each output channel or one for all."""
    quantization = None
    if np.dtype(dtype) == np.int8:
        count = shape[axis] if per_channel else 1
        scales = np.full(count, 1 / 64, np.float32)
        quantization = Quantization(scales, np.zeros(count, np.int64), axis if per_channel else 0)
    return Tensor.make("", dtype, shape, data=np.zeros(shape, dtype), quantization=quantization)


def bias(channels: int, filters: Tensor, x: Tensor) -> Tensor:
    """The constant bias that belongs to a filter."""
    q, quantization = filters.quantization, None
    if q is not None:
        quantization = Quantization((q.scale * x.scale).astype(np.float32), q.zero_point)
    data = np.zeros(channels, _BIAS_TYPES[x.type_name])
    return Tensor.make("", data.dtype, data.shape, data=data, quantization=quantization)


def integers(*values: Any) -> Tensor:
    """A constant of int32: axes, sizes, paddings."""
    return Tensor.constant("", np.array(values, np.int32))


def model_of(
    name: str, inputs: Sequence[Tensor | None], outputs: Tensor | Sequence[Tensor], options: Any
) -> Model:
    """The model of one operator, as read from a file.

    Args:
      name: The builtin operator's.
      inputs: Its inputs; constants and variables among them; None where one is left out.
      outputs: Its outputs.
      options: Its options, None if it has none.
    """
    model = raw_model.empty_model({name: 1}, name)
    graph = model.graph
    results = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    given = list({id(t): t for t in inputs if t is not None}.values())
    for index, tensor in enumerate([*given, *results]):
        tensor.name = f"t{index}"
        graph.add(tensor)
    graph.inputs = [t for t in given if t.data is None and not t.is_variable]
    graph.outputs = results
    graph.ops = [Op(name, list(inputs), results, options)]
    return Model(model.to_bytes(), name)


def describe(model: Model) -> str:
    """What the operator of a model is: its tensors and options in full, in one line."""
    (op,) = model.graph.ops
    inputs = ", ".join("none" if t is None else _describe_tensor(t) for t in op.inputs)
    outputs = ", ".join(map(_describe_tensor, op.outputs))
    options = {} if op.options is None else vars(op.options)
    said = [f"{key}={_plain(value)}" for key, value in options.items() if _plain(value)]
    return " ".join([f"{op.name}({inputs}) -> {outputs}", *said])


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool | np.integer) else value


def _describe_tensor(tensor: Tensor) -> str:
    kind = "" if tensor.data is None else " constant"
    if tensor.is_variable:
        kind = " variable"
    q = tensor.quantization
    scales = "" if q is None or q.scale.size == 1 else f" {q.scale.size} scales"
    values = ""
    if tensor.data is not None and tensor.type_name == "INT32" and np.any(tensor.data):
        values = f" {tensor.data.reshape(-1).tolist()}"
    shape = "x".join(map(str, tensor.shape))
    return f"{tensor.type_name.lower()}[{shape}]{kind}{values}{scales}"
