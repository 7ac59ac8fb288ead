"""The activation arena as TFLM's own planner will lay it out.

A twin of TFLM's `AllocationInfoBuilder` and `GreedyMemoryPlanner`: tensors and scratch buffers,
each with the range of operators during which it lives, placed largest first at the lowest offset
where they fit. Tensors that the model itself pins come before all others and may lie on each other.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tflm_train.graph import TRAINING_OP_PREFIX, Graph, Tensor
from tflm_train.graph.liveness import Liveness
from tflm_train.ops.target import align

ALIGNMENT = 16
_NEVER = -1


class BufferKind(enum.StrEnum):
    """What a planned buffer is for."""

    TENSOR = "tensor"
    SCRATCH = "scratch"


@dataclass(frozen=True)
class Buffer:
    """Something the planner places.

    Attributes:
      name: The tensor, or the op whose scratch it is.
      size: Bytes, aligned to 16.
      first: The first operator (from 1; 0 is before the first) that needs it.
      last: The last one.
      kind: Tensor or scratch.
      offset: Where it was placed.
      is_pinned: Whether the model says where.
      tensor: The tensor; None for scratch. Names need not be unique.
    """

    name: str
    size: int
    first: int
    last: int
    kind: BufferKind = BufferKind.TENSOR
    offset: int = 0
    is_pinned: bool = False
    tensor: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.offset + self.size


@dataclass(frozen=True)
class ArenaPlan:
    """The planned part of the arena.

    Attributes:
      buffers: All buffers, placed.
      bytes: Its size.
    """

    buffers: tuple[Buffer, ...]
    bytes: int

    def live_at(self, time: int) -> list[Buffer]:
        """The buffers alive while operator `time` (from 1) runs, largest first."""
        alive = (b for b in self.buffers if b.first <= time <= b.last)
        return sorted(alive, key=lambda b: -b.size)

    def live_bytes(self) -> list[int]:
        """Bytes alive at each operator, index 0 before the first; shared bytes count once."""
        totals = [0] * (max((b.last for b in self.buffers), default=0) + 1)
        for buffer in self.buffers:
            for time in range(max(buffer.first, 0), buffer.last + 1):
                totals[time] += buffer.size
        pinned = [b for b in self.buffers if b.is_pinned]
        for time in {t for b in pinned for t in range(max(b.first, 0), b.last + 1)}:
            totals[time] -= _shared_bytes([b for b in pinned if b.first <= time <= b.last])
        return totals

    def heights(self) -> list[int]:
        """How far the arena is in use at each operator, index 0 before the first."""
        heights = [0] * (max((b.last for b in self.buffers), default=0) + 1)
        for buffer in self.buffers:
            for time in range(max(buffer.first, 0), buffer.last + 1):
                heights[time] = max(heights[time], buffer.end)
        return heights

    def peak_time(self) -> int:
        """The operator (from 1) during which most bytes live."""
        totals = self.live_bytes()
        return totals.index(max(totals))


def is_planned(tensor: Tensor, pinned: Mapping[int, int]) -> bool:
    """Whether a tensor lies in the planned part of the arena.

    Constants stay in flash; variables have memory of their own, unless the model itself pins them.
    """
    is_here = not tensor.is_variable or id(tensor) in pinned
    return is_here and tensor.data is None and tensor.nbytes > 0


def plan_arena(
    graph: Graph, scratch: Mapping[int, Sequence[int]], pinned: Mapping[int, int] | None = None
) -> ArenaPlan:
    """Plans the activation arena of a graph.

    Args:
      graph: The graph, its ops in execution order.
      scratch: Sizes of the scratch buffers each op asks for, by the op's index.
      pinned: Offsets of the tensors that the model places itself, by the tensor's id.

    Returns:
      The plan.
    """
    liveness = Liveness(graph.ops, graph.inputs, graph.outputs)
    offsets = {} if pinned is None else pinned
    buffers = [
        Buffer(
            t.name,
            align(t.nbytes, ALIGNMENT),
            *_times(t, liveness),
            offset=offsets.get(id(t), 0),
            is_pinned=id(t) in offsets,
            tensor=t,
        )
        for t in graph.tensors
        if is_planned(t, offsets)
    ]
    for index, op in enumerate(graph.ops):
        time = index + 1
        for size in scratch.get(index, []):
            name = f"scratch of {op.name.removeprefix(TRAINING_OP_PREFIX)}"
            buffers.append(Buffer(name, align(size, ALIGNMENT), time, time, BufferKind.SCRATCH))
    placed = _place(buffers)
    return ArenaPlan(placed, max((b.end for b in placed), default=0))


def _times(tensor: Tensor, liveness: Liveness) -> tuple[int, int]:
    """First and last operator as TFLM counts: from 1, and outputs end with the last operator."""
    first, last = liveness.first(tensor), liveness.last(tensor)
    if last is None:
        return _NEVER, _NEVER
    if first is None:
        # An output that nothing writes appears at the end, anything else never.
        first = liveness.end - 1 if last == liveness.end else _NEVER - 1
    return first + 1, min(last + 1, liveness.end)


def _shared_bytes(buffers: list[Buffer]) -> int:
    """By how much the sizes of buffers exceed what they cover together."""
    covered, end = 0, 0
    for buffer in sorted(buffers, key=lambda b: b.offset):
        covered += max(0, buffer.end - max(end, buffer.offset))
        end = max(end, buffer.end)
    return sum(b.size for b in buffers) - covered


def _place(buffers: list[Buffer]) -> tuple[Buffer, ...]:
    # TFLM fills its list from the tail and then sorts stably: of equal sizes the later comes first.
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, -i))
    placed = sorted((b for b in buffers if b.is_pinned), key=lambda b: b.offset)
    result = list(buffers)
    for index in order:
        wanted = buffers[index]
        if wanted.is_pinned:
            continue
        offset = 0
        for other in placed:
            if other.first <= wanted.last and wanted.first <= other.last:
                if other.offset - offset >= wanted.size:
                    break
                offset = max(offset, other.end)
        done = replace(wanted, offset=offset)
        result[index] = done
        position = next((i for i, o in enumerate(placed) if o.offset > offset), len(placed))
        placed.insert(position, done)
    return tuple(result)
