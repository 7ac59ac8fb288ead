"""What a model ends in: the operators behind the logits that a loss takes in."""

from __future__ import annotations

from collections.abc import Iterator

from tflm_train.graph import Graph, Op, Tensor
from tflm_train.ops.builtin import builtin_of


def ending_of(graph: Graph, output: Tensor) -> Iterator[Op]:
    """Walks from an output back over what may stand between the logits and it.

    These are the activations that a loss includes, what writes the same numbers in another type,
    scale or shape, and the choice of the largest.

    Args:
      graph: The model's.
      output: One of its outputs.

    Yields:
      The operators, the last one first.
    """
    tensor = output
    while (op := graph.producer(tensor)) is not None:
        row = builtin_of(op)
        if row is None or not row.may_end:
            return
        yield op
        tensor = op.input
