"""The grammar of a training graph: what its passes ensure, each a sentence and its check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tflm_train.model import Op, Tensor
from tflm_train.ops import ChannelSave, ClampMask, Finish, Loss, Params, Restore, Stream, npu
from tflm_train.ops.tensors import Role
from tflm_train.rewriter.passes import Property
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp


def ops_of(graph: TrainingGraph) -> list[Op]:
    """All operators: in execution order once that is known, else as they were made."""
    return graph.model.graph.ops if graph.is_ordered else [*graph.forward, *graph.training]


def changed_by(op: Op) -> list[Tensor]:
    """The variables that an operator changes in place."""
    return list(op.params.inputs_of(op).having(Role.VARIABLE)) if isinstance(op, TrainOp) else []


def read_by(op: Op) -> list[Tensor]:
    """What an operator reads; not what only has to be written before."""
    after = op.params.inputs_of(op).having(Role.AFTER) if isinstance(op, TrainOp) else []
    unread = {id(tensor) for tensor in after}
    return [t for t in op.inputs if t is not None and id(t) not in unread]


def _several_producers(graph: TrainingGraph) -> Iterator[str]:
    source = graph.model.graph
    written = {id(t): "the graph's inputs" for t in [*source.inputs, *graph.interface_inputs]}
    for op in ops_of(graph):
        for tensor in op.outputs:
            if id(tensor) in written:
                yield f"{tensor.name!r} is made by {op.name} and by {written[id(tensor)]}"
            if tensor.data is not None:
                yield f"{op.name} writes the constant {tensor.name!r}"
            written[id(tensor)] = op.name


ONE_PRODUCER = Property("each tensor has one producer", _several_producers)


def _without_variables(graph: TrainingGraph) -> Iterator[str]:
    chosen = {id(v.tensor) for v in graph.variables}
    for layer in graph.plan.trained:
        trained = graph.trained.get(id(layer.op))
        tensors = [] if trained is None else trained.variables
        if not tensors:
            yield f"{layer} has none"
        for tensor in tensors:
            if id(tensor) not in chosen:
                yield f"nothing restores {tensor.name!r}"
    for variable in graph.variables:
        if not variable.tensor.is_variable or variable.tensor.data is not None:
            yield f"{variable.tensor.name!r} is a constant"


VARIABLES_CHOSEN = Property("every trained layer has its variables", _without_variables)


def _without_update(graph: TrainingGraph) -> Iterator[str]:
    changing = Counter(id(t) for op in ops_of(graph) for t in changed_by(op))
    for uses in graph.plan.trained_uses:
        for tensor in (t for layer in uses for t in graph.trained[id(layer.op)].variables):
            if not 1 <= changing[id(tensor)] <= len(uses):
                yield f"{tensor.name!r} has {changing[id(tensor)]} updates"


UPDATED = Property("an operator updates each variable, for each use of its layer", _without_update)


def _read_too_late(graph: TrainingGraph) -> Iterator[str]:
    ops = ops_of(graph)
    before = predecessors(ops)
    places = {id(op): place for place, op in enumerate(ops)}
    readers: dict[int, list[int]] = {}
    for place, op in enumerate(ops):
        for tensor in read_by(op):
            readers.setdefault(id(tensor), []).append(place)
    for update in ops:
        for tensor in changed_by(update):
            for place in readers[id(tensor)]:
                if ops[place] is update or before[id(update)] >> place & 1:
                    continue
                if not _may_follow(ops[place], update, tensor, before[id(ops[place])], places):
                    yield f"nothing puts {ops[place].name} before {update.name} of {tensor.name!r}"


def _may_follow(op: Op, update: Op, tensor: Tensor, before: int, places: Mapping[int, int]) -> bool:
    """Whether an operator that reads a variable may come behind one of its updates.

    Another update of the variable may, where it always does: what they add is rounded and kept
    within limits. Those of a bias add whole steps, whose sum does not depend on the order.
    """
    if not any(t is tensor for t in changed_by(op)):
        return False
    return tensor.type_name == "INT32" or bool(before >> places[id(update)] & 1)


READ_BEFORE_CHANGED = Property(
    "all that reads a variable comes before its update by way of tensors", _read_too_late
)


def _dead(graph: TrainingGraph) -> Iterator[str]:
    ops = ops_of(graph)
    before = predecessors(ops)
    finish = [op for op in ops if isinstance(op, TrainOp) and _is(op, Finish)]
    if len(finish) != 1:
        yield f"there are {len(finish)} of them"
        return
    reached = before[id(finish[0])]
    for place, op in enumerate(ops):
        if _belongs_to_step(op) and op is not finish[0] and not reached >> place & 1:
            yield f"{op.name} of {op.output.name!r} leads nowhere"


ALL_FINISHED = Property("FINISH comes after every operator of the step", _dead)


def _belongs_to_step(op: Op) -> bool:
    """Whether the step needs an op of ours; forward ops may serve other outputs alone."""
    return isinstance(op, TrainOp) and Stream.KIND != op.params.KIND


def _unused_slots(graph: TrainingGraph) -> Iterator[str]:
    slots = [s for op in ops_of(graph) if (s := slot_out(op)) is not None]
    count = len(graph.slot_names)
    if sorted(slots) != list(range(count)):
        yield f"of {count} slots {sorted(slots)} are written"
    if graph.scales.shape != (max(1, count),):
        yield f"{graph.scales.name!r} is {graph.scales.shape}"


SLOTS_NUMBERED = Property("each slot belongs to one gradient", _unused_slots)


def slot_out(op: Op) -> int | None:
    """The slot of the gradient that an operator makes, None where it makes none."""
    if not isinstance(op, TrainOp):
        return None
    slot = op.params.slot if isinstance(op.params, Loss) else None
    return getattr(op.params, "slot_out", slot)


def _masks_kept_whole(graph: TrainingGraph) -> Iterator[str]:
    training = [op for op in ops_of(graph) if isinstance(op, TrainOp)]
    needed = {
        id(t)
        for op in training
        if _belongs_to_step(op) and not _is(op, ClampMask, ChannelSave)
        for t in op.params.inputs_of(op).lacking(Role.MASK)
    }
    for op in training:
        for mask in _masks(op):
            if mask.type_name == "INT8" and id(mask) not in needed:
                yield f"{op.name} keeps {mask.name!r} as a mask only"


MASKS_ARE_BITS = Property(
    "an activation that is kept as a mask only is kept as bits", _masks_kept_whole
)


def _masks(op: TrainOp) -> list[Tensor]:
    return list(op.params.inputs_of(op).having(Role.MASK))


def _whole_forward_ops(graph: TrainingGraph) -> Iterator[str]:
    ops = {id(op) for op in ops_of(graph)}
    for key, trained in graph.trained.items():
        if trained.columns is not None and key in ops:
            yield f"{trained.layer} reads its constant weights only"


LAYERS_SPLIT = Property("a layer that trains in part reads its columns", _whole_forward_ops)


def _out_of_order(graph: TrainingGraph) -> Iterator[str]:
    ops = ops_of(graph)
    later = {id(t) for op in ops for t in op.outputs}
    known = {id(t) for t in graph.model.graph.inputs}
    for op in ops:
        for tensor in npu.without_work_memory(op):
            if tensor is None or id(tensor) in known:
                continue
            # A stateful layer's own variables have no producer.
            is_there = tensor.data is not None or tensor.is_variable or tensor.nbytes == 0
            if id(tensor) in later or not is_there:
                yield f"{op.name} reads {tensor.name!r} before it is written"
        known.update(id(t) for t in op.outputs)


IN_ORDER = Property("each tensor is written before it is read", _out_of_order)


def _ends(graph: TrainingGraph) -> Iterator[str]:
    first, *_, last = ops_of(graph)
    if not (isinstance(first, TrainOp) and _is(first, Restore)):
        yield f"the first is {first.name}"
    made = {id(t) for t in first.outputs}
    for op in ops_of(graph):
        for tensor in changed_by(op):
            if id(tensor) not in made:
                yield f"nothing makes {tensor.name!r}"
    if not (isinstance(last, TrainOp) and _is(last, Finish)):
        yield f"the last is {last.name}"
    named = {id(t) for t in last.inputs}
    for tensor in [*first.outputs, graph.learning_rate]:
        if id(tensor) not in named:
            yield f"the last does not name {tensor.name!r}"


ENCLOSED = Property("RESTORE makes all variables, and FINISH names them to the end", _ends)


def _left_out(graph: TrainingGraph) -> Iterator[str]:
    for op in ops_of(graph):
        if isinstance(op, TrainOp) and op.inputs[-1] is None:
            yield f"{op.name} of {op.output.name!r}"


NO_TRAILING_ABSENT = Property("no last input is left out", _left_out)


def _is(op: TrainOp, *kinds: type[Params]) -> bool:
    return isinstance(op.params, kinds)


def predecessors(ops: Sequence[Op]) -> dict[int, int]:
    """What an operator depends on by way of tensors: by its id, a bit for each place in `ops`."""
    producers = {id(t): op for op in ops for t in op.outputs}
    bits = {id(op): 1 << place for place, op in enumerate(ops)}
    found: dict[int, int] = {}
    for op in _in_order(ops, producers):
        before = 0
        for tensor in op.inputs:
            source = producers.get(id(tensor))
            if source is not None:
                before |= found.get(id(source), 0) | bits[id(source)]
        found[id(op)] = before
    return found


def _in_order(ops: Sequence[Op], producers: dict[int, Op]) -> list[Op]:
    """The operators, each behind those it depends on."""
    ordered: dict[int, Op] = {}
    stack = [(op, False) for op in reversed(ops)]
    while stack:
        op, is_ready = stack.pop()
        if id(op) in ordered:
            continue
        if is_ready:
            ordered[id(op)] = op
            continue
        stack.append((op, True))
        sources = (producers.get(id(t)) for t in op.inputs)
        stack += [(s, False) for s in sources if s is not None and id(s) not in ordered]
    return list(ordered.values())
