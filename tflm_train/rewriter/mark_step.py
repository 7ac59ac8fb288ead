"""Numbers what a training step makes, so that the kernels notice a wrong order.

Each gradient, mask, copy of channels and token has a mark: a bit in `train/control`, which RESTORE
clears. An op sets the mark of what it writes, and fails where that of something it reads is not
set. A gradient's mark is its slot; the others follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tflm_train.model import Tensor
from tflm_train.ops import MARKS_PER_WORD, NO_MARK, Finish, Params, Stream
from tflm_train.ops.contract import LIVE_WORDS
from tflm_train.ops.fields import field_of, number_of, with_field
from tflm_train.ops.tensors import Tensors
from tflm_train.rewriter.passes import Pass, Property
from tflm_train.rewriter.properties import IN_ORDER, SLOTS_NUMBERED, UPDATED, ops_of
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp


def mark_step(graph: TrainingGraph) -> None:
    """Gives all ops the marks of what they read and write, and packs their parameters.

    Args:
      graph: Its ops in order, none of them a STREAM; the control tensor gets a bit for each mark.
    """
    training = _training(graph)
    marks: dict[int, int] = {}
    for op in training:
        for tensor, name in _marked(op, op.params.outputs_of(op)):
            if not _is_mark(op, name):
                marks[id(tensor)] = field_of(op.params, name)
    for op in training:
        for tensor, name in _marked(op, op.params.outputs_of(op)):
            if _is_mark(op, name):
                marks[id(tensor)] = len(marks)
    for op in training:
        if isinstance(op.params, Finish):
            op.params = Finish(len(marks))
        op.params = _with_marks(op, marks)
        op.custom_options = op.params.pack()
    words = -(-len(marks) // MARKS_PER_WORD)
    graph.control.shape = (LIVE_WORDS + words,)


def _wrong_marks(graph: TrainingGraph) -> Iterator[str]:
    training = _training(graph)
    made = [pair for op in training for pair in _made_marks(op)]
    marks = {id(tensor): mark for tensor, mark in made}
    for op in training:
        if isinstance(op.params, Finish):
            if sorted(mark for _, mark in made) != list(range(op.params.marks)):
                yield f"of {op.params.marks} marks {sorted(mark for _, mark in made)} are set"
        elif op.params != _with_marks(op, marks):
            yield f"{op.name} of {op.output.name!r} looks for other marks"


MARKED = Property("a mark is set by what makes its tensor, and asked by its readers", _wrong_marks)
MARK_STEP = Pass(
    "mark_step", mark_step, requires=(UPDATED, SLOTS_NUMBERED, IN_ORDER), ensures=(MARKED,)
)


def _training(graph: TrainingGraph) -> list[TrainOp]:
    return [op for op in ops_of(graph) if isinstance(op, TrainOp)]


def _made_marks(op: TrainOp) -> Iterator[tuple[Tensor, int]]:
    """The marks that an op sets, with their tensors."""
    if isinstance(op.params, Stream):
        for stage in op.params.stages:
            if stage.mask_output != 0:
                yield op.outputs[stage.mask_output], stage.mask_mark
            if stage.kept_list != 0:
                yield op.outputs[stage.kept_output], stage.kept_mark
    for tensor, name in _marked(op, op.params.outputs_of(op)):
        yield tensor, field_of(op.params, name)


def _with_marks(op: TrainOp, marks: Mapping[int, int]) -> Params:
    params = op.params
    for tensors in (params.inputs_of(op), params.outputs_of(op)):
        for tensor, name in _marked(op, tensors):
            if _is_mark(op, name):
                params = with_field(params, name, marks.get(id(tensor), NO_MARK))
    return params


def _marked(op: TrainOp, tensors: Tensors) -> Iterator[tuple[Tensor, str]]:
    """The tensors that a step makes, each with the field that has its mark."""
    for slot, tensor in tensors.beside_slots():
        if slot.spec.mark and not slot.is_run:
            yield tensor, slot.spec.mark


def _is_mark(op: TrainOp, name: str) -> bool:
    """Whether a field is a mark of its own, and not a gradient's slot."""
    return number_of(type(op.params), name).low == "NO_MARK"
