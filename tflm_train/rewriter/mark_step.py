"""Numbers what a training step makes, so that the kernels notice a wrong order.

Each gradient, mask, copy of channels and token has a mark: a bit in `train/control`, which RESTORE
clears. An op sets the mark of what it writes, and fails where that of something it reads is not
set. A gradient's mark is its slot; the others follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tflm_train import kernel_abi as abi
from tflm_train.model import Op, Tensor
from tflm_train.rewriter.save_masks import mask_position
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_UPDATES = (abi.ConvUpdateParams, abi.DepthwiseUpdateParams)


def mark_step(graph: TrainingGraph, ops: Sequence[Op]) -> None:
    """Gives all ops the marks of what they read and write.

    Args:
      graph: Its control tensor gets a bit for each mark.
      ops: All of the model; parameters of ours change.
    """
    training = [op for op in ops if isinstance(op, TrainOp)]
    slots = [_slot_out(op.params) for op in training]
    marks = {id(op.output): s for op, s in zip(training, slots, strict=True) if s is not None}
    for op in training:
        if isinstance(op.params, (*_MARKED, *_UPDATES, abi.BiasUpdateParams)):
            marks[id(op.output)] = len(marks)

    def mark_of(tensor: Tensor | None) -> int:
        return marks.get(id(tensor), abi.NO_MARK)

    for op in training:
        op.params = _with_marks(op, mark_of)
        if isinstance(op.params, abi.FinishParams):
            op.params = abi.FinishParams(len(marks))
    words = -(-len(marks) // abi.MARKS_PER_WORD)
    graph.control.shape = (abi.STATE_WORDS + words,)


_MARKED = (abi.ClampMaskParams, abi.ChannelSaveParams)


def _slot_out(params: abi.OpParams) -> int | None:
    """The slot of the gradient that an op writes."""
    if isinstance(params, abi.LossParams):
        return params.slot
    return getattr(params, "slot_out", None)


def _with_marks(op: TrainOp, mark_of: Callable[[Tensor | None], int]) -> abi.OpParams:
    params = op.params
    if isinstance(params, abi.ClampMaskParams | abi.BiasUpdateParams):
        return dataclasses.replace(params, mark_out=mark_of(op.output))
    if isinstance(params, abi.ChannelSaveParams):
        return dataclasses.replace(params, mark_in=mark_of(op.input), mark_out=mark_of(op.output))
    if isinstance(params, _UPDATES):
        x, gradient, after = (
            mark_of(op.inputs[i])
            for i in (abi.UpdateInput.X, abi.UpdateInput.GRADIENT, abi.UpdateInput.AFTER)
        )
        fields = dataclasses.replace(
            params.update,
            mark_x=x,
            mark_grad=gradient,
            mark_after=after,
            mark_out=mark_of(op.output),
        )
        return dataclasses.replace(params, update=fields)
    position = mask_position(op)
    if position is None:
        return params
    mask: abi.MaskFields = params.mask  # type: ignore[attr-defined]
    mask = dataclasses.replace(mask, mark=mark_of(op.inputs[position]))
    return dataclasses.replace(params, mask=mask)  # type: ignore[call-arg]
