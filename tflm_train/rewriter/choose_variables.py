"""Turns the trained weights and biases into variables that the restore op fills from flash.

A variable must have no buffer: TFLM zeroes it at allocation and loses buffer data silently, and
CMSIS-NN would cache sums of weights it takes for constants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.rules import layer_rule_of
from tflm_train.backward_ops.trained_layer import Columns, TrainedLayer
from tflm_train.errors import UnsupportedError
from tflm_train.model import Tensor
from tflm_train.model.layers import Layer
from tflm_train.qas import factors
from tflm_train.qas.update_rule import Kept
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import ONE_PRODUCER, VARIABLES_CHOSEN
from tflm_train.rewriter.training_graph import TrainingGraph, Variable
from tflm_train.scheme.gradient_path import why_not_input, why_not_tensor
from tflm_train.scheme.select import select_channels

_BELOW = -128  # what int8 holds and TFLite's weights may not
_MAX_LISTED_CHANNELS = 1 << 15  # the lists that our ops read are int16


def choose_variables(graph: TrainingGraph) -> TrainingGraph:
    """Makes variables of everything the plan trains.

    Args:
      graph: The training graph; its model's tensors change.

    Returns:
      The same graph.

    Raises:
      UnsupportedError: A trained tensor is a tied layer's, not constant or not int8/int32.
    """
    graph.variables += [Variable(graph.ranges, None), Variable(graph.scales, None)]
    for layer in graph.plan.trained:
        graph.trained[id(layer.op)] = _train_layer(graph, layer)
    return graph


CHOOSE_VARIABLES = Pass(
    "choose_variables", choose_variables, requires=(ONE_PRODUCER,), ensures=(VARIABLES_CHOSEN,)
)


def trainable_taps(weights: npt.NDArray[np.int8]) -> tuple[int, int, int, int]:
    """The part of a kernel that trains: leading and trailing all-zero rows and columns do not.

    PAD-free forms of a model extend stride-2 kernels by structural zeros, which must stay zero.

    Args:
      weights: int8 [n, k_h, k_w, m].

    Returns:
      (y0, y1, x0, x1), the whole kernel when all of it is zero.
    """
    rows = np.flatnonzero(np.any(weights != 0, axis=(0, 2, 3)))
    columns = np.flatnonzero(np.any(weights != 0, axis=(0, 1, 3)))
    if rows.size == 0:
        return 0, weights.shape[1], 0, weights.shape[2]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _train_layer(graph: TrainingGraph, layer: Layer) -> TrainedLayer:
    scheme = graph.plan.scheme
    weights, bias, x = layer.weights, layer.bias, layer.x
    reason = why_not_input(layer)
    if reason is not None:
        raise UnsupportedError(f"{layer}: {reason}")
    assert weights.quantization is not None
    scales = np.broadcast_to(weights.quantization.scale, (layer.out_channels,))
    weight_factors, bias_factors, frozen = factors(x.scale, scales, qas=scheme.qas)
    trained = TrainedLayer(
        layer=layer,
        weights=None,
        columns=None,
        weight_factors=weight_factors,
        bias=None,
        kept={},
        bias_factors=bias_factors,
        frozen_channels=int(np.count_nonzero(frozen)),
        taps=trainable_taps(_as_kernel(layer)),
    )
    update = graph.plan.weights.get(layer.index)
    if update is not None:
        _require_trainable(graph, layer, weights)
        weights = _clipped(graph, layer, _own(graph, layer, layer.form.weights))
        kept = select_channels(update, layer, scheme.seed)
        columns = _make_columns(graph, layer, kept)
        variable = _make_variable(graph, weights) if columns is None else columns.weights
        if columns is not None and layer.is_depthwise:
            trained = dataclasses.replace(trained, weight_factors=weight_factors[columns.kept])
        trained = dataclasses.replace(
            trained,
            weights=variable,
            columns=columns,
        )
        kept_for_weights = scheme.optimizer.kept_for_weights(scheme.residual_bits)
        trained.kept.update(_make_kept(graph, layer, variable, kept_for_weights))
    if bias is not None:
        _require_trainable(graph, layer, bias)
        variable = _make_variable(graph, _own(graph, layer, layer.form.bias))
        trained = dataclasses.replace(trained, bias=variable)
        kept_for_bias = scheme.optimizer.kept_for_bias()
        trained.kept.update(_make_kept(graph, layer, variable, kept_for_bias))
    return trained


def _own(graph: TrainingGraph, layer: Layer, place: int) -> Tensor:
    """A layer's weights or bias, copied where other operators read the same tensor."""
    tensor = layer.op.inputs[place]
    assert tensor is not None
    if sum(t is tensor for op in graph.model.graph.ops for t in op.inputs) == 1:
        return tensor
    copy = dataclasses.replace(tensor, name=f"{layer.name}/{tensor.short_name}", raw=None)
    layer.op.inputs[place] = graph.model.graph.add(copy)
    graph.warnings.append(
        f"{layer} gets its own copy of {tensor.name!r}, which other operators read as well"
    )
    return copy


def _clipped(graph: TrainingGraph, layer: Layer, weights: Tensor) -> Tensor:
    """Weights within +-127, as TFLite's int8 weights are: steps keep them there as well."""
    data = weights.data
    if data is None or not np.any(data == _BELOW):
        return weights
    count = int(np.count_nonzero(data == _BELOW))
    weights.data = np.maximum(data, _BELOW + 1)
    graph.warnings.append(
        f"{layer}: {count} of {data.size} weights are -128 and were clipped to -127"
    )
    graph.clipped.append(layer)
    return weights


def _make_columns(
    graph: TrainingGraph, layer: Layer, kept: npt.NDArray[np.int64]
) -> Columns | None:
    """The variable of a layer that trains in part; None when all of its channels train."""
    data = _as_kernel(layer)
    depthwise = layer.is_depthwise
    if depthwise:
        # Whole groups: every output channel of a kept input channel.
        multiplier = data.shape[3] // layer.x.shape[3]
        kept = (kept[:, np.newaxis] * multiplier + np.arange(multiplier)).reshape(-1)
    if kept.size == data.shape[3]:
        return None
    reason = why_not_in_part(layer)
    if reason is not None:
        raise UnsupportedError(f"{layer} {reason}")
    prefix = f"train/{layer.name}"
    factory = data[..., kept]
    columns = graph.model.graph.add(
        Tensor.make(f"{prefix}/columns", np.int8, factory.shape, is_variable=True)
    )
    graph.variables.append(Variable(columns, factory))
    others = np.setdiff1d(np.arange(data.shape[3]), kept)
    listed = kept if depthwise else np.concatenate([others, kept])
    return Columns(columns, kept, graph.constant(f"{prefix}/channels", listed.astype(np.int16)))


def why_not_in_part(layer: Layer) -> str | None:
    """Why a layer cannot train in part, though it may as a whole; None where it can."""
    channels = layer.weights.shape[-1]
    if channels > _MAX_LISTED_CHANNELS:
        return (
            f"has {channels} channels; more than {_MAX_LISTED_CHANNELS} cannot train in part, only "
            "as a whole (`ratio: 1`)"
        )
    if not layer_rule_of(layer.op).trains_in_part:
        return "trains as a whole or not at all: give it no ratio, channels or select"
    return None


def _make_kept(
    graph: TrainingGraph, layer: Layer, trained: Tensor, kept: Sequence[Kept]
) -> dict[str, Tensor]:
    """What the update rule keeps beside a trained tensor, by role; all zeros at first."""
    made = {}
    for what in kept:
        shape = ((trained.size + 1) // 2,) if what.packed else trained.shape
        name = f"update/{layer.name}/{what.role}"
        tensor = graph.model.graph.add(Tensor.make(name, what.dtype, shape, is_variable=True))
        graph.variables.append(Variable(tensor, None))
        made[what.role] = tensor
    return made


def _as_kernel(layer: Layer) -> npt.NDArray[np.int8]:
    """The weights as int8 [n, k_h, k_w, m]."""
    data = layer.weights.data
    if data is None:
        raise UnsupportedError(f"{layer}: {layer.weights.name!r} is computed, not a constant")
    data = data.astype(np.int8, copy=False)
    return data if data.ndim == 4 else data.reshape(data.shape[0], 1, 1, -1)


def _make_variable(graph: TrainingGraph, tensor: Tensor) -> Tensor:
    assert tensor.data is not None
    factory = tensor.data if np.any(tensor.data) else None
    tensor.data = None
    tensor.is_variable = True
    graph.variables.append(Variable(tensor, factory))
    return tensor


def _require_trainable(graph: TrainingGraph, layer: Layer, tensor: Tensor) -> None:
    reason = why_not_tensor(graph.model.graph, layer, tensor)
    if reason is not None:
        raise UnsupportedError(f"{layer}: {reason}")
