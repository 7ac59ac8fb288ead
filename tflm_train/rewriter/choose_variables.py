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
from tflm_train.model.layers import Layer, has_bias, have_one_bias
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
      UnsupportedError: A trained tensor is not constant or not int8/int32.
    """
    graph.variables += [Variable(graph.ranges, None), Variable(graph.scales, None)]
    for uses in graph.plan.trained_uses:
        _join_biases(graph, uses)
        first: TrainedLayer | None = None
        for layer in uses:
            trained = _train_layer(graph, layer, uses, first)
            graph.trained[id(layer.op)] = trained
            first = first or trained
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


def _train_layer(
    graph: TrainingGraph, layer: Layer, uses: Sequence[Layer], first: TrainedLayer | None
) -> TrainedLayer:
    """Makes variables of what trains of a layer.

    Args:
      graph: Gets them.
      layer: The layer.
      uses: All uses of it, itself among them.
      first: What the first use trains, whose variables it shares; None where it is the first.
    """
    scheme, x = graph.plan.scheme, layer.x
    reason = why_not_input(layer)
    if reason is not None:
        raise UnsupportedError(f"{layer}: {reason}")
    assert layer.weights.quantization is not None
    scales = np.broadcast_to(layer.weights.quantization.scale, (layer.out_channels,))
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
        taps=trainable_taps(_as_kernel(layer)) if first is None else first.taps,
    )
    if first is None:
        trained = _with_weights(graph, trained, uses)
    else:
        roles = {what.role for what in scheme.optimizer.kept_for_weights(scheme.residual_bits)}
        kept = {role: tensor for role, tensor in first.kept.items() if role in roles}
        trained = dataclasses.replace(
            trained, weights=first.weights, columns=first.columns, kept=kept
        )
    if trained.columns is not None and layer.is_depthwise:
        part = weight_factors[trained.columns.kept]
        trained = dataclasses.replace(trained, weight_factors=part)
    return _with_bias(graph, trained, uses) if has_bias(uses) else trained


def _with_weights(
    graph: TrainingGraph, trained: TrainedLayer, uses: Sequence[Layer]
) -> TrainedLayer:
    """The layer with its weights' variables, where its weights train."""
    scheme, layer = graph.plan.scheme, trained.layer
    named = next((use for use in uses if use.index in graph.plan.weights), None)
    if named is None:
        return trained
    _require_trainable(layer, layer.weights)
    weights = _clipped(graph, layer, _own(graph, uses, layer.form.weights))
    kept = select_channels(graph.plan.weights[named.index], named, scheme.seed)
    columns = _make_columns(graph, layer, kept)
    variable = _make_variable(graph, weights) if columns is None else columns.weights
    kept_for_weights = scheme.optimizer.kept_for_weights(scheme.residual_bits)
    trained.kept.update(_make_kept(graph, layer, variable, kept_for_weights))
    return dataclasses.replace(trained, weights=variable, columns=columns)


def _with_bias(graph: TrainingGraph, trained: TrainedLayer, uses: Sequence[Layer]) -> TrainedLayer:
    """The layer with its bias' variables, which are those of a use with the same bias."""
    layer, scheme = trained.layer, graph.plan.scheme
    assert layer.bias is not None
    known = (graph.trained.get(id(use.op)) for use in uses)
    same = next((t for t in known if t is not None and t.bias is layer.bias), None)
    if same is not None:
        roles = {what.role for what in scheme.optimizer.kept_for_bias()}
        trained.kept.update({role: t for role, t in same.kept.items() if role in roles})
        return dataclasses.replace(trained, bias=same.bias)
    _require_trainable(layer, layer.bias)
    with_it = [use for use in uses if use.bias is layer.bias]
    variable = _make_variable(graph, _own(graph, with_it, layer.form.bias))
    trained.kept.update(_make_kept(graph, layer, variable, scheme.optimizer.kept_for_bias()))
    return dataclasses.replace(trained, bias=variable)


def _join_biases(graph: TrainingGraph, uses: Sequence[Layer]) -> None:
    """Finds the biases that the uses of a layer have in common.

    Equal tensors of one scale become one. What differs in its scale alone has to stay apart, and is
    remembered: it is moved by one gradient.
    """
    if not has_bias(uses):
        return
    joint: list[list[Layer]] = []
    for layer in uses:
        same = next((found for found in joint if have_one_bias(found[0], layer)), None)
        if same is None:
            joint.append([layer])
            continue
        equal = next((other for other in same if _are_equal(other, layer)), None)
        if equal is not None:
            layer.op.inputs[layer.form.bias] = equal.bias
        same.append(layer)
    for found in joint:
        if len({id(layer.bias) for layer in found}) > 1:
            graph.joint_biases.append(tuple(id(layer.op) for layer in found))


def _are_equal(layer: Layer, other: Layer) -> bool:
    """Whether two biases are the same numbers of the same steps."""
    a, b = layer.bias, other.bias
    assert a is not None and b is not None
    of_one_scale = layer.x.scale == other.x.scale
    return a is b or (of_one_scale and np.array_equal(_values(a), _values(b)))


def _values(bias: Tensor) -> npt.NDArray[np.generic]:
    return np.zeros(bias.shape, np.int32) if bias.data is None else bias.data


def _own(graph: TrainingGraph, uses: Sequence[Layer], place: int) -> Tensor:
    """A layer's weights or bias, copied where operators that are none of its uses read it too."""
    tensor = uses[0].op.inputs[place]
    assert tensor is not None
    if sum(t is tensor for op in graph.model.graph.ops for t in op.inputs) == len(uses):
        return tensor
    copy = dataclasses.replace(tensor, name=f"{uses[0].name}/{tensor.short_name}", raw=None)
    graph.model.graph.add(copy)
    for use in uses:
        use.op.inputs[place] = copy
    graph.warnings.append(
        f"{uses[0]} gets its own copy of {tensor.name!r}, which other operators read as well"
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


def _require_trainable(layer: Layer, tensor: Tensor) -> None:
    reason = why_not_tensor(layer, tensor)
    if reason is not None:
        raise UnsupportedError(f"{layer}: {reason}")
