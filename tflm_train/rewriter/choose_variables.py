"""Turns the trained weights and biases into variables that the restore op fills from flash.

A variable must have no buffer: TFLM zeroes it at allocation and loses buffer data silently, and
CMSIS-NN would cache sums of weights it takes for constants.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from tflm_train.errors import UnsupportedError
from tflm_train.model import Tensor
from tflm_train.model.layers import Layer
from tflm_train.qas import factors
from tflm_train.rewriter.training_graph import TrainedLayer, TrainingGraph, Variable


def choose_variables(graph: TrainingGraph) -> TrainingGraph:
    """Makes variables of everything the plan trains.

    Args:
      graph: The training graph; its model's tensors change.

    Returns:
      The same graph.

    Raises:
      UnsupportedError: A trained tensor is shared, not constant or not int8/int32.
    """
    graph.variables += [Variable(graph.ranges, None), Variable(graph.scales, None)]
    for layer in graph.plan.trained:
        graph.trained[id(layer.op)] = _train_layer(graph, layer)
    if graph.plan.is_full_update:
        graph.warnings.append(
            "every layer's weights train: a full int8 update diverges at ordinary learning rates "
            "(51 % at best in our measurements); name fewer layers"
        )
    return graph


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
    if x.quantization is None or weights.quantization is None or x.type_name != "INT8":
        raise UnsupportedError(
            f"{layer}: its input is {x.type_name}, not quantized int8; only int8 layers train"
        )
    scales = np.broadcast_to(weights.quantization.scale, (layer.out_channels,))
    taps = trainable_taps(_as_kernel(weights))
    weight_factors, bias_factors, frozen = factors(x.scale, scales, qas=scheme.qas)
    prefix = f"update/{layer.name}"
    trains_weights = layer.index in graph.plan.weights
    trained = TrainedLayer(
        layer=layer,
        weights=None,
        residual=None,
        bias=None,
        weight_factors=None,
        bias_factors=graph.constant(f"{prefix}/bias_factors", bias_factors),
        frozen_channels=int(np.count_nonzero(frozen)),
        taps=taps,
    )
    if trains_weights:
        residual = None
        if scheme.residual_bits == 8:
            residual = graph.model.graph.add(
                Tensor.make(f"{prefix}/residual", np.int8, weights.shape, is_variable=True)
            )
        trained = dataclasses.replace(
            trained,
            weights=_make_variable(graph, layer, weights, "INT8"),
            residual=residual,
            weight_factors=graph.constant(f"{prefix}/weight_factors", weight_factors),
        )
    if bias is not None:
        trained = dataclasses.replace(trained, bias=_make_variable(graph, layer, bias, "INT32"))
    if trained.residual is not None:
        graph.variables.append(Variable(trained.residual, None))
    return trained


def _as_kernel(weights: Tensor) -> npt.NDArray[np.int8]:
    assert weights.data is not None
    data: npt.NDArray[np.int8] = weights.data.astype(np.int8, copy=False)
    return data if data.ndim == 4 else data.reshape(data.shape[0], 1, 1, -1)


def _make_variable(graph: TrainingGraph, layer: Layer, tensor: Tensor, type_name: str) -> Tensor:
    if tensor.type_name != type_name:
        raise UnsupportedError(
            f"{layer}: {tensor.name!r} is {tensor.type_name}; only {type_name} can train"
        )
    if tensor.data is None:
        raise UnsupportedError(f"{layer}: {tensor.name!r} is computed, not a constant")
    users = graph.model.graph.consumers(tensor)
    if len(users) != 1 or sum(1 for t in users[0].inputs if t is tensor) != 1:
        raise UnsupportedError(
            f"{layer}: {tensor.name!r} is shared by {len(users)} ops; shared weights cannot train"
        )
    zeros = not np.any(tensor.data)
    factory = None
    if not zeros:
        factory = graph.constant(f"train/factory/{tensor.short_name}", tensor.data)
    tensor.data = None
    tensor.is_variable = True
    graph.variables.append(Variable(tensor, factory))
    return tensor
