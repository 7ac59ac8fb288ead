"""The execution order: the original ops as they were, ours around them.

A clamp mask or channel save follows the op that makes its activation at once, so that the
activation can die; the channels of an activation that lives on anyway are copied just before they
are needed. The backward pass is ordered by several strategies, and the one whose arena TFLM's
planner makes smallest is taken, so that the result is never worse than the naive order.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tflm_train.memory.planner import plan_arena
from tflm_train.memory.scratch import scratch_of
from tflm_train.model import Graph, Op, Tensor
from tflm_train.ops import BiasUpdate, ChannelSave, ClampMask, ConvUpdate, DepthwiseUpdate
from tflm_train.rewriter.save_masks import whole_activations
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_UPDATES = (ConvUpdate, DepthwiseUpdate, BiasUpdate)


class Order(enum.StrEnum):
    """How the backward pass is ordered."""

    NAIVE = "naive"
    """All gradients first, then all updates, as training frameworks do; for comparison."""

    BEST = "best"
    """The strategy with the smallest arena."""


@dataclass(frozen=True)
class _Unit:
    """An op together with the channel saves that only it reads."""

    ops: tuple[TrainOp, ...]

    @property
    def main(self) -> TrainOp:
        return self.ops[-1]

    @property
    def is_update(self) -> bool:
        return isinstance(self.main.params, _UPDATES)

    def reads(self) -> list[Tensor]:
        own = {id(t) for op in self.ops for t in op.outputs}
        return [t for op in self.ops for t in op.inputs if t is not None and id(t) not in own]

    def writes(self) -> list[Tensor]:
        return list(self.main.outputs)


_Choose = Callable[["_State", list[_Unit]], _Unit]


def schedule(graph: TrainingGraph, order: Order = Order.BEST) -> list[Op]:
    """Orders all operators.

    Args:
      graph: With all of its training ops made.
      order: How to order the backward pass.

    Returns:
      Every op in execution order; the restore op is not among them.
    """
    early, units = _split_training(graph)
    forward: list[Op] = [s for t in graph.model.graph.inputs for s in early.get(id(t), [])]
    for op in graph.forward:
        forward.append(op)
        forward += [s for t in op.outputs for s in early.get(id(t), [])]
    if order is Order.NAIVE:
        return forward + _list_schedule(units, _updates_last)
    candidates = [
        forward + _list_schedule(units, choose)
        for choose in (_updates_first, _fewest_bytes, _updates_last)
    ]
    return min(candidates, key=lambda ops: _cost(graph, ops, len(forward)))


def _split_training(graph: TrainingGraph) -> tuple[dict[int, list[TrainOp]], list[_Unit]]:
    """The ops that save something of an activation, by its id, and the backward pass."""
    alive = whole_activations(graph)
    produced = {id(t) for op in graph.training for t in op.outputs}
    early: dict[int, list[TrainOp]] = {}
    late: dict[int, TrainOp] = {}
    rest: list[TrainOp] = []
    for op in graph.training:
        source = id(op.input)
        is_there = op.input.data is not None or source in produced or source in alive
        if isinstance(op.params, ChannelSave) and is_there:
            late[id(op.output)] = op
        elif isinstance(op.params, ChannelSave | ClampMask):
            early.setdefault(source, []).append(op)
        else:
            rest.append(op)
    units = []
    for op in rest:
        saves = [late[id(t)] for t in op.inputs if id(t) in late]
        units.append(_Unit((*saves, op)))
    return early, units


class _State:
    """What has run, and what still reads each tensor."""

    def __init__(self, units: Sequence[_Unit]) -> None:
        self.waiting = list(units)
        self._unwritten = {id(t) for unit in units for t in unit.writes()}
        self._readers: dict[int, int] = {}
        for unit in units:
            for key in {id(t) for t in unit.reads()}:
                self._readers[key] = self._readers.get(key, 0) + 1

    def run(self, unit: _Unit) -> None:
        self.waiting.remove(unit)
        self._unwritten -= {id(t) for t in unit.writes()}
        for key in {id(t) for t in unit.reads()}:
            self._readers[key] -= 1

    def ready(self) -> list[_Unit]:
        return [
            unit for unit in self.waiting if not any(id(t) in self._unwritten for t in unit.reads())
        ]

    def growth(self, unit: _Unit) -> int:
        """By how many bytes running `unit` changes what stays alive."""
        made = {id(t): t for t in unit.writes()}
        freed = {
            id(t): t
            for t in unit.reads()
            if self._readers[id(t)] == 1 and t.data is None and not t.is_variable
        }
        return sum(t.nbytes for t in made.values()) - sum(t.nbytes for t in freed.values())


def _list_schedule(units: list[_Unit], choose: _Choose) -> list[Op]:
    state = _State(units)
    ordered: list[Op] = []
    while state.waiting:
        ready = state.ready()
        assert ready, "the backward graph has a cycle"
        unit = choose(state, ready)
        state.run(unit)
        ordered += unit.ops
    return ordered


def _updates_first(state: _State, ready: list[_Unit]) -> _Unit:
    del state
    return next((unit for unit in ready if unit.is_update), ready[0])


def _updates_last(state: _State, ready: list[_Unit]) -> _Unit:
    del state
    return next((unit for unit in ready if not unit.is_update), ready[0])


def _fewest_bytes(state: _State, ready: list[_Unit]) -> _Unit:
    return min(ready, key=state.growth)


def _cost(graph: TrainingGraph, ops: list[Op], forward_count: int) -> tuple[int, int]:
    """The planned arena, then the most bytes alive in the backward pass."""
    source = graph.model.graph
    # Interface tensors of the finished model; the restore op changes no lifetime.
    inputs = [*source.inputs, *([] if graph.label is None else [graph.label])]
    whole = Graph(source.tensors, ops, inputs, [*source.outputs, graph.loss])
    scratch = {i: [scratch_of(op.params)] for i, op in enumerate(ops) if isinstance(op, TrainOp)}
    plan = plan_arena(whole, {i: sizes for i, sizes in scratch.items() if sizes[0]})
    return plan.bytes, max(plan.live_bytes()[forward_count + 1 :], default=0)
