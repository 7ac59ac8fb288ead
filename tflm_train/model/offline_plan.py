"""The part of the arena's plan that a model brings along: metadata `OfflineMemoryAllocation`.

TFLM puts the tensors named there at the given offsets, whatever else lives there at the same time,
and plans all others around them. Layout: three words (version, subgraph, number of tensors) and one
int32 offset for each tensor of every subgraph, -1 where TFLM shall find the place.

To most models such a plan is advice, which may go. The commands of an NPU have the addresses of
what they read and write in them, so that part of a plan stays with the tensors (`Tensor.place`) and
is in every file that is written of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tflm_train.graph import Graph
from tflm_train.ops.npu import ETHOS_U

if TYPE_CHECKING:
    from tflm_train.model.model import Model

METADATA_NAME = "OfflineMemoryAllocation"
_HEADER_WORDS = 3
_ONLINE = -1


def read_offsets(model: Model) -> dict[int, int]:
    """The offsets of the primary subgraph's pinned tensors.

    Args:
      model: Any model.

    Returns:
      Offsets in bytes by the tensor's id. Where the model brings no plan, or one that is not of its
      tensors (TFLM refuses such a model), those that an NPU expects.
    """
    words = _plan_of(model)
    if words is None:
        return npu_places(model.graph)
    pairs = zip(model.graph.tensors, words[: len(model.graph.tensors)].tolist(), strict=True)
    return {id(tensor): int(offset) for tensor, offset in pairs if offset != _ONLINE}


def pinned_tensors(*models: Model) -> int:
    """How many tensors such models give fixed places, beside those that an NPU expects there."""
    return sum(len(read_offsets(model).keys() - npu_places(model.graph)) for model in models)


def write_offsets(model: Model, offsets: Mapping[int, int]) -> None:
    """Pins tensors of the primary subgraph; call it when no tensor is added or removed any more.

    Args:
      model: Changed in place. What an NPU expects at a place stays there in any case.
      offsets: Offsets in bytes by the tensor's id; none: TFLM plans everything.
    """
    model.drop_metadata(METADATA_NAME)
    pinned = {**offsets, **npu_places(model.graph)}
    if pinned:
        model.set_metadata(METADATA_NAME, _packed(model, pinned))


def npu_places(graph: Graph) -> dict[int, int]:
    """The offsets in bytes at which the commands of an NPU expect tensors, by the tensor's id."""
    calls = (op for op in graph.ops if ETHOS_U.is_kind_of(op))
    operands = (t for op in calls for t in [*op.inputs, *op.outputs] if t is not None)
    return {id(tensor): tensor.place for tensor in operands if tensor.place is not None}


def take_places(model: Model) -> None:
    """Notes with its tensors where a file says that an NPU expects them."""
    offsets = read_offsets(model)
    for op in filter(ETHOS_U.is_kind_of, model.graph.ops):
        for tensor in [*op.inputs, *op.outputs]:
            if tensor is not None:
                tensor.place = offsets.get(id(tensor))


def missing_plan(model: Model) -> bytes | None:
    """The plan that a model needs and does not bring: what an NPU expects; None: nothing lacks."""
    places = npu_places(model.graph)
    return _packed(model, places) if places and _plan_of(model) is None else None


def _plan_of(model: Model) -> npt.NDArray[np.int32] | None:
    """The words of a model's plan behind the header; None where it has none of its tensors."""
    data = model.metadata(METADATA_NAME)
    if data is None or len(data) % 4 != 0:
        return None
    words = np.frombuffer(data, "<i4")
    fits = words.size == _HEADER_WORDS + sum(model.tensor_counts)
    return words[_HEADER_WORDS:] if fits else None


def _packed(model: Model, offsets: Mapping[int, int]) -> bytes:
    count = sum(model.tensor_counts)
    words = np.full(_HEADER_WORDS + count, _ONLINE, "<i4")
    words[:_HEADER_WORDS] = (1, 0, count)
    for index, tensor in enumerate(model.graph.tensors):
        words[_HEADER_WORDS + index] = offsets.get(id(tensor), _ONLINE)
    return words.tobytes()
