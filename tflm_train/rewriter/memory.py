"""The activation arena as TFLM's own planner will lay it out.

A twin of TFLM's `AllocationInfoBuilder` and `GreedyMemoryPlanner`: tensors and scratch buffers,
each with the range of operators during which it lives, placed largest first at the lowest offset
where they fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tflm_train.model import Graph

ALIGNMENT = 16
_NEVER = -1


@dataclass(frozen=True)
class Buffer:
    """Something the planner places.

    Attributes:
      name: The tensor, or the op whose scratch it is.
      size: Bytes, aligned to 16.
      first: The first operator (from 1; 0 is before the first) that needs it.
      last: The last one.
      offset: Where it was placed.
    """

    name: str
    size: int
    first: int
    last: int
    offset: int = 0


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

    def peak_time(self) -> int:
        """The operator (from 1) during which most bytes live."""
        times = range(max((b.last for b in self.buffers), default=0) + 1)
        return max(times, key=lambda t: sum(b.size for b in self.live_at(t)))


def plan_arena(graph: Graph, scratch: Mapping[int, list[int]]) -> ArenaPlan:
    """Plans the activation arena of a graph.

    Args:
      graph: The graph, its ops in execution order.
      scratch: Sizes of the scratch buffers each op asks for, by the op's index.

    Returns:
      The plan.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for tensor in graph.inputs:
        first.setdefault(id(tensor), 0)
        last[id(tensor)] = 0
    for time, op in enumerate(graph.ops, start=1):
        for tensor in op.outputs:
            first.setdefault(id(tensor), time)
        for used in [*op.inputs, *op.outputs]:
            if used is not None:
                last[id(used)] = time
    for tensor in graph.outputs:
        first.setdefault(id(tensor), len(graph.ops))
        last[id(tensor)] = len(graph.ops)
    buffers = [
        Buffer(t.name, _align(t.nbytes), first.get(id(t), _NEVER), last.get(id(t), _NEVER))
        for t in graph.tensors
        if t.data is None and not t.is_variable and t.nbytes > 0
    ]
    for index, op in enumerate(graph.ops):
        for size in scratch.get(index, []):
            buffers.append(Buffer(f"scratch of {op.name}", _align(size), index + 1, index + 1))
    placed = _place(buffers)
    return ArenaPlan(placed, max((b.offset + b.size for b in placed), default=0))


def _place(buffers: list[Buffer]) -> tuple[Buffer, ...]:
    # TFLM fills its list from the tail and then sorts stably: of equal sizes the later comes first.
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, -i))
    placed: list[Buffer] = []
    result = list(buffers)
    for index in order:
        wanted = buffers[index]
        offset = 0
        for other in placed:
            if other.first <= wanted.last and wanted.first <= other.last:
                if other.offset - offset >= wanted.size:
                    break
                offset = max(offset, other.offset + other.size)
        done = Buffer(wanted.name, wanted.size, wanted.first, wanted.last, offset)
        result[index] = done
        position = next((i for i, o in enumerate(placed) if o.offset > offset), len(placed))
        placed.insert(position, done)
    return tuple(result)


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
