"""What an NPU works on lies where its commands expect it, also in a model that trains.

Vela has planned the arena for inference: a call of the NPU may write over anything that no later
operator of the model reads. Training reads some tensors once more (a layer's input, when its
weights are updated). Where a later call, or another tensor with a place of its own, would have
written over such a tensor by then, the rewrite is refused: neither can be moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tflm_train.errors import UnsupportedError
from tflm_train.graph import Graph, Op, Tensor
from tflm_train.graph.liveness import BEFORE, Liveness
from tflm_train.model.offline_plan import npu_places
from tflm_train.ops.npu import ETHOS_U, without_work_memory


class NpuMemory:
    """Which tensors outlive which operators, as the compiler of the NPU's commands knew it."""

    def __init__(self, graph: Graph) -> None:
        """Notes it.

        Args:
          graph: Of the model as it was compiled; its operators may become others later, but those
            of the NPU and their tensors stay the same objects.
        """
        self._placed = _placed_tensors(graph)
        pairs = _outlived(graph, self._placed)
        self._known = {(id(op), id(tensor)) for op, tensor in pairs}
        self._calls = {id(op) for op in graph.ops if ETHOS_U.is_kind_of(op)}

    def require_kept(self, graph: Graph, name: str) -> None:
        """Sees that nothing is written over that is still needed.

        Args:
          graph: What became of it, in execution order.
          name: The model's, for messages.

        Raises:
          UnsupportedError: Something is.
        """
        for op, tensor in _outlived(graph, self._placed):
            if (id(op), id(tensor)) not in self._known and self._writes_over(op, tensor):
                raise UnsupportedError(
                    f"{name}: training needs {tensor.name!r} after {op.name} "
                    f"({op.output.short_name!r}) has written over it: in the memory plan of the "
                    f"{ETHOS_U.name} operators it is done with by then; train only layers behind "
                    f"that operator, or rewrite the model as it was before Vela"
                )

    def _writes_over(self, op: Op, tensor: Tensor) -> bool:
        """Whether an operator may write where a tensor lies; a call of the NPU writes anywhere."""
        return id(op) in self._calls or any(_overlap(output, tensor) for output in op.outputs)


def _placed_tensors(graph: Graph) -> list[Tensor]:
    """The activations with places, without what the NPU works in."""
    places = npu_places(graph)
    work = {
        id(t)
        for op in graph.ops
        if ETHOS_U.is_kind_of(op)
        for t in {*op.inputs} - {*without_work_memory(op)}
    }
    tensors = [*graph.walk_tensors()]
    return [t for t in tensors if id(t) in places and id(t) not in work and t.data is None]


def _outlived(graph: Graph, tensors: Sequence[Tensor]) -> Iterator[tuple[Op, Tensor]]:
    """The operators that run while a tensor waits for a later one, each with the tensor."""
    liveness = Liveness(graph.ops, graph.inputs, graph.outputs)
    for tensor in tensors:
        first, last = liveness.first(tensor), liveness.last(tensor)
        start = (BEFORE if first is None else first) + 1
        for op in graph.ops[start : 0 if last is None else last]:
            yield op, tensor


def _overlap(one: Tensor, other: Tensor) -> bool:
    if one is other or one.place is None or other.place is None:
        return False
    return one.place < other.place + other.nbytes and other.place < one.place + one.nbytes
