"""Chooses how the forward layers run, so that the arena is smallest.

Three ways: the builtin op; a STREAM of one layer, whose requantization constants stay in flash and
which takes over a PAD; a STREAM of a run of layers, whose inner activations are never whole in
memory. The op list is cut into segments. While a segment runs, what is alive is all that crosses
its start, what it passes on, and its scratch: the largest such sum over the segments is (but for
the planner's gaps) the arena's head, and the segments' own records and constants its tail. A
dynamic program over the cuts minimises head plus tail under a limit of the estimated time.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tflm_train.cost.cores import Core
from tflm_train.cost.estimate import builtin_instructions, layer_instructions
from tflm_train.cost.macs import forward_macs
from tflm_train.errors import UnsupportedError
from tflm_train.graph.liveness import Liveness
from tflm_train.memory import KernelSet, MemoryReport, memory_report
from tflm_train.memory.scratch import scratch_of
from tflm_train.model import Graph, Model, Op
from tflm_train.model.open_shapes import close_shapes
from tflm_train.model.runnable import runnable_source
from tflm_train.model.written import write_checked
from tflm_train.ops import SplitConv, SplitDepthwise, StageFields, StageKind, Stream
from tflm_train.ops.builtin import kernel_memory
from tflm_train.ops.contract import LATENT_OUTPUT
from tflm_train.ops.reading import is_ours
from tflm_train.ops.target import CORTEX_M, align
from tflm_train.rewriter.emit_stream import make_stream
from tflm_train.rewriter.fold_pad import fold_pads, is_pad, is_windowed
from tflm_train.rewriter.frozen import Fate, NoFormError, copy_latent, fates
from tflm_train.rewriter.origins import keep_origins
from tflm_train.rewriter.overlay import overlay_streams
from tflm_train.rewriter.run_costs import (
    ALIGNMENT,
    NODE_BYTES,
    TENSOR_BYTES,
    KnownRuns,
    RunCost,
    RunCosts,
    planned_bytes,
)
from tflm_train.rewriter.stream import Run, can_stream, nonzero_taps
from tflm_train.rewriter.training_graph import FrozenPart, TrainOp
from tflm_train.trained.builtin_layers import with_builtins

_CAPS = 24  # heads that are tried
_DEAR = 1e6  # bytes that an instruction costs where only time counts
_PRICES = (0.0, *(10.0 ** (-e / 3) for e in range(3, 22)))  # bytes that an instruction may cost


class Forward(enum.StrEnum):
    """Which forward layers lose their builtin op although they do not stream with others."""

    BUILTIN = "builtin"
    FLASH = "flash"
    AUTO = "auto"


class Streaming(enum.StrEnum):
    """Whether runs of layers become one op."""

    OFF = "off"
    AUTO = "auto"


@dataclass(frozen=True)
class Choice:
    """What the pass may do.

    Attributes:
      stream: Whether runs of several layers may become one op.
      forward: Whether single layers may (AUTO), must (FLASH) or must not leave their builtin op.
      max_slowdown: Largest estimated time of the forward layers relative to builtin ones.
      kernels: What runs the builtin ops.
      core: What the time is estimated for; None: a core on which these kernels run.
      pins: Whether STREAMs may write over their input, which gives tensors fixed places in the
        arena; the planners of a debugger (`preserve_all_tensors`) refuse those.
    """

    stream: Streaming = Streaming.AUTO
    forward: Forward = Forward.AUTO
    max_slowdown: float = math.inf
    kernels: KernelSet = KernelSet.CMSIS_NN
    core: Core | None = None
    pins: bool = True

    def time_of(self, op: Op) -> float:
        """Estimated instructions of an op; 0 where they do not depend on the choice."""
        params = op.params if isinstance(op, TrainOp) else None
        if isinstance(params, Stream):
            return sum(map(self.time_of_stage, params.stages))
        if isinstance(params, SplitConv | SplitDepthwise):
            depthwise = isinstance(params, SplitDepthwise)
            kind = StageKind.DEPTHWISE if depthwise else StageKind.CONV
            return layer_instructions(kind, params.geometry, self.timed_core)
        return builtin_instructions(op, self.timed_core, self.kernels)

    def time_of_stage(self, stage: StageFields) -> float:
        """Estimated instructions of a stage of a STREAM."""
        return layer_instructions(StageKind(stage.stage_kind), stage.geometry, self.timed_core)

    @property
    def timed_core(self) -> Core:
        """What the time is estimated for."""
        return Core.of(self.kernels) if self.core is None else self.core

    @property
    def changes_anything(self) -> bool:
        """Whether any layer may leave its builtin op."""
        return self.stream is not Streaming.OFF or self.forward is not Forward.BUILTIN


@dataclass(frozen=True)
class Optimized:
    """An optimized model.

    Attributes:
      model_bytes: The file.
      before: The arena of the model as it was.
      after: The arena now.
      macs_before: Multiply-accumulates of the model as it was.
      macs_after: Now: zeros at a kernel's edges are left out.
      folded_pads: PADs that a convolution took over.
      streams: The layers of each STREAM, by name.
      slowdown: Estimated time of the forward layers relative to the builtin ops.
    """

    model_bytes: bytes
    before: MemoryReport
    after: MemoryReport
    macs_before: int
    macs_after: int
    folded_pads: int
    streams: list[list[str]]
    slowdown: float


@dataclass(frozen=True)
class _Segment:
    start: int
    stop: int
    alive: int  # bytes while it runs
    kept: int  # bytes of the tail
    time: float  # estimated instructions
    streams: bool = False
    run: Run | None = None  # of a segment that is chosen and streams


def optimize(model: Model, choice: Choice = Choice()) -> Optimized:
    """Makes a model's inference take less memory; its outputs stay the same bits.

    Args:
      model: A quantized model; not changed. Layers that are not int8 stay as they are.
      choice: What may be done.

    Returns:
      The new model and what was done; the same bytes where nothing would be gained and
      TFLM runs them.

    Raises:
      UnsupportedError: The model is rewritten already.
    """
    model = with_builtins(model)
    work = Model(model.source, model.name)
    if any(map(is_ours, work.graph.ops)):
        raise UnsupportedError(
            f"{model.name} holds training ops already; optimize the original model instead "
            "(`rewrite --stream auto` does it for training)"
        )
    before = memory_report(model, choice.kernels)
    builtin_time = sum(map(choice.time_of, work.graph.ops))
    macs, pads = forward_macs(work.graph), _count_pads(work.graph)
    close_shapes(work.graph)
    fold_pads(work.graph)
    segments = stream_layers(work, choice)
    time = sum(segment.time for segment in segments)
    streams = [s.run for s in segments if s.run is not None]
    keep_origins(work)
    data = write_checked(work)
    after = memory_report(Model(data, model.name), choice.kernels)
    if after.total_bytes >= before.total_bytes:
        return Optimized(runnable_source(model), before, before, macs, macs, 0, [], 1.0)
    return Optimized(
        data,
        before,
        after,
        macs,
        forward_macs(work.graph),
        pads - _count_pads(work.graph),
        [[op.output.short_name for op in run.layers] for run in streams],
        time / builtin_time if builtin_time else 1.0,
    )


def _count_pads(graph: Graph) -> int:
    return sum(map(is_pad, graph.ops))


def stream_layers(
    model: Model,
    choice: Choice,
    frozen: FrozenPart | None = None,
    known: KnownRuns | None = None,
) -> list[_Segment]:
    """Puts the STREAMs of the best choice into a model whose ops are in execution order.

    Args:
      model: Changed in place; training ops keep their place.
      choice: What may be done.
      frozen: Ops that become STREAMs in any case, apart from all others; without a source they
        stay as they are.
      known: What is known of runs from other rewrites of the model.

    Returns:
      The segments.

    Raises:
      NoFormError: A frozen op cannot become (part of) a STREAM.
    """
    graph = model.graph
    segments = choose_segments(graph, graph.ops, choice, frozen, known)
    graph.ops = apply_segments(graph, graph.ops, segments, frozen)
    for op in graph.ops:
        if isinstance(op, TrainOp):
            op.custom_options = op.params.pack()
    if frozen is not None and frozen.source is not None and frozen.latent is not graph.inputs[0]:
        frozen.latent.name = LATENT_OUTPUT
    model.drop_unused_tensors()
    runs = {id(s.run.output): s.run for s in segments if s.run} if choice.pins else {}
    overlay_streams(model, runs, choice.kernels)
    return segments


def choose_segments(
    graph: Graph,
    ops: Sequence[Op],
    choice: Choice,
    frozen: FrozenPart | None = None,
    known: KnownRuns | None = None,
) -> list[_Segment]:
    """Cuts an op list into segments.

    Args:
      graph: Gives the interface: its inputs and outputs.
      ops: In execution order.
      choice: What may be done.
      frozen: Ops that become STREAMs in any case, apart from all others; without a source they
        stay as they are.
      known: What is known of runs from other rewrites of the model.

    Returns:
      The segments in order, each a single op as it is or a run to stream.

    Raises:
      NoFormError: A frozen op cannot become (part of) a STREAM.
    """
    liveness = Liveness(ops, graph.inputs, graph.outputs)
    taps = nonzero_taps([op for op in ops if can_stream(op)])
    runs = RunCosts(graph, ops, taps, choice.time_of_stage, known)
    by_stop = _all_segments(liveness, ops, choice, fates(frozen), runs)
    if frozen is not None and _first_unreached(by_stop) is not None:
        by_stop = _all_segments(liveness, ops, choice, fates(frozen, leniently=True), runs)
        unreached = _first_unreached(by_stop)
        if unreached is not None:
            raise NoFormError(ops[unreached])
    chosen = _smallest(by_stop, math.inf)
    limit = choice.max_slowdown * sum(map(choice.time_of, ops))
    if sum(s.time for s in chosen) > limit:
        chosen = _smallest(by_stop, limit) or _fastest(by_stop)
    return [replace(s, run=runs.run(s.start, s.stop)) if s.streams else s for s in chosen]


def least_alive(graph: Graph, ops: Sequence[Op], choice: Choice) -> list[int]:
    """The fewest bytes that can be alive while each op runs, however the op list is cut.

    Args:
      graph: Gives the interface: its inputs and outputs.
      ops: In execution order.
      choice: What may be done.

    Returns:
      Bytes, by the op's index.
    """
    least = [1 << 62] * len(ops)
    liveness = Liveness(ops, graph.inputs, graph.outputs)
    taps = nonzero_taps([op for op in ops if can_stream(op)])
    runs = RunCosts(graph, ops, taps, choice.time_of_stage, None)
    for segments in _all_segments(liveness, ops, choice, fates(None), runs):
        for segment in segments:
            for index in range(segment.start, segment.stop):
                least[index] = min(least[index], segment.alive)
    return least


def _smallest(by_stop: Sequence[Sequence[_Segment]], limit: float) -> list[_Segment]:
    """The plan that takes the least memory in at most `limit` instructions; [] if none is found."""
    heads = sorted({s.alive for found in by_stop for s in found})
    smallest = _smallest_head(by_stop)
    caps = [head for head in heads if head >= smallest]
    # Under a limit the smallest head may be too slow: larger ones of all sizes as well.
    sampled = [*caps[:: max(1, len(caps) // _CAPS)], caps[-1]]
    caps = sampled if limit < math.inf else caps[:_CAPS]
    best: list[_Segment] = []
    best_size = math.inf
    for cap in caps:
        for price in _PRICES if limit < math.inf else _PRICES[:1]:
            plan = _cheapest(by_stop, cap, price)
            size = max(s.alive for s in plan) + sum(s.kept for s in plan) if plan else math.inf
            if plan and size < best_size and sum(s.time for s in plan) <= limit:
                best, best_size = plan, size
    return best


def _fastest(by_stop: Sequence[Sequence[_Segment]]) -> list[_Segment]:
    """The plan that takes the least time, and among those the least memory."""
    plan = _cheapest(by_stop, max(s.alive for found in by_stop for s in found), _DEAR)
    assert plan is not None
    return plan


def apply_segments(
    graph: Graph, ops: Sequence[Op], segments: Sequence[_Segment], frozen: FrozenPart | None = None
) -> list[Op]:
    """The op list with a STREAM in place of each segment that is a run."""
    made: list[Op] = []
    for segment in segments:
        if segment.run is None:
            made += ops[segment.start : segment.stop]
            made += copy_latent(graph, made[-1], frozen)
        elif frozen is not None and id(ops[segment.start]) in frozen.ops:
            made.append(make_stream(graph, segment.run, frozen.source))
        else:
            made.append(make_stream(graph, segment.run))
    return made


def _first_unreached(by_stop: Sequence[Sequence[_Segment]]) -> int | None:
    """The op behind which no sequence of segments leads; None where some lead to the end."""
    reached = [True] + [False] * (len(by_stop) - 1)
    for stop in range(1, len(by_stop)):
        reached[stop] = any(reached[segment.start] for segment in by_stop[stop])
    return None if reached[-1] else max(i for i, is_reached in enumerate(reached) if is_reached)


def _all_segments(
    liveness: Liveness,
    ops: Sequence[Op],
    choice: Choice,
    frozen: Mapping[int, Fate],
    runs: RunCosts,
) -> list[list[_Segment]]:
    """Every segment that may be, by where it stops; `frozen` has the frozen ops by their id."""
    by_stop: list[list[_Segment]] = [[] for _ in range(len(ops) + 1)]
    crossings = liveness.crossing_bytes(planned_bytes)
    streamable = [can_stream(op) for op in ops]
    for start, op in enumerate(ops):
        crossing = crossings[start]
        is_frozen = id(op) in frozen
        must_run = choice.forward is Forward.FLASH and is_windowed(op) and streamable[start]
        if is_frozen:
            must_run = frozen[id(op)] is Fate.STREAMS
        if not must_run:
            by_stop[start + 1].append(_as_it_is(op, start, crossing, choice))
        if is_frozen and frozen[id(op)] is Fate.STAYS:
            continue
        for stop in range(start + 1, len(ops) + 1):
            if not streamable[stop - 1] or (id(ops[stop - 1]) in frozen) is not is_frozen:
                break
            cost = runs.of(start, stop)
            if cost is not None and (is_frozen or _is_allowed(cost, choice)):
                alive = crossing + cost.alive
                streamed = _Segment(start, stop, alive, cost.kept, cost.time, streams=True)
                by_stop[stop].append(streamed)
    return by_stop


def _is_allowed(cost: RunCost, choice: Choice) -> bool:
    if cost.stages > 1:
        return choice.stream is Streaming.AUTO
    # A lone ADD gains nothing.
    return choice.forward is not Forward.BUILTIN and not cost.is_lone_add


def _as_it_is(op: Op, start: int, crossing: int, choice: Choice) -> _Segment:
    alive = crossing + sum(map(planned_bytes, op.outputs))
    kept = NODE_BYTES + TENSOR_BYTES * (len(op.inputs) + len(op.outputs))
    if isinstance(op, TrainOp):
        alive += align(scratch_of(op.params), ALIGNMENT)
    memory = kernel_memory(op, choice.kernels, CORTEX_M)
    if memory is not None:
        alive += sum(align(size, ALIGNMENT) for size in memory.scratch)
        kept += sum(align(size, ALIGNMENT) for size in memory.channels)
        kept += 0 if memory.data is None else align(CORTEX_M.size_of(*memory.data), ALIGNMENT)
        kept += 0 if memory.options is None else CORTEX_M.size_of(*memory.options)
    return _Segment(start, start + 1, alive, kept, choice.time_of(op))


def _smallest_head(by_stop: Sequence[Sequence[_Segment]]) -> int:
    heads = [0] + [0] * (len(by_stop) - 1)
    for stop in range(1, len(by_stop)):
        choices = [max(heads[s.start], s.alive) for s in by_stop[stop]]
        # A stop inside a PAD-free run that FLASH forbids to end: unreachable.
        heads[stop] = min(choices, default=1 << 62)
    return heads[-1]


def _cheapest(
    by_stop: Sequence[Sequence[_Segment]], cap: int, price: float
) -> list[_Segment] | None:
    """The plan with the smallest tail whose head is at most `cap`; None where there is none."""
    costs = [0.0] + [math.inf] * (len(by_stop) - 1)
    chosen: list[_Segment | None] = [None] * len(by_stop)
    for stop in range(1, len(by_stop)):
        for segment in by_stop[stop]:
            cost = costs[segment.start] + segment.kept + price * segment.time
            if segment.alive <= cap and cost < costs[stop]:
                costs[stop], chosen[stop] = cost, segment
    plan: list[_Segment] = []
    stop = len(by_stop) - 1
    while stop > 0:
        found = chosen[stop]
        if found is None:
            return None
        plan.append(found)
        stop = found.start
    return plan[::-1]
