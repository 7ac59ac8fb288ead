"""Runs a gradient rule on an op of its own: what the ops it emits compute, in real values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.kernel import Array, Step
from tflm_train.backward_ops.numerics import QuantizedGradient
from tflm_train.backward_ops.rule import Destination, Gradient, MaskInput, Producer
from tflm_train.backward_ops.rules import RULES
from tflm_train.graph import Op, Tensor
from tflm_train.qas.kernels import KERNELS

_SLOTS = 32
Real = npt.NDArray[np.float64]


class _Tape:
    """Computes each op when it is emitted."""

    def __init__(self, values: Mapping[int, Array], wanted: set[int]) -> None:
        self.state = Tensor.make("state", np.int32, (8,))
        self.scales = Tensor.make("scales", np.float32, (_SLOTS,))
        self.ranges = Tensor.make("ranges", np.float32, (_SLOTS,))
        self.step = Step(
            variables={},
            scales=np.zeros(_SLOTS, np.float32),
            ranges=np.zeros(_SLOTS, np.float32),
            activation=lambda tensor: values[id(tensor)],
            target=None,
            rate=np.float32(0),
            seed=0,
            number=1,
        )
        self.producers: list[tuple[Tensor, Producer]] = []
        self.passed: list[tuple[Tensor, Gradient]] = []
        self._wanted = wanted
        self._slots = 0

    def trained(self, op: Op) -> None:
        return None

    def wants(self, tensor: Tensor) -> bool:
        return id(tensor) in self._wanted

    def pass_through(self, tensor: Tensor, gradient: Gradient) -> None:
        self.passed.append((tensor, gradient))

    def produce(self, tensor: Tensor, producer: Producer, takes_addend: bool) -> None:
        self.producers.append((tensor, producer))

    def intermediate(self, of: Tensor) -> Gradient:
        self._slots += 1
        return Gradient(Tensor.make(of.name, np.int8, of.shape), self._slots - 1, of)

    def constant(self, name: str, data: npt.NDArray[np.generic]) -> Tensor:
        return Tensor.constant(name, data)

    def emit(self, params: Any, inputs: Any, outputs: Any) -> None:
        op = Op(params.custom_name, inputs.in_order(), outputs.in_order())
        twin = KERNELS[type(params)].twin
        assert twin is not None
        twin(op, ops.unpack(params.pack(), op.name), self.step)

    def real(self, gradient: Gradient) -> Real:
        q = self.step.value(gradient.tensor).astype(np.float64)
        return q.reshape(gradient.of.shape) * np.float64(self.step.scales[gradient.slot])


def input_gradients(
    op: Op, gradient: QuantizedGradient, values: Mapping[int, Array]
) -> list[Real | None]:
    """The gradients of an op's inputs.

    Args:
      op: It satisfies the conditions of its rule.
      gradient: Of its output.
      values: Of the tensors that are not constant, by id, its output among them.

    Returns:
      Of each input; None of a constant.
    """
    for constraint in RULES[op.name].constraints():
        assert constraint(op) is None, constraint(op)
    computed = [t for t in op.inputs if t is not None and t.data is None]
    tape = _Tape(values, {id(tensor) for tensor in computed})
    given = tape.intermediate(op.output)
    tape.step.store(given.tensor, gradient.q)
    tape.step.scales[given.slot] = gradient.scale
    RULES[op.name].backward(op, given, tape)  # type: ignore[arg-type]
    found: dict[int, Real] = {}
    for tensor, part in tape.passed:
        found[id(tensor)] = found.get(id(tensor), 0.0) + tape.real(part)
    for tensor, produce in tape.producers:
        made = tape.intermediate(tensor)
        produce(Destination(made, MaskInput(), None))
        found[id(tensor)] = found.get(id(tensor), 0.0) + tape.real(made)
    return [found.get(id(tensor)) for tensor in op.inputs]
