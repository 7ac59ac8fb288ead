"""Replaces the forward op of each layer that trains in part by one that reads two sets of weights.

The constant part stays in flash, the trained columns come from RAM, and one accumulator takes both:
before the first step the result is the builtin op's, bit for bit. Requantization constants, which
the builtin op keeps in RAM for every channel, lie in flash as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.rules import layer_rule_of
from tflm_train.backward_ops.trained_layer import Columns, TrainedLayer
from tflm_train.model import Op
from tflm_train.model.layers import Layer
from tflm_train.model.origins import origin_of
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import LAYERS_SPLIT, UPDATED
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_SMALLEST_SHIFT = -31


def split_layers(graph: TrainingGraph) -> TrainingGraph:
    """Swaps the forward ops of partly trained layers; runs after differentiation."""
    convolutions: dict[int, TrainedLayer] = {}  # one of the uses of each
    for position, op in enumerate(graph.forward):
        trained = graph.trained.get(id(op))
        if trained is not None and trained.columns is not None:
            graph.forward[position] = _split(graph, trained.layer, trained.columns)
            if not trained.layer.is_depthwise:
                convolutions[id(trained.columns.weights)] = trained
    for trained in convolutions.values():
        assert trained.columns is not None
        _keep_rest(trained.layer, trained.columns)
    return graph


SPLIT_LAYERS = Pass("split_layers", split_layers, requires=(UPDATED,), ensures=(LAYERS_SPLIT,))


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A multiplier as TFLM's 31-bit mantissa and exponent (its `QuantizeMultiplier`)."""
    if real == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    # Half away from zero; mantissas are positive.
    fixed = math.floor(mantissa * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed //= 2
        shift += 1
    return (0, 0) if shift < _SMALLEST_SHIFT else (fixed, shift)


def layer_multipliers(layer: Layer) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """TFLM's requantization constants of a layer: int32 [out_c] multipliers and shifts."""
    weights, output = layer.weights, layer.op.output
    assert weights.quantization is not None
    scales = np.broadcast_to(weights.quantization.scale, (layer.out_channels,))
    x_scale, y_scale = np.float32(layer.x.scale), float(output.scale)
    if layer.form.scales_in_float:
        products: Sequence[float] = [float(x_scale * s) for s in scales]
    else:
        products = [float(x_scale) * float(s) for s in scales]
    pairs = np.array([quantize_multiplier(p / y_scale) for p in products], np.int64)
    return pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.int32)


def _split(graph: TrainingGraph, layer: Layer, columns: Columns) -> Op:
    op = layer.op
    geometry = layer_rule_of(op).geometry(op)
    clamp = clamp_of(op)
    act_min, act_max = (-128, 127) if clamp is None else (clamp.act_min, clamp.act_max)
    output = ops.OutputFields(layer.x.zero_point, op.output.zero_point, act_min, act_max)
    kept = columns.kept.size
    params: ops.TrainingOp[ops.SplitInputs, ops.LayerOutputs]
    if layer.is_depthwise:
        multiplier = geometry.out_c // geometry.in_c
        params = ops.SplitDepthwise(geometry, output, kept, multiplier)
    else:
        params = ops.SplitConv(geometry, output, kept)
    multipliers, shifts = layer_multipliers(layer)
    inputs = ops.SplitInputs(
        x=layer.x,
        weights=layer.weights,
        columns=columns.weights,
        channels=columns.listed,
        bias=layer.bias,
        multipliers=graph.constant(f"train/{layer.name}/multipliers", multipliers),
        shifts=graph.constant(f"train/{layer.name}/shifts", shifts),
    )
    split = TrainOp.make(params, inputs, ops.LayerOutputs(y=op.output))
    split.origins = (origin_of(op),)
    return split


def _keep_rest(layer: Layer, columns: Columns) -> None:
    """Takes the trained columns out of the constant weights."""
    weights = layer.weights
    assert weights.data is not None
    weights.data = np.delete(weights.data, columns.kept, axis=-1)
    weights.shape = weights.data.shape
