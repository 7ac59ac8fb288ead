"""The activation arena as TFLM's own planner will lay it out.

A twin of TFLM's `AllocationInfoBuilder` and `GreedyMemoryPlanner`: tensors and scratch buffers,
each with the range of operators during which it lives, placed largest first at the lowest offset
where they fit.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tflm_train.memory.target import align
from tflm_train.model import Graph

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
    """

    name: str
    size: int
    first: int
    last: int
    kind: BufferKind = BufferKind.TENSOR
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

    def live_bytes(self) -> list[int]:
        """Bytes alive at each operator, index 0 before the first."""
        totals = [0] * (max((b.last for b in self.buffers), default=0) + 1)
        for buffer in self.buffers:
            for time in range(max(buffer.first, 0), buffer.last + 1):
                totals[time] += buffer.size
        return totals

    def peak_time(self) -> int:
        """The operator (from 1) during which most bytes live."""
        totals = self.live_bytes()
        return totals.index(max(totals))


def plan_arena(graph: Graph, scratch: Mapping[int, Sequence[int]]) -> ArenaPlan:
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
        Buffer(
            t.name,
            align(t.nbytes, ALIGNMENT),
            first.get(id(t), _NEVER),
            last.get(id(t), _NEVER),
        )
        for t in graph.tensors
        if t.data is None and not t.is_variable and t.nbytes > 0
    ]
    for index, op in enumerate(graph.ops):
        time = index + 1
        for size in scratch.get(index, []):
            name = f"scratch of {op.name}"
            buffers.append(Buffer(name, align(size, ALIGNMENT), time, time, BufferKind.SCRATCH))
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
        done = replace(wanted, offset=offset)
        result[index] = done
        position = next((i for i, o in enumerate(placed) if o.offset > offset), len(placed))
        placed.insert(position, done)
    return tuple(result)
