"""What a run of layers takes as one STREAM, remembered over rewrites of one model.

The choice of streams looks at a thousand runs, and rewrites of one model under many schemes look at
nearly the same ones. How the rows of a run are computed follows from the geometry of its layers and
from which of their outputs are needed as a whole; by that it is known again. What depends on how
many channels or weights train is added up each time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from tflm_train.graph.liveness import Liveness
from tflm_train.memory.scratch import scratch_of
from tflm_train.model import Graph, Op, Tensor
from tflm_train.ops import ClampMask, StageFields, StageKind
from tflm_train.ops.target import align
from tflm_train.rewriter.fold_pad import is_spatial_pad
from tflm_train.rewriter.stream import LayerFacts, Run, Taps, find_run, saving_params, split_params

ALIGNMENT = 16
NODE_BYTES = 32  # TFLM's NodeAndRegistration, 32-bit pointers
TENSOR_BYTES = 12  # TfLiteEvalTensor
_HANDLE_BYTES = 4  # of a scratch buffer


def is_planned(tensor: Tensor) -> bool:
    """Whether a tensor lies in the planned part of the arena."""
    return tensor.data is None and not tensor.is_variable and tensor.nbytes > 0


def planned_bytes(tensor: Tensor) -> int:
    """What the planner sets aside for a tensor; 0 where it lies elsewhere."""
    return align(tensor.nbytes, ALIGNMENT) if is_planned(tensor) else 0


@dataclass(frozen=True)
class RunCost:
    """What a run takes as a STREAM.

    Attributes:
      alive: Bytes of its planned outputs and scratch, less what is shared with the input.
      kept: Bytes of the arena's tail.
      stages: How many layers there are.
      is_lone_add: Whether it is one ADD.
      time: Estimated instructions.
    """

    alive: int
    kept: int
    stages: int
    is_lone_add: bool
    time: float


@dataclass(frozen=True)
class _Shape:
    """What all runs of the same geometry have in common.

    Attributes:
      scratch: Bytes.
      lead: How many bytes before the input the output may begin.
      source: Which op of the run reads the input first, and as which of its inputs.
      stages: What is computed; without what is kept of it.
      layers: Which ops of the run the stages are.
    """

    scratch: int
    lead: int
    source: tuple[int, int]
    stages: tuple[StageFields, ...]
    layers: tuple[int, ...]


@dataclass(eq=False)
class KnownRuns:
    """Runs of one model's ops, known from one rewrite to the next."""

    ops: dict[Hashable, int] = field(default_factory=dict)
    shapes: dict[Hashable, _Shape | None] = field(default_factory=dict)


class RunCosts:
    """The costs of the runs of an op list."""

    def __init__(
        self,
        graph: Graph,
        ops: Sequence[Op],
        taps: Mapping[int, Taps],
        time_of: Callable[[StageFields], float],
        known: KnownRuns | None = None,
    ) -> None:
        """Numbers the ops.

        Args:
          graph: Gives the interface: its inputs and outputs.
          ops: In execution order.
          taps: Of each layer the part of its kernel that is not zero, by the op's id.
          time_of: Estimates a stage's instructions.
          known: Runs of earlier rewrites of the model; they grow.
        """
        self._ops, self._time_of = ops, time_of
        self._facts = LayerFacts(taps)
        self._known = KnownRuns() if known is None else known
        self._liveness = Liveness(ops, graph.inputs, graph.outputs)
        numbers = self._known.ops
        self._numbers = [
            numbers.setdefault(_content(op, taps.get(id(op))), len(numbers)) for op in ops
        ]
        self._last = [
            max((self._liveness.last(t) or -1 for t in op.outputs), default=-1) for op in ops
        ]
        self._bytes = [sum(map(planned_bytes, op.outputs)) for op in ops]
        self._variables = [sum(t.is_variable for t in op.inputs[1:] if t is not None) for op in ops]
        self._saves = [saving_params(op) is not None for op in ops]
        self._pads = [is_spatial_pad(op) for op in ops]
        producer = {id(t): index for index, op in enumerate(ops) for t in op.outputs}
        self._reads = [
            [(producer.get(id(t)), id(t)) for t in op.inputs if t is not None and t.data is None]
            for op in ops
        ]

    def of(self, start: int, stop: int) -> RunCost | None:
        """The costs of the run of ops from `start` to before `stop`; None where it is no run."""
        key = self._key(start, stop)
        if key not in self._known.shapes:
            self._known.shapes[key] = self._find(start, stop)
        shape = self._known.shapes[key]
        if shape is None:
            return None
        written = {start + shape.layers[-1]}
        written.update(
            index
            for index in range(start, stop)
            if self._saves[index] or (self._last[index] >= stop and not self._pads[index])
        )
        tensors = 2 + len(written) + sum(self._variables[start + layer] for layer in shape.layers)
        outputs = sum(self._bytes[index] for index in written)
        return RunCost(
            alive=outputs + align(shape.scratch, ALIGNMENT) - self._shared(shape, start, stop),
            kept=NODE_BYTES + _HANDLE_BYTES + TENSOR_BYTES * tensors,
            stages=len(shape.stages),
            is_lone_add=len(shape.stages) == 1 and shape.stages[0].stage_kind == StageKind.ADD,
            time=sum(map(self._time_of, shape.stages)),
        )

    def run(self, start: int, stop: int) -> Run | None:
        """The run itself."""
        made = [t for op in self._ops[start:stop] for t in op.outputs]
        needed = {id(t) for t in made if self._liveness.is_needed(t, stop)}
        return find_run(self._ops[start:stop], needed, self._facts)

    def _key(self, start: int, stop: int) -> Hashable:
        """What a shape follows from: the ops, what they read of each other, what is needed."""
        outside: dict[int, int] = {}
        wiring = tuple(
            made - start
            if made is not None and made >= start
            else ~outside.setdefault(tensor, len(outside))
            for index in range(start, stop)
            for made, tensor in self._reads[index]
        )
        needed = tuple(last >= stop for last in self._last[start:stop])
        return tuple(self._numbers[start:stop]), wiring, needed

    def _find(self, start: int, stop: int) -> _Shape | None:
        run = self.run(start, stop)
        if run is None:
            return None
        source = next(
            (index, place)
            for index in range(stop - start)
            for place, tensor in enumerate(self._ops[start + index].inputs)
            if tensor is run.source
        )
        places = {id(op): index for index, op in enumerate(self._ops[start:stop])}
        layers = tuple(places[id(op)] for op in run.layers)
        return _Shape(scratch_of(run.params), run.lead, source, run.stages, layers)

    def _shared(self, shape: _Shape, start: int, stop: int) -> int:
        """What is saved where the output may be written over the used rows of the input."""
        index, place = shape.source
        source = self._ops[start + index].inputs[place]
        assert source is not None
        output = self._ops[start + shape.layers[-1]].output
        x, y = planned_bytes(source), planned_bytes(output)
        if not x or not y or self._liveness.is_needed(source, stop):
            return 0
        return x + y - max(x + align(shape.lead, ALIGNMENT), y)


def _content(op: Op, taps: Taps | None) -> Hashable:
    """What a run's shape depends on of an op, apart from what it reads and who reads it."""
    saved, split = saving_params(op), split_params(op)
    if saved is not None:
        whole = isinstance(saved, ClampMask) or saved.channels == op.input.shape[-1]
        return type(saved), whole
    if split is not None:
        return type(split), split.geometry
    shapes = tuple(None if t is None else (t.shape, t.type_code) for t in (*op.inputs, *op.outputs))
    amounts = op.inputs[1] if is_spatial_pad(op) else None
    padding = None if amounts is None or amounts.data is None else amounts.data.tobytes()
    options = None if op.options is None else repr(vars(op.options))
    return op.name, shapes, options, padding, taps
