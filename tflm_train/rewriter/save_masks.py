"""Keeps one bit per element instead of an activation that the backward pass needs only as a mask.

An activation that the backward pass reads stays alive anyway and serves as its own mask.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_train import ops
from tflm_train.memory.extra import MASK_PREFIX
from tflm_train.model import Tensor
from tflm_train.ops import ClampMaskInputs, ClampMaskOutputs, Role, set_input
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import MASKS_ARE_BITS, UPDATED
from tflm_train.rewriter.training_graph import TrainingGraph


def save_masks(graph: TrainingGraph) -> TrainingGraph:
    """Replaces activations that serve only as clamp masks by CLAMP_MASK bits."""
    needed_whole = whole_activations(graph)
    bits: dict[int, Tensor] = {}
    for op in list(graph.training):
        mask = getattr(op.params, "mask", None)
        if mask is None or mask.mask_kind != ops.MaskKind.ACTIVATION:
            continue
        (activation,) = op.params.inputs_of(op).having(Role.MASK)
        if id(activation) in needed_whole:
            continue
        if id(activation) not in bits:
            bits[id(activation)] = _emit_mask(graph, activation, mask)
        set_input(op, op.params, mask=bits[id(activation)])
        fields = dataclasses.replace(mask, mask_kind=ops.MaskKind.BITS)
        op.params = dataclasses.replace(op.params, mask=fields)  # type: ignore[call-arg]
    return graph


SAVE_MASKS = Pass("save_masks", save_masks, requires=(UPDATED,), ensures=(MASKS_ARE_BITS,))


def whole_activations(graph: TrainingGraph) -> set[int]:
    """Ids of the activations that stay alive until the backward pass anyway."""
    needed: set[int] = set()
    for op in graph.training:
        if not isinstance(op.params, ops.ClampMask | ops.ChannelSave):
            needed |= {id(t) for t in op.params.inputs_of(op).lacking(Role.MASK)}
    return needed


def _emit_mask(graph: TrainingGraph, activation: Tensor, mask: ops.MaskFields) -> Tensor:
    size = (activation.size + 7) // 8
    tensor = graph.model.graph.add(
        Tensor.make(f"{MASK_PREFIX}{activation.short_name}", np.uint8, (size,))
    )
    params = ops.ClampMask(activation.size, mask.act_min, mask.act_max)
    inputs = ClampMaskInputs(activation=activation, state=graph.control)
    graph.emit(params, inputs, ClampMaskOutputs(bits=tensor))
    return tensor
