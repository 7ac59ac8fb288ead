"""Sums of gradients of one tensor."""

from __future__ import annotations

from collections.abc import Sequence

from tflm_train import ops
from tflm_train.backward_ops.rule import Gradient, MaskInput
from tflm_train.model import Tensor
from tflm_train.ops.constants import MAX_ACCUMULATE_INPUTS
from tflm_train.rewriter.training_graph import TrainingGraph


def add_gradients(
    graph: TrainingGraph,
    tensor: Tensor,
    parts: Sequence[Gradient],
    mask: MaskInput = MaskInput(),  # noqa: B008 - frozen
) -> Gradient:
    """Adds gradients up, as many at a time as an op takes.

    Args:
      graph: Gets the ops.
      tensor: Whose gradients they are.
      parts: The gradients.
      mask: What the sum is written through.
    """
    while len(parts) > MAX_ACCUMULATE_INPUTS:
        first = _accumulate(graph, tensor, parts[:MAX_ACCUMULATE_INPUTS], MaskInput())
        parts = [first, *parts[MAX_ACCUMULATE_INPUTS:]]
    return _accumulate(graph, tensor, parts, mask)


def _accumulate(
    graph: TrainingGraph, tensor: Tensor, parts: Sequence[Gradient], mask: MaskInput
) -> Gradient:
    gradient = graph.new_gradient(tensor)
    slots = (*(p.slot for p in parts), *[-1] * (MAX_ACCUMULATE_INPUTS - len(parts)))
    params = ops.Accumulate(tensor.size, mask.fields, len(parts), slots, gradient.slot)
    inputs = ops.AccumulateInputs(
        gradients=tuple(part.tensor for part in parts),
        mask=mask.tensor,
        scales=graph.scales,
        state=graph.control,
    )
    graph.emit(params, inputs, ops.GradientOutputs(gradient=gradient.tensor))
    return gradient
