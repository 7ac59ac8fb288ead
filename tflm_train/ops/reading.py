"""Reading the ops of a file that are ours."""

from __future__ import annotations

from tflm_train.errors import ModelError
from tflm_train.graph import TRAINING_OP_PREFIX, Graph, Op
from tflm_train.ops.training import Params, unpack


def is_ours(op: Op) -> bool:
    """Whether an op is a training op or a STREAM."""
    return op.is_custom and op.name.startswith(TRAINING_OP_PREFIX)


def read_params(op: Op, graph: Graph, name: str) -> Params:
    """The parameters of one of our ops.

    Args:
      op: The op.
      graph: Where it is.
      name: The file's name, for the message.

    Raises:
      ModelError: They are damaged.
    """
    try:
        return unpack(op.custom_options or b"", op.name)
    except ValueError as error:
        raise ModelError(
            f"{name}: op {graph.index(op)} ({op.name}): {error}; rewrite the original model again"
        ) from error
