"""Keeps one bit per element instead of an activation that the backward pass needs only as a mask.

An activation that the backward pass reads stays alive anyway and serves as its own mask.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_train import kernel_abi as abi
from tflm_train.memory.extra import MASK_PREFIX
from tflm_train.model import Tensor
from tflm_train.ops import Role, set_input
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import MASKS_ARE_BITS, UPDATED
from tflm_train.rewriter.training_graph import TrainingGraph

_NO_MASK = tuple(role for role in Role if role is not Role.MASK)


def save_masks(graph: TrainingGraph) -> TrainingGraph:
    """Replaces activations that serve only as clamp masks by CLAMP_MASK bits."""
    needed_whole = whole_activations(graph)
    bits: dict[int, Tensor] = {}
    for op in list(graph.training):
        mask = getattr(op.params, "mask", None)
        if mask is None or mask.mask_kind != abi.MaskKind.ACTIVATION:
            continue
        (activation,) = op.params.inputs_of(op).having(Role.MASK)
        if id(activation) in needed_whole:
            continue
        if id(activation) not in bits:
            bits[id(activation)] = _emit_mask(graph, activation, mask)
        set_input(op, op.params, mask=bits[id(activation)])
        fields = dataclasses.replace(mask, mask_kind=abi.MaskKind.BITS)
        op.params = dataclasses.replace(op.params, mask=fields)  # type: ignore[call-arg]
    return graph


SAVE_MASKS = Pass("save_masks", save_masks, requires=(UPDATED,), ensures=(MASKS_ARE_BITS,))


def whole_activations(graph: TrainingGraph) -> set[int]:
    """Ids of the activations that stay alive until the backward pass anyway.

    They are what a training op reads as something else than the mask of the gradient it writes.
    """
    return {
        id(tensor)
        for op in graph.training
        if not isinstance(op.params, abi.ClampMaskParams | abi.ChannelSaveParams)
        for tensor in op.params.inputs_of(op).having(*_NO_MASK)
    }


def _emit_mask(graph: TrainingGraph, activation: Tensor, mask: abi.MaskFields) -> Tensor:
    size = (activation.size + 7) // 8
    tensor = graph.model.graph.add(
        Tensor.make(f"{MASK_PREFIX}{activation.short_name}", np.uint8, (size,))
    )
    params = abi.ClampMaskParams(activation.size, mask.act_min, mask.act_max)
    graph.emit(params, [activation, graph.control], [tensor])
    return tensor
