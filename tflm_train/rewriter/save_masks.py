"""Keeps one bit per element instead of an activation that the backward pass needs only as a mask.

An activation that the backward pass reads stays alive anyway and serves as its own mask.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_train import kernel_abi as abi
from tflm_train.memory.extra import MASK_PREFIX
from tflm_train.model import Tensor
from tflm_train.rewriter.training_graph import TrainingGraph

_MASK_POSITIONS: dict[type[abi.OpParams], int] = {
    abi.ConvInputGradParams: 6,
    abi.DepthwiseInputGradParams: 6,
    abi.PoolGradParams: 4,
    abi.AccumulateParams: 2,
    abi.ProductGradParams: 6,
    abi.MoveGradParams: 3,
    abi.MaxPoolGradParams: 6,
    abi.ResizeGradParams: 6,
    abi.L2NormGradParams: 6,
}
"""Which input of an op is the mask of the gradient it writes."""


def save_masks(graph: TrainingGraph) -> TrainingGraph:
    """Replaces activations that serve only as clamp masks by CLAMP_MASK bits."""
    needed_whole = whole_activations(graph)
    bits: dict[int, Tensor] = {}
    for op in list(graph.training):
        mask = getattr(op.params, "mask", None)
        if mask is None or mask.mask_kind != abi.MaskKind.ACTIVATION:
            continue
        position = _MASK_POSITIONS[type(op.params)]
        activation = op.inputs[position]
        assert activation is not None
        if id(activation) in needed_whole:
            continue
        if id(activation) not in bits:
            bits[id(activation)] = _emit_mask(graph, activation, mask)
        op.inputs[position] = bits[id(activation)]
        fields = dataclasses.replace(mask, mask_kind=abi.MaskKind.BITS)
        op.params = dataclasses.replace(op.params, mask=fields)  # type: ignore[call-arg]
    return graph


def whole_activations(graph: TrainingGraph) -> set[int]:
    """Ids of the activations that stay alive until the backward pass anyway."""
    return {
        id(tensor)
        for op in graph.training
        if not isinstance(op.params, abi.ClampMaskParams | abi.ChannelSaveParams)
        for position, tensor in enumerate(op.inputs)
        if position != _MASK_POSITIONS.get(type(op.params))
    }


def _emit_mask(graph: TrainingGraph, activation: Tensor, mask: abi.MaskFields) -> Tensor:
    size = (activation.size + 7) // 8
    tensor = graph.model.graph.add(
        Tensor.make(f"{MASK_PREFIX}{activation.short_name}", np.uint8, (size,))
    )
    params = abi.ClampMaskParams(activation.size, mask.act_min, mask.act_max)
    graph.emit(params, [activation, graph.state], [tensor])
    return tensor
