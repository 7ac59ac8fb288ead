"""Numbers what a training step makes, so that the kernels notice a wrong order.

Each gradient, mask, copy of channels and token has a mark: a bit in `train/control`, which RESTORE
clears. An op sets the mark of what it writes, and fails where that of something it reads is not
set. A gradient's mark is its slot; the others follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tflm_train.model import Op, Tensor
from tflm_train.ops import MARKS_PER_WORD, NO_MARK, STATE_WORDS, Finish
from tflm_train.ops.fields import field_of, number_of, with_field
from tflm_train.ops.tensors import Tensors
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp


def mark_step(graph: TrainingGraph, ops: Sequence[Op]) -> None:
    """Gives all ops the marks of what they read and write.

    Args:
      graph: Its control tensor gets a bit for each mark.
      ops: All of the model; parameters of ours change.
    """
    training = [op for op in ops if isinstance(op, TrainOp)]
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
        for tensors in (op.params.inputs_of(op), op.params.outputs_of(op)):
            for tensor, name in _marked(op, tensors):
                if _is_mark(op, name):
                    op.params = with_field(op.params, name, marks.get(id(tensor), NO_MARK))
        if isinstance(op.params, Finish):
            op.params = Finish(len(marks))
    words = -(-len(marks) // MARKS_PER_WORD)
    graph.control.shape = (STATE_WORDS + words,)


def _marked(op: TrainOp, tensors: Tensors) -> Iterator[tuple[Tensor, str]]:
    """The tensors that a step makes, each with the field that has its mark."""
    for slot, tensor in tensors.beside_slots():
        if slot.spec.mark:
            yield tensor, slot.spec.mark


def _is_mark(op: TrainOp, name: str) -> bool:
    """Whether a field is a mark of its own, and not a gradient's slot."""
    return number_of(type(op.params), name).low == "NO_MARK"
