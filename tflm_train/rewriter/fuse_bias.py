"""Lets the op that computes a layer's input gradient update its bias as well.

Both read the layer's output gradient. A node less is worth 32 bytes of RAM to TFLM, and its token
another 12. The input gradient itself says then that the bias has been updated.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflm_train.model import Op
from tflm_train.ops import BiasUpdate, ConvInputGrad, DepthwiseInputGrad, Finish, set_input
from tflm_train.ops.structs import PLAIN_SGD
from tflm_train.rewriter.mark_step import MARKED
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import IN_ORDER, UPDATED
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_INPUT_GRADIENTS = (ConvInputGrad, DepthwiseInputGrad)


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
            and isinstance(op.params, BiasUpdate)
            and op.params.rule == PLAIN_SGD
        )
        reader = readers.get(id(op.input)) if is_plain else None
        if reader is None or reader.params.inputs_of(reader).bias is not None:
            kept.append(op)
            continue
        update = BiasUpdate.inputs_of(op)
        set_input(reader, reader.params, bias=update.bias, bias_factors=update.factors)
        fused.add(id(op.output))
    finish = ops[-1]
    assert isinstance(finish, TrainOp)
    after = Finish.inputs_of(finish).after
    set_input(finish, finish.params, after=tuple(t for t in after if id(t) not in fused))
    return kept


def _fuse(graph: TrainingGraph) -> None:
    graph.model.graph.ops = fuse_bias_updates(graph.model.graph.ops)


FUSE_BIAS = Pass("fuse_bias", _fuse, requires=(UPDATED, IN_ORDER), breaks=(MARKED,))
