"""What a rewritten model must still be after Vela."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.ethos_u.vela import Placement, key_of, names, place
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.offline_plan import METADATA_NAME, read_offsets
from tflm_train.ops import OP_PREFIX, ConvInputGrad, DepthwiseInputGrad, Loss, Restore, unpack
from tflm_train.ops.tensors import Role

_RESTORE = OP_PREFIX + Restore.OP
_LOSS = OP_PREFIX + Loss.OP
_INPUT_GRADIENTS = tuple(OP_PREFIX + params.OP for params in (ConvInputGrad, DepthwiseInputGrad))


@dataclass
class Report:
    """What is wrong, one sentence each, and how many operators went where.

    Attributes:
      order: Something runs before what it depends on.
      interface: Inputs, outputs, or what marks them.
      ops: Our operators are not what they were.
      memory: TFLM would refuse the plan of the arena, or reuse a variable's memory.
      npu: Operators of the model that the NPU computes.
      cpu: Those that stay on the processor.
    """

    order: list[str] = field(default_factory=list)
    interface: list[str] = field(default_factory=list)
    ops: list[str] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)
    npu: int = 0
    cpu: int = 0

    @property
    def problems(self) -> list[str]:
        """All of them."""
        return [*self.order, *self.interface, *self.ops, *self.memory]


def check(before: Model, after: Model) -> Report:
    """Compares a rewritten model with what Vela made of it.

    Args:
      before: The rewritten model.
      after: The same, compiled.

    Returns:
      The report; nothing is wrong where it has no problems.
    """
    placement = place(before, after)
    npu = len(placement.on_npu)
    return Report(
        order=[*_data_flow(after), *_updates(before, placement)],
        interface=list(_interface(before, after)),
        ops=list(_our_ops(before, after)),
        memory=list(_memory(after)),
        npu=npu,
        cpu=len(placement.position) - npu,
    )


def written_in_place(op: Op) -> list[Tensor]:
    """The variables that one of our operators changes."""
    if not op.name.startswith(OP_PREFIX):
        return []
    inputs = unpack(op.custom_options or b"", op.name).inputs_of(op)
    return list(inputs.having(Role.VARIABLE))


def _data_flow(after: Model) -> Iterator[str]:
    """Nothing is read before it is written; variables are there from the first op on."""
    ops = after.graph.ops
    if ops[0].name != _RESTORE:
        yield f"the first op is {ops[0].name}, not the one that fills the variables"
    writers: dict[int, int] = {}
    for index, op in enumerate(ops):
        for tensor in op.outputs:
            if id(tensor) in writers:
                yield f"{tensor.name!r} is written by op {writers[id(tensor)]} and op {index}"
            writers.setdefault(id(tensor), index)
    for index, op in enumerate(ops):
        for tensor in op.inputs:
            if tensor is not None and writers.get(id(tensor), -1) >= index:
                yield f"op {index} ({op.name}) reads {tensor.name!r} before it is written"


def _updates(before: Model, placement: Placement) -> Iterator[str]:
    """An update comes after all that comes before it in the rewritten model and bears on it."""
    position = placement.position
    for update in before.graph.ops:
        for variable in written_in_place(update):
            if id(update) not in position:
                yield f"the update of {variable.name!r} is gone"
                continue
            for other, what in _related(before, update, variable):
                if id(other) not in position:
                    yield f"{what} of {variable.name!r} ({other.name}) is gone"
                elif position[id(other)] >= position[id(update)]:
                    yield f"the update of {variable.name!r} comes before {what}"


def _related(before: Model, update: Op, variable: Tensor) -> Iterator[tuple[Op, str]]:
    """The operators that an update must follow, and what they are to it."""
    ops = before.graph.ops
    read = [tensor for tensor in update.inputs if tensor is not None]
    for op in ops[: ops.index(update)]:
        if op.name == _LOSS:
            yield op, "the loss"
        if any(output is tensor for output in op.outputs for tensor in read):
            yield op, f"{op.name} ({key_of(op)[0]!r}), whose output it reads"
        if not any(tensor is variable for tensor in op.inputs):
            continue
        if not op.name.startswith(OP_PREFIX):
            yield op, "its layer"
        elif op.name in _INPUT_GRADIENTS:
            yield op, "its layer's input gradient"
        else:
            yield op, f"{op.name}, which reads it"


def _interface(before: Model, after: Model) -> Iterator[str]:
    for what in ("inputs", "outputs"):
        old, new = getattr(before.graph, what), getattr(after.graph, what)
        if names(old) != names(new):
            yield f"the {what} are {names(new)}, not {names(old)}"
        for a, b in zip(old, new, strict=False):
            if (a.is_variable, a.type_name, a.shape) != (b.is_variable, b.type_name, b.shape):
                yield f"{what[:-1]} {a.name!r} was {_kind(a)}, is {_kind(b)}"


def _our_ops(before: Model, after: Model) -> Iterator[str]:
    kept = {key_of(op): op for op in after.graph.ops}
    for op in before.graph.ops:
        if not op.name.startswith(OP_PREFIX):
            continue
        now = kept.get(key_of(op))
        where = f"{op.name} ({key_of(op)[0]!r})"
        if now is None or now.name != op.name:
            yield f"{where} is gone"
            continue
        if now.custom_options != op.custom_options:
            yield f"{where}: its custom_options have changed"
        if names(now.inputs) != names(op.inputs):
            yield f"{where}: its inputs are {names(now.inputs)}, not {names(op.inputs)}"
        pairs = zip([*op.inputs, *op.outputs], [*now.inputs, *now.outputs], strict=False)
        for old, new in pairs:
            if old is not None and new is not None and _kind(old) != _kind(new):
                yield f"{where}: {old.name!r} was {_kind(old)}, is {_kind(new)}"


def _memory(after: Model) -> Iterator[str]:
    """What TFLM makes of Vela's plan of the arena.

    Vela plans variables too, and keeps them. To TFLM's planner they live from the first op that
    names them to the last, and the scratch memory of ops beyond may lie on them.
    """
    if after.metadata(METADATA_NAME) is not None and not read_offsets(after):
        yield "its plan of the arena is not of its tensors"
    last = after.graph.ops[-1]
    read = {id(tensor) for tensor in last.inputs}
    for tensor in after.graph.walk_tensors():
        if tensor.is_variable and id(tensor) not in read:
            yield f"the last op ({last.name}) does not read {tensor.name!r}"


def _kind(tensor: Tensor) -> tuple[object, ...]:
    q = tensor.quantization
    scales = None if q is None else (q.scale.tolist(), q.zero_point.tolist(), q.axis)
    return tensor.type_name, tensor.shape, tensor.is_variable, scales
