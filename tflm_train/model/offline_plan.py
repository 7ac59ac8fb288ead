"""The part of the arena's plan that a model brings along: metadata `OfflineMemoryAllocation`.

TFLM puts the tensors named there at the given offsets, whatever else lives there at the same time,
and plans all others around them. Layout: three words (version, subgraph, number of tensors) and one
int32 offset for each tensor of every subgraph, -1 where TFLM shall find the place.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tflm_train.model.model import Model

METADATA_NAME = "OfflineMemoryAllocation"
_HEADER_WORDS = 3
_ONLINE = -1


def read_offsets(model: Model) -> dict[int, int]:
    """The offsets of the primary subgraph's pinned tensors.

    Args:
      model: Any model.

    Returns:
      Offsets in bytes by the tensor's id; empty when the model brings no plan, or one that is not
      of its tensors (TFLM refuses such a model).
    """
    data = model.metadata(METADATA_NAME)
    if data is None or len(data) % 4 != 0:
        return {}
    words = np.frombuffer(data, "<i4")
    if words.size != _HEADER_WORDS + sum(model.tensor_counts):
        return {}
    offsets = words[_HEADER_WORDS : _HEADER_WORDS + len(model.graph.tensors)]
    pairs = zip(model.graph.tensors, offsets.tolist(), strict=True)
    return {id(tensor): int(offset) for tensor, offset in pairs if offset != _ONLINE}


def pinned_tensors(*models: bytes) -> int:
    """How many tensors such files give fixed places."""
    return sum(len(read_offsets(Model(data))) for data in models)


def write_offsets(model: Model, offsets: Mapping[int, int]) -> None:
    """Pins tensors of the primary subgraph; call it when no tensor is added or removed any more.

    Args:
      model: Changed in place.
      offsets: Offsets in bytes by the tensor's id; none: TFLM plans everything.
    """
    model.drop_metadata(METADATA_NAME)
    if not offsets:
        return
    count = sum(model.tensor_counts)
    words = np.full(_HEADER_WORDS + count, _ONLINE, "<i4")
    words[:_HEADER_WORDS] = (1, 0, count)
    for index, tensor in enumerate(model.graph.tensors):
        words[_HEADER_WORDS + index] = offsets.get(id(tensor), _ONLINE)
    model.set_metadata(METADATA_NAME, words.tobytes())
