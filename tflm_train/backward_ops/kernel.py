"""What is said of the kernel of a training op: its twin in numpy, and the memory it asks for.

A file of this package has a `KERNELS`, by the declarations of the ops that it is about. A twin
reads an op's tensors from a `Step`, and puts there what the op writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.numerics import Mask, QuantizedGradient, Requantized
from tflm_train.graph import Op, Tensor
from tflm_train.ops.target import Struct

WORD = 4
"""Bytes of an int32."""
HALF_WORD = 2
"""Bytes of an int16."""
LANES = 4
"""How many sums the kernels keep side by side."""

Array = npt.NDArray[Any]
Target = int | Array | None
"""A class index, or the target values; None where the model's own input is the target."""


@dataclass
class Step:
    """One training step.

    Attributes:
      variables: Values by tensor id; scales and ranges are changed in place, others replaced.
      scales: The values of `train/scales`, one for each slot of a gradient.
      ranges: Those of `train/ranges`, the running ratios.
      activation: Gives the forward value of a tensor.
      target: What the model should have answered.
      rate: The learning rate.
      seed: Of the random rounding.
      number: Of the step, from 1.
      made: Values that the step's ops have written so far, by tensor id.
      loss: What LOSS found.
    """

    variables: dict[int, Array]
    scales: Array
    ranges: Array
    activation: Callable[[Tensor], Array]
    target: Target
    rate: np.float32
    seed: int
    number: int
    made: dict[int, Array] = field(default_factory=dict)
    loss: np.float32 = field(default=np.float32(0))

    def value(self, tensor: Tensor) -> Array:
        """A tensor's value at this point of the step."""
        if id(tensor) in self.made:
            return self.made[id(tensor)]
        if id(tensor) in self.variables:
            return self.variables[id(tensor)]
        return self.activation(tensor) if tensor.data is None else tensor.data

    def optional(self, tensor: Tensor | None) -> Array | None:
        """The value of a tensor that may be left out."""
        return None if tensor is None else self.value(tensor)

    def gradient(self, tensor: Tensor, slot: int) -> QuantizedGradient:
        """A gradient with its scale."""
        return QuantizedGradient(self.value(tensor), np.float32(self.scales[slot]))

    def mask(self, fields: ops.MaskFields, tensor: Tensor | None) -> Mask | None:
        """The clamp mask that a gradient is written through, where there is one."""
        if tensor is None:
            return None
        kind = ops.MaskKind(fields.mask_kind)
        return Mask(kind, self.value(tensor), fields.act_min, fields.act_max)

    def range_of(self, slot: int) -> np.float32:
        """The running range of a slot."""
        return np.float32(self.ranges[slot])

    def store(self, tensor: Tensor, value: Array) -> None:
        """Writes a tensor that is no variable."""
        assert value.size == tensor.size, tensor.name
        self.made[id(tensor)] = value

    def store_gradient(
        self, tensor: Tensor, slot: int, result: QuantizedGradient | Requantized
    ) -> None:
        """Writes a gradient, its scale and, where it was requantised, its range."""
        self.store(tensor, result.q)
        self.scales[slot] = result.scale
        if isinstance(result, Requantized):
            self.ranges[slot] = result.range_

    def requantized(
        self, op: Op, params: Any, inputs: Any, function: Callable[..., Requantized], *values: Any
    ) -> None:
        """Writes a gradient that a function of this package computes and requantises.

        Args:
          op: The op, whose output it is.
          params: Its parameters, with the slots and the mask.
          inputs: Its inputs by their names.
          function: Of the incoming gradient, the values, the slot's range, the mask and, where the
            op takes one, the gradient to add.
          *values: What it takes besides.
        """
        addend = getattr(inputs, "addend", None)
        more = [] if addend is None else [self.gradient(addend, params.slot_addend)]
        result = function(
            self.gradient(inputs.gradient, params.slot_in),
            *values,
            self.range_of(params.slot_out),
            self.mask(params.mask, inputs.mask),
            *more,
        )
        self.store_gradient(op.output, params.slot_out, result)

    def change(self, tensor: Tensor, value: Array) -> None:
        """Gives a variable another value."""
        self.variables[id(tensor)] = value.reshape(tensor.shape)


Twin = Callable[[Op, Any, Step], None]
"""Does what an op of a kind does, given the op, its parameters and the step."""


def _nothing(params: Any) -> int:
    del params
    return 0


@dataclass(frozen=True)
class Kernel:
    """What is said of the kernel of one kind of training op.

    Attributes:
      twin: Does the same in numpy; None for RESTORE, FINISH and the forward ops, whose work a
        `Step` finds done.
      scratch: The scratch it asks for, in bytes, by the op's parameters.
      persistent: The struct that it keeps for the life of the interpreter, beside its node's data,
        by the op's parameters; None where there is none.
    """

    twin: Twin | None = None
    scratch: Callable[[Any], int] = _nothing
    persistent: Callable[[Any], Struct] | None = None


Kernels = dict[type[ops.Params], Kernel]
