"""What becomes of the frozen operators when the forward layers are streamed."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from tflm_train.errors import UnsupportedError
from tflm_train.model import Graph, Op, Tensor
from tflm_train.ops.builtin import builtin_of
from tflm_train.rewriter.emit_stream import make_gate
from tflm_train.rewriter.stream import can_stream
from tflm_train.rewriter.training_graph import FrozenPart, TrainOp


class NoFormError(UnsupportedError):
    """A frozen operator can not be left out of a step.

    Attributes:
      op: The operator.
    """

    def __init__(self, op: Op) -> None:
        """Names the operator; the caller knows where it is."""
        super().__init__(f"{op.name} of {op.output.short_name!r} has no form that can be left out")
        self.op = op


class Fate(enum.Enum):
    """What becomes of a frozen op."""

    STREAMS = enum.auto()
    MAY_STREAM = enum.auto()
    STAYS = enum.auto()


def fates(frozen: FrozenPart | None, leniently: bool = False) -> Mapping[int, Fate]:
    """What becomes of the frozen ops.

    Args:
      frozen: The ops; None for none.
      leniently: Whether ops may run for nothing although a STREAM might take them in: branches may
        be joined in a way that no STREAM does.

    Returns:
      By the id of each op.
    """
    if frozen is None:
        return {}
    if frozen.source is None:
        return dict.fromkeys(frozen.ops, Fate.STAYS)
    found = {}
    for key, op in frozen.ops.items():
        may_stay = _is_light(op) and (leniently or not can_stream(op))
        found[key] = Fate.MAY_STREAM if may_stay else Fate.STREAMS
    return found


def copy_latent(graph: Graph, op: Op, frozen: FrozenPart | None) -> list[TrainOp]:
    """Lets an op that always runs, a pooling for example, make what a STREAM copies.

    Args:
      graph: Gets the tensor between them.
      op: Changed where it makes the latent.
      frozen: Whose latent; None where there is none.

    Returns:
      The STREAM; empty where the op does not make the latent.
    """
    if frozen is None or frozen.source is None or frozen.latent not in op.outputs:
        return []
    latent = frozen.latent
    made = graph.add(Tensor(latent.name, latent.shape, latent.type_code, latent.quantization))
    op.outputs = [made if tensor is latent else tensor for tensor in op.outputs]
    return [make_gate(graph, made, latent, frozen.source)]


def _is_light(op: Op) -> bool:
    """Whether a frozen op that cannot be left out may run for nothing: it costs little."""
    row = builtin_of(op)
    if row is None or row.memory is None:
        return False  # nothing is known of it
    return row.layer is None and not row.is_heavy
