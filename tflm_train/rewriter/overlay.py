"""Lets STREAMs write their output over the used rows of their input.

TFLM's planner knows no such sharing, so the two tensors are pinned by the model's
`OfflineMemoryAllocation` metadata, and it plans all others around them. Only those pairs are pinned
that make the arena smaller; the plan is the planner's own, run here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tflm_train.graph.liveness import Liveness
from tflm_train.memory import KernelSet
from tflm_train.memory.planner import ALIGNMENT, ArenaPlan, Buffer, plan_arena
from tflm_train.memory.structures import persistent_part
from tflm_train.model import Graph, Model, Tensor
from tflm_train.model.offline_plan import npu_places, write_offsets
from tflm_train.ops.target import CORTEX_M, align
from tflm_train.rewriter.stream import Run

_Offsets = dict[int, int]


@dataclass(frozen=True)
class _Pair:
    """A STREAM's input and output, which may share memory.

    Attributes:
      time: The op (from 1, as the planner counts).
      x: The input, which nothing reads after the op.
      y: The output.
      lead: The output begins at least that much before the input.
    """

    time: int
    x: Tensor
    y: Tensor
    lead: int


def overlay_streams(model: Model, runs: Mapping[int, Run], kernels: KernelSet) -> None:
    """Pins inputs and outputs of STREAMs where that makes the arena smaller.

    Args:
      model: Its tensors and ops are final; the metadata is written.
      runs: What each STREAM was made of, by the id of its output.
      kernels: What runs the builtin ops.
    """
    graph = model.graph
    if npu_places(graph):
        write_offsets(model, {})  # What an NPU works on cannot make way.
        return
    scratch = persistent_part(model, kernels, CORTEX_M).scratch
    pairs = list(_find_pairs(graph, runs))
    offsets: _Offsets = {}
    plan = plan_arena(graph, scratch)
    while True:
        full = {time for time, height in enumerate(plan.heights()) if height == plan.bytes}
        trials = [
            (plan_arena(graph, scratch, pinned), pinned)
            for pair in pairs
            if pair.time in full
            for pinned in _pin(pair, offsets, plan)
        ]
        allowed = [trial for trial in trials if _is_sound(trial[0], pairs)]
        best = min(allowed, key=lambda trial: trial[0].bytes, default=None)
        if best is None or best[0].bytes >= plan.bytes:
            break
        plan, offsets = best
    write_offsets(model, offsets)


def _find_pairs(graph: Graph, runs: Mapping[int, Run]) -> Iterator[_Pair]:
    liveness = Liveness(graph.ops, graph.inputs, graph.outputs)
    for time, op in enumerate(graph.ops):
        run = runs.get(id(op.output)) if op.outputs else None
        if run is None or run.source.is_variable or run.output.is_variable:
            continue
        if liveness.is_needed(run.source, time + 1):
            continue
        yield _Pair(time + 1, run.source, op.output, align(run.lead, ALIGNMENT))


def _pin(pair: _Pair, offsets: _Offsets, plan: ArenaPlan) -> Iterator[_Offsets]:
    """Ways of pinning a pair beside what is pinned already."""
    x, y = offsets.get(id(pair.x)), offsets.get(id(pair.y))
    if x is not None and y is not None:
        return
    if x is not None:
        # All that is pinned moves up where the output would begin before the arena.
        up = max(0, pair.lead - x)
        moved = {key: offset + up for key, offset in offsets.items()}
        yield moved | {id(pair.y): x + up - pair.lead}
    elif y is not None:
        yield offsets | {id(pair.x): y + pair.lead}
    else:
        for base in sorted({0, *(b.end for b in plan.buffers if b.is_pinned)}):
            yield offsets | {id(pair.y): base, id(pair.x): base + pair.lead}


def _is_sound(plan: ArenaPlan, pairs: list[_Pair]) -> bool:
    """Whether pinned buffers lie on each other only as input and output of one STREAM."""
    leads = {(id(p.x), id(p.y)): p.lead for p in pairs}
    pinned = sorted((b for b in plan.buffers if b.is_pinned), key=lambda b: b.first)
    return all(_are_apart(a, b, leads) for a, b in itertools.combinations(pinned, 2))


def _are_apart(a: Buffer, b: Buffer, leads: Mapping[tuple[int, int], int]) -> bool:
    if a.last < b.first or a.end <= b.offset or b.end <= a.offset:
        return True
    lead = leads.get((id(a.tensor), id(b.tensor)))
    return lead is not None and a.last == b.first and b.offset + lead <= a.offset
