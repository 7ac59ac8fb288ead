"""Random stacks of int8 layers as .tflite files, made without a converter."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tests import raw_model
from tflm_train.model import Model, Op, Quantization, Tensor

_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "PAD": 2, "MAX_POOL_2D": 2}
ACTIVATIONS = (0, 1, 3)  # NONE, RELU, RELU6


@dataclass
class Stack:
    """A chain of layers that grows at its end.

    Attributes:
      model: With the ops so far; `finish` makes a file of it.
      top: The last layer's output.
    """

    rng: np.random.Generator
    model: Model
    top: Tensor
    count: int = field(default=0)

    @staticmethod
    def start(height: int, width: int, channels: int, seed: int) -> Stack:
        """A stack without layers."""
        model = raw_model.empty_model(_VERSIONS, "stack")
        rng = np.random.default_rng(seed)
        top = model.graph.add(_activation("input", (1, height, width, channels), rng))
        model.graph.inputs = [top]
        return Stack(rng, model, top)

    def finish(self, trainable: bool = False) -> Model:
        """The model as read from a file; trainable: without -128 among its weights."""
        self.model.graph.outputs = [self.top]
        for tensor in self.model.graph.tensors if trainable else ():
            if tensor.data is not None and tensor.data.dtype == np.int8:
                tensor.data = np.maximum(tensor.data, -127)
        return Model(self.model.to_bytes(), "stack")

    def conv(
        self, out_c: int, kernel: int, stride: int, same: bool, activation: int, dilation: int = 1
    ) -> None:
        """Adds a CONV_2D."""
        options = schema.Conv2DOptionsT()
        shape = (out_c, kernel, kernel, self.top.shape[3])
        self._layer("CONV_2D", options, shape, 0, stride, same, activation, dilation)

    def depthwise(
        self, times: int, kernel: int, stride: int, same: bool, activation: int, dilation: int = 1
    ) -> None:
        """Adds a DEPTHWISE_CONV_2D of depth multiplier `times`."""
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = times
        shape = (1, kernel, kernel, self.top.shape[3] * times)
        self._layer("DEPTHWISE_CONV_2D", options, shape, 3, stride, same, activation, dilation)

    def pad(self, amounts: tuple[int, int, int, int]) -> None:
        """Adds a PAD: rows above and below, columns left and right."""
        top, bottom, left, right = amounts
        _, height, width, channels = self.top.shape
        data = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        shape = (1, height + top + bottom, width + left + right, channels)
        y = self._output(shape)
        y.quantization = self.top.quantization
        table = self.model.graph.add(Tensor.constant(f"pads_{self.count}", data))
        self._emit("PAD", [self.top, table], y, schema.PadOptionsT())

    def max_pool(self, window: int, stride: int) -> None:
        """Adds a MAX_POOL_2D with padding SAME."""
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.SAME
        options.filterHeight = options.filterWidth = window
        options.strideH = options.strideW = stride
        _, height, width, channels = self.top.shape
        y = self._output((1, -(-height // stride), -(-width // stride), channels))
        y.quantization = self.top.quantization
        self._emit("MAX_POOL_2D", [self.top], y, options)

    def add(self, other: Tensor, activation: int) -> None:
        """Adds an ADD of an earlier tensor."""
        options = schema.AddOptionsT()
        options.fusedActivationFunction = activation
        self._emit("ADD", [self.top, other], self._output(self.top.shape), options)

    def _layer(
        self,
        name: str,
        options: Any,
        shape: tuple[int, ...],
        axis: int,
        stride: int,
        same: bool,
        activation: int,
        dilation: int,
    ) -> None:
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = dilation
        options.fusedActivationFunction = activation
        reach = (shape[1] - 1) * dilation + 1
        sides = [-(-(s if same else s - reach + 1) // stride) for s in self.top.shape[1:3]]
        out_c = shape[axis]
        y = self._output((1, *sides, out_c))
        fan_in = math.prod(shape) // out_c
        scales = y.scale / self.top.scale / (90 * math.sqrt(fan_in)) * self._spread(out_c)
        weights = self._constant("weights", np.int8, shape, 128)
        weights.quantization = Quantization(scales, np.zeros(out_c, np.int64), axis)
        bias = None
        if self.rng.random() < 0.8:
            bias = self._constant("bias", np.int32, (out_c,), 2000)
            scale = (np.float32(self.top.scale) * scales).astype(np.float32)
            bias.quantization = Quantization(scale, np.zeros(out_c, np.int64))
        # TFLM's kernels want a missing bias to be left out, not to be -1.
        inputs: list[Tensor | None] = [self.top, weights]
        self._emit(name, inputs if bias is None else [*inputs, bias], y, options)

    def _spread(self, count: int) -> npt.NDArray[np.float32]:
        return self.rng.uniform(0.5, 2, count).astype(np.float32)

    def _constant(
        self, role: str, dtype: npt.DTypeLike, shape: tuple[int, ...], limit: int
    ) -> Tensor:
        data = self.rng.integers(-limit, limit, shape).astype(dtype)
        return self.model.graph.add(Tensor.constant(f"{role}_{self.count}", data))

    def _output(self, shape: tuple[int, ...]) -> Tensor:
        return self.model.graph.add(_activation(f"y_{self.count}", shape, self.rng))

    def _emit(self, name: str, inputs: list[Tensor | None], y: Tensor, options: Any) -> None:
        self.model.graph.ops.append(Op(name, inputs, [y], options))
        self.top = y
        self.count += 1


def _activation(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    quantization = Quantization(
        rng.uniform(0.02, 0.06, 1).astype(np.float32), rng.integers(-128, 128, 1, np.int64)
    )
    return Tensor.make(name, np.int8, shape, quantization=quantization)
