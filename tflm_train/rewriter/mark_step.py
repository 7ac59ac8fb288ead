"""Numbers what a training step makes, so that the kernels notice a wrong order.

Each gradient, mask, copy of channels and token has a mark: a bit in `train/control`, which RESTORE
clears. An op sets the mark of what it writes, and fails where that of something it reads is not
set. A gradient's mark is its slot; the others follow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from tflm_train import kernel_abi as abi
from tflm_train.model import Tensor
from tflm_train.ops import Role
from tflm_train.ops.contract import LIVE_WORDS
from tflm_train.rewriter.passes import Pass, Property
from tflm_train.rewriter.properties import IN_ORDER, SLOTS_NUMBERED, UPDATED, ops_of, slot_out
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_WEIGHT_UPDATES = (abi.ConvUpdateParams, abi.DepthwiseUpdateParams)
_OTHERS = (abi.ClampMaskParams, abi.ChannelSaveParams, abi.BiasUpdateParams)
"""What makes something that is no gradient, beside them."""


def mark_step(graph: TrainingGraph) -> None:
    """Gives all ops the marks of what they read and write, and packs their parameters.

    Args:
      graph: Its ops in order, none of them a STREAM; the control tensor gets a bit for each mark.
    """
    training = _training(graph)
    slots = [slot_out(op) for op in training]
    marks = {id(op.output): s for op, s in zip(training, slots, strict=True) if s is not None}
    for op in training:
        if isinstance(op.params, (*_WEIGHT_UPDATES, *_OTHERS)):
            marks[id(op.output)] = len(marks)
    for op in training:
        if isinstance(op.params, abi.FinishParams):
            op.params = abi.FinishParams(len(marks))
        op.params = _with_marks(op, lambda t: marks.get(id(t), abi.NO_MARK))
        op.custom_options = op.params.pack()
    words = -(-len(marks) // abi.MARKS_PER_WORD)
    graph.control.shape = (LIVE_WORDS + words,)


def _wrong_marks(graph: TrainingGraph) -> Iterator[str]:
    training = _training(graph)
    made = [pair for op in training for pair in _made_marks(op)]
    marks = {id(tensor): mark for tensor, mark in made}
    for op in training:
        if isinstance(op.params, abi.FinishParams):
            if sorted(mark for _, mark in made) != list(range(op.params.marks)):
                yield f"of {op.params.marks} marks {sorted(mark for _, mark in made)} are set"
        elif op.params != _with_marks(op, lambda t: marks.get(id(t), abi.NO_MARK)):
            yield f"{op.name} of {op.output.name!r} looks for other marks"


MARKED = Property("a mark is set by what makes its tensor, and asked by its readers", _wrong_marks)
MARK_STEP = Pass(
    "mark_step", mark_step, requires=(UPDATED, SLOTS_NUMBERED, IN_ORDER), ensures=(MARKED,)
)


def _training(graph: TrainingGraph) -> list[TrainOp]:
    return [op for op in ops_of(graph) if isinstance(op, TrainOp)]


def _made_marks(op: TrainOp) -> Iterator[tuple[Tensor, int]]:
    """The marks that an op sets, with their tensors."""
    slot = slot_out(op)
    if slot is not None:
        yield op.output, slot
    elif isinstance(op.params, _WEIGHT_UPDATES):
        yield op.output, op.params.update.mark_out
    elif isinstance(op.params, _OTHERS):
        yield op.output, op.params.mark_out
    elif isinstance(op.params, abi.StreamParams):
        for stage in op.params.stages:
            if stage.mask_output != 0:
                yield op.outputs[stage.mask_output], stage.mask_mark
            if stage.kept_list != 0:
                yield op.outputs[stage.kept_output], stage.kept_mark


def _with_marks(op: TrainOp, mark_of: Callable[[Tensor | None], int]) -> abi.OpParams:
    params = op.params
    if isinstance(params, abi.ClampMaskParams | abi.BiasUpdateParams):
        return dataclasses.replace(params, mark_out=mark_of(op.output))
    if isinstance(params, abi.ChannelSaveParams):
        return dataclasses.replace(params, mark_in=mark_of(op.input), mark_out=mark_of(op.output))
    if isinstance(params, _WEIGHT_UPDATES):
        inputs = params.inputs_of(op)
        fields = dataclasses.replace(
            params.update,
            mark_x=mark_of(inputs.x),
            mark_grad=mark_of(inputs.gradient),
            mark_after=mark_of(inputs.after),
            mark_out=mark_of(op.output),
        )
        return dataclasses.replace(params, update=fields)
    mask: abi.MaskFields | None = getattr(params, "mask", None)
    if mask is None:
        return params
    tensor = next(iter(params.inputs_of(op).having(Role.MASK)), None)
    mask = dataclasses.replace(mask, mark=mark_of(tensor))
    return dataclasses.replace(params, mask=mask)  # type: ignore[call-arg]
