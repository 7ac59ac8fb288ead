"""Keeps one bit per element instead of an activation that the backward pass needs only as a mask.

An activation that the backward pass reads stays alive anyway and serves as its own mask.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_train import kernel_abi as abi
from tflm_train.memory.extra import MASK_PREFIX
from tflm_train.model import Tensor
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import MASKS_ARE_BITS, UPDATED
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_MASK_POSITIONS: dict[type[abi.OpParams], int] = {
    abi.ConvInputGradParams: abi.InputGradInput.MASK,
    abi.DepthwiseInputGradParams: abi.InputGradInput.MASK,
    abi.PoolGradParams: 1,
    abi.AccumulateParams: -3,
    abi.ProductGradParams: 3,
    abi.MoveGradParams: 1,
    abi.MaxPoolGradParams: 3,
    abi.ResizeGradParams: 3,
    abi.L2NormGradParams: 3,
}
"""Which input of an op is the mask of the gradient it writes; negative: counted from the end."""


def mask_position(op: TrainOp) -> int | None:
    """Which input is the mask of the gradient that an op writes; None where it takes none."""
    position = _MASK_POSITIONS.get(type(op.params))
    return None if position is None else position % len(op.inputs)


def save_masks(graph: TrainingGraph) -> TrainingGraph:
    """Replaces activations that serve only as clamp masks by CLAMP_MASK bits."""
    needed_whole = whole_activations(graph)
    bits: dict[int, Tensor] = {}
    for op in list(graph.training):
        mask = getattr(op.params, "mask", None)
        if mask is None or mask.mask_kind != abi.MaskKind.ACTIVATION:
            continue
        position = mask_position(op)
        assert position is not None
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


SAVE_MASKS = Pass("save_masks", save_masks, requires=(UPDATED,), ensures=(MASKS_ARE_BITS,))


def whole_activations(graph: TrainingGraph) -> set[int]:
    """Ids of the activations that stay alive until the backward pass anyway."""
    return {
        id(tensor)
        for op in graph.training
        if not isinstance(op.params, abi.ClampMaskParams | abi.ChannelSaveParams)
        for position, tensor in enumerate(op.inputs)
        if position != mask_position(op)
    }


def _emit_mask(graph: TrainingGraph, activation: Tensor, mask: abi.MaskFields) -> Tensor:
    size = (activation.size + 7) // 8
    tensor = graph.model.graph.add(
        Tensor.make(f"{MASK_PREFIX}{activation.short_name}", np.uint8, (size,))
    )
    params = abi.ClampMaskParams(activation.size, mask.act_min, mask.act_max)
    graph.emit(params, [activation, graph.control], [tensor])
    return tensor
