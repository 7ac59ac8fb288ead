"""One op of each kind with tensors that its declaration asks for, as a model that holds just it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tests.stacks import Stack
from tflm_train import ops
from tflm_train.model import Model, Op, Tensor
from tflm_train.ops.declaration import scope_of
from tflm_train.ops.expression import evaluate
from tflm_train.ops.tensors import FREE, TYPES, Slot, must_be_constant, must_be_variable, slots_of

_GEOMETRY = ops.Geometry.from_options((5, 6, 4), 8, (3, 3), (2, 2), padding="SAME")
_DEPTHWISE = ops.Geometry.from_options((5, 6, 4), 8, (3, 3), (2, 2), padding="SAME")
_POOL = ops.Geometry.from_options((6, 6, 4), 4, (2, 2), (2, 2))
_BITS = ops.MaskFields(ops.MaskKind.BITS, -128, 127, 3)
_WHOLE = ops.MaskFields(ops.MaskKind.ACTIVATION, -100, 100)
_OUTPUT = ops.OutputFields(-3, 5, -128, 127)
_STAGE = ops.StageFields(0, _GEOMETRY, _OUTPUT, 1, -1, -1, 3)


def _update(residual_bits: int, row: int, whole: int) -> ops.UpdateFields:
    return ops.UpdateFields(
        1, 2, -5, residual_bits, 8, 0, 3, 0, 3, whole if row else row,
        mark_x=-1, mark_grad=1, mark_after=-1, mark_out=5,
    )  # fmt: skip


_ONE = ops.ProductAxis()
_STILL = ops.MoveAxis()
SAMPLES: list[ops.Params] = [
    ops.Restore(1, 2, 3, 2),
    ops.Loss(10, -3, 0.5, 0),
    ops.Loss(10, -3, 0.5, 0, target_kind=ops.TargetKind.VALUES),
    ops.Loss(10, 0, 0.5, 0, ops.LossKind.MEAN_SQUARED_ERROR, ops.TargetKind.INPUT),
    ops.ClampMask(77, -128, 100, 4),
    ops.ConvInputGrad(_GEOMETRY, _BITS, 0, 1, 2, 0.1, 100, 0, 1),
    ops.ConvInputGrad(_GEOMETRY, ops.MaskFields(), 0, 1, -1, 0.1, 4, 1, 0, 1),
    ops.DepthwiseInputGrad(_DEPTHWISE, _WHOLE, 0, 1, -1, 0.1, 2, 4),
    ops.PoolGrad(_POOL, _BITS, 0, 1, 1, 4),
    ops.PoolGrad(_POOL, ops.MaskFields(), 0, 1, 0, 0),
    ops.Accumulate(30, _BITS, 3, (0, 1, 2, -1), 3),
    ops.ConvUpdate(_GEOMETRY, _update(8, 4, 4)),
    ops.ConvUpdate(_GEOMETRY, _update(4, 4, 9), 0),
    ops.DepthwiseUpdate(_DEPTHWISE, _update(0, 8, 8), 2),
    ops.BiasUpdate(9, 4, 1, 6),
    ops.ChannelSave(6, 8, 3, -1, 7),
    ops.SplitConv(_GEOMETRY, _OUTPUT, 1),
    ops.SplitDepthwise(_DEPTHWISE, _OUTPUT, 4, 2),
    ops.Finish(3),
    ops.ProductGrad(
        (_ONE, _ONE, ops.ProductAxis(3, 4, 0), ops.ProductAxis(4, 1, 1)),
        (_ONE, _ONE, _ONE), 12, 4, ops.FactorKind.ACTIVATION, -3, _BITS, 0, 1, 2, 0.1,
    ),
    ops.ProductGrad(
        (_ONE, _ONE, _ONE, ops.ProductAxis(4, 1, 1)), (_ONE, _ONE, ops.ProductAxis(3, 4, 4)),
        12, 12, ops.FactorKind.TABLE, 0, ops.MaskFields(), 0, 1, -1, 0.1,
    ),
    ops.ProductGrad(
        (_ONE, _ONE, _ONE, ops.ProductAxis(12, 1, 0)), (_ONE, _ONE, _ONE),
        12, 0, ops.FactorKind.CONSTANT, -256, ops.MaskFields(), 0, 1, -1, 0.1,
    ),
    ops.MoveGrad(
        (_STILL, _STILL, _STILL, ops.MoveAxis(5, 1, 1, 3, 4), ops.MoveAxis(4, 0, 1, 4, 1)),
        0, 12, _BITS, 0, 1, 1,
    ),
    ops.MaxPoolGrad(_POOL, _BITS, 0, 1),
    ops.ResizeGrad(2, 2, 3, 4, 4, _BITS, 0, 1, -1),
    ops.L2NormGrad(16, -3, 0.1, ops.MaskFields(), 0, 1),
    ops.Stream((_STAGE,)),
    ops.Loss(3, 0, 0.5, 0, positions=12),
    ops.Loss(3, 0, 0.5, 0, target_kind=ops.TargetKind.INPUT, positions=12),
]  # fmt: skip


def with_word(params: ops.Params, index: int, value: int) -> bytes:
    """The op's options with another number in one of its words."""
    data = bytearray(params.pack())
    data[8 + 4 * index : 12 + 4 * index] = value.to_bytes(4, "little", signed=True)
    return bytes(data)


def sample(params: ops.Params) -> Op:
    """An op whose tensors are as its declaration wants them, the optional ones there."""
    rng = np.random.default_rng(1)
    inputs = _tensors(params, slots_of(params.INPUTS), rng)
    outputs = [t for t in _tensors(params, slots_of(params.OUTPUTS), rng) if t is not None]
    if isinstance(params, ops.Stream):
        constants = np.zeros(64 + 32 + 288, np.int8)
        inputs = [Tensor.make("x", np.int8, (120,)), Tensor.constant("constants", constants)]
        outputs = [Tensor.make("y", np.int8, (72,))]
    return Op(params.custom_name, inputs, outputs, custom_options=params.pack(), is_custom=True)


def model_of(op: Op) -> Model:
    """A model that is this op; what is no constant and no variable are its inputs."""
    model = Stack.start(1, 1, 1, 0).model
    graph = model.graph
    used = {id(t): t for t in [*op.inputs, *op.outputs] if t is not None}
    graph.tensors, graph.ops = list(used.values()), [op]
    made = {id(t) for t in op.outputs}
    graph.inputs = [t for t in graph.tensors if t.data is None and not t.is_variable]
    graph.inputs = [t for t in graph.inputs if id(t) not in made]
    graph.outputs = op.outputs[:1]
    return model


@dataclasses.dataclass(frozen=True)
class Place:
    """A tensor that an op has.

    Attributes:
      slot: As what.
      number: Which of a run.
      type_name: The schema's.
      size: In elements.
      value: Evaluates an expression of the declaration.
    """

    slot: Slot
    number: int
    type_name: str
    size: int
    value: Callable[[str], int]


def places(
    params: ops.Params, slots: Sequence[Slot], takes: Callable[[], bool] = lambda: True
) -> list[Place | None]:
    """The tensors that an op's declaration asks for; None where one is left out.

    Args:
      params: The op's.
      slots: Its inputs or outputs.
      takes: Whether it has a tensor that it may have or not.
    """
    scope, words = scope_of(type(params)), params.words()
    present = [True] * 30

    def value(text: str) -> int:
        return evaluate(scope.compile(text), words, present)

    for index, slot in enumerate(slots):
        if not slot.is_run and value(slot.spec.present) == FREE:
            present[index] = takes()
    found: list[Place | None] = []
    for index, slot in enumerate(slots):
        spec = slot.spec
        if slot.is_run:
            count = value(spec.present) if spec.present else 1
        else:
            count = int(value(spec.present) != 0 and present[index])
        size = value(spec.size) if spec.size else 4
        code = value(spec.type) if spec.type else TYPES["INT8"]
        name = next(n for n, c in TYPES.items() if c == code)
        found += [Place(slot, i, name, size, value) for i in range(count)]
        if not count and not slot.is_run:
            found.append(None)
    return found


def _tensors(
    params: ops.Params, slots: Sequence[Slot], rng: np.random.Generator
) -> list[Tensor | None]:
    found = [None if place is None else _tensor(place, rng) for place in places(params, slots)]
    return _special(params, found)


def _tensor(place: Place, rng: np.random.Generator) -> Tensor:
    spec = place.slot.spec
    dtype = np.dtype(place.type_name.lower())
    data = None
    if must_be_constant(spec):
        limit = place.value(spec.high) + 1 if spec.ascending else 2
        data = np.arange(place.size) % limit
    elif spec.role in (ops.Role.FACTORS,):
        data = rng.integers(0, 2, place.size)
    variable = must_be_variable(spec) or spec.role in (ops.Role.SCALES, ops.Role.RANGES)
    return Tensor.make(
        f"{place.slot.name}{place.number}", dtype, (place.size,),
        data=None if data is None else data.astype(dtype), is_variable=variable,
    )  # fmt: skip


def _special(params: ops.Params, found: list[Tensor | None]) -> list[Tensor | None]:
    """What no declaration says: tables that make sense."""
    if isinstance(params, ops.ResizeGrad):
        for tensor in found[1:3]:
            if tensor is not None and tensor.data is not None and tensor.dtype == np.int16:
                first = np.minimum(np.arange(tensor.size // 2), 1)
                tensor.data = np.stack([first, 0 * first], axis=1).reshape(-1).astype(np.int16)
    return found


def changed(op: Op, inputs: Sequence[Tensor | None]) -> Op:
    """The op with other inputs."""
    return dataclasses.replace(op, inputs=list(inputs))
