"""The ops of a file that were written by a rewrite, and refusing those of another version."""

from __future__ import annotations

from tflm_train.errors import ModelError
from tflm_train.graph import TRAINING_OP_PREFIX, Graph, Op
from tflm_train.ops.declaration import HEADER, VERSION
from tflm_train.ops.training import Params, unpack


def is_ours(op: Op) -> bool:
    """Whether an op is a training op or a STREAM."""
    return op.is_custom and op.name.startswith(TRAINING_OP_PREFIX)


def require_this_version(graph: Graph, name: str) -> None:
    """Refuses a model that another version of this package rewrote or optimized.

    Args:
      graph: The model's primary subgraph.
      name: The file's name, for the message.

    Raises:
      ModelError: The first of its ops that is ours has parameters of another version.
    """
    ours = next((op for op in graph.ops if is_ours(op)), None)
    data = b"" if ours is None else ours.custom_options or b""
    if len(data) < HEADER.size:
        return  # It has no op of ours, or a damaged one, of which reading it tells more.
    _, version, _ = HEADER.unpack_from(data)
    if version != VERSION:
        raise ModelError(
            f"{name}: made by another version of tflm_train (its ops have format {version}, this "
            f"version's {VERSION}); rewrite or optimize the original model again"
        )


def read_params(op: Op, graph: Graph, name: str) -> Params:
    """The parameters of one of our ops.

    Args:
      op: The op.
      graph: Where it is.
      name: The file's name, for the message.

    Raises:
      ModelError: They are damaged, or another version's.
    """
    try:
        return unpack(op.custom_options or b"", op.name)
    except ValueError as error:
        raise ModelError(
            f"{name}: op {graph.index(op)} ({op.name}): {error}; rewrite the original model again"
        ) from error
