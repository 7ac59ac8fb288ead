"""Lets the op that computes a layer's input gradient update its bias as well.

Both read the layer's output gradient. A node less is worth 32 bytes of RAM to TFLM, and its token
another 12. The input gradient itself says then that the bias has been updated.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflm_train import kernel_abi as abi
from tflm_train.model import Op
from tflm_train.ops.structs import PLAIN_SGD
from tflm_train.rewriter.mark_step import MARKED
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import IN_ORDER, UPDATED
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_INPUT_GRADIENTS = (abi.ConvInputGradParams, abi.DepthwiseInputGradParams)


def fuse_bias_updates(ops: Sequence[Op]) -> list[Op]:
    """Takes BIAS_UPDATEs into the input gradient of the same layer, where there is one.

    Args:
      ops: In execution order; input gradients change, and FINISH loses tokens.

    Returns:
      The ops without those BIAS_UPDATEs.
    """
    readers = {
        id(op.input): op
        for op in ops
        if isinstance(op, TrainOp) and isinstance(op.params, _INPUT_GRADIENTS)
    }
    kept: list[Op] = []
    fused: set[int] = set()
    for op in ops:
        # What clips or gathers has an op of its own.
        is_plain = (
            isinstance(op, TrainOp)
            and isinstance(op.params, abi.BiasUpdateParams)
            and op.params.rule == PLAIN_SGD
        )
        reader = readers.get(id(op.input)) if is_plain else None
        if reader is None or reader.inputs[abi.InputGradInput.BIAS] is not None:
            kept.append(op)
            continue
        reader.inputs[abi.InputGradInput.BIAS_FACTORS] = op.inputs[abi.BiasUpdateInput.FACTORS]
        reader.inputs[abi.InputGradInput.BIAS] = op.inputs[abi.BiasUpdateInput.BIAS]
        fused.add(id(op.output))
    finish = ops[-1]
    finish.inputs = [t for t in finish.inputs if id(t) not in fused]
    return kept


def _fuse(graph: TrainingGraph) -> None:
    graph.model.graph.ops = fuse_bias_updates(graph.model.graph.ops)


FUSE_BIAS = Pass("fuse_bias", _fuse, requires=(UPDATED, IN_ORDER), breaks=(MARKED,))
