"""What a gradient rule is, and what it may ask of the rewriter.

A rule lives in the file of its operator and knows nothing of passes, files or the command line. It
receives the finished gradient of its op's output and, through the `Tape`, hands gradients on.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.graph import Op, Tensor
from tflm_train.ops.declaration import Inputs, Outputs
from tflm_train.ops.geometry import Geometry


@dataclass(frozen=True)
class Gradient:
    """An int8 gradient tensor.

    Attributes:
      tensor: Holds it.
      slot: The slot of its scale.
      of: The tensor whose gradient it is; says which output of an op with several it belongs to.
    """

    tensor: Tensor
    slot: int
    of: Tensor


@dataclass(frozen=True)
class Clamp:
    """The quantised range of a fused activation: outside it the gradient is zero."""

    act_min: int
    act_max: int


@dataclass(frozen=True)
class MaskInput:
    """The clamp mask a gradient is written through: parameters and the tensor they refer to."""

    fields: ops.MaskFields = field(default_factory=ops.MaskFields)
    tensor: Tensor | None = None


@dataclass(frozen=True)
class Addend:
    """An optional gradient to add before quantising."""

    gradient: Gradient | None = None

    @property
    def slot(self) -> int:
        """The addend's slot, -1 without one."""
        return -1 if self.gradient is None else self.gradient.slot

    @property
    def tensor(self) -> Tensor | None:
        """The addend's tensor, None without one."""
        return None if self.gradient is None else self.gradient.tensor


@dataclass(frozen=True)
class Columns:
    """The trained part of a layer that trains in part.

    Attributes:
      weights: The variable: int8, the trained channels of the weights' last axis.
      kept: int64, those channels, ascending.
      listed: The int16 constant that tells our ops: of a convolution the other channels, then the
        kept ones; of a depthwise layer the kept ones.
    """

    weights: Tensor
    kept: npt.NDArray[np.int64]
    listed: Tensor


Producer = Callable[[Gradient, MaskInput, Addend], None]
"""Emits the op that writes a gradient, through a mask, adding another gradient."""


class Tape(Protocol):
    """What a rule may ask of the differentiation pass."""

    @property
    def state(self) -> Tensor:
        """The live state, the last input of every training op."""
        ...

    @property
    def scales(self) -> Tensor:
        """The gradient scales, one per slot."""
        ...

    @property
    def ranges(self) -> Tensor:
        """The running ratios, one per slot."""
        ...

    def columns(self, op: Op) -> Columns | None:
        """The trained part of a layer that trains in part, else None."""
        ...

    def wants(self, tensor: Tensor) -> bool:
        """Whether any update needs the gradient of `tensor`."""
        ...

    def pass_through(self, tensor: Tensor, gradient: Gradient) -> None:
        """The gradient of `tensor` is an existing one, as it is."""
        ...

    def produce(self, tensor: Tensor, producer: Producer, takes_addend: bool) -> None:
        """The gradient of `tensor` is written by an op that `producer` emits when asked."""
        ...

    def update(self, op: Op, gradient: Gradient, geometry: Geometry) -> None:
        """Updates whatever trains of a layer, given the gradient of its output."""
        ...

    def old_weights_read(self, op: Op, made: Gradient) -> None:
        """The update of a layer must wait for this gradient, computed with its weights."""
        ...

    def constant(self, name: str, data: npt.NDArray[np.generic]) -> Tensor:
        """Adds a constant."""
        ...

    def emit(
        self, params: ops.TrainingOp[Inputs, Outputs], inputs: Inputs, outputs: Outputs
    ) -> object:
        """Emits a training op."""
        ...


Constraint = Callable[[Op], str | None]
"""A condition on an op: None where it holds, else what breaks it.

Its docstring states the condition in one sentence for the table of supported operators."""


class GradientRule(abc.ABC):
    """How one TFLite operator is differentiated."""

    @abc.abstractmethod
    def constraints(self) -> Sequence[Constraint]:
        """What an op must satisfy; later ones may rely on the earlier ones."""

    def why_not(self, op: Op) -> str | None:
        """Why this op cannot be differentiated, None when it can."""
        for constraint in self.constraints():
            reason = constraint(op)
            if reason is not None:
                return reason
        return None

    def clamp(self, op: Op) -> Clamp | None:
        """The clamp range of the op's activation, None where the output needs no mask."""
        del op
        return None

    @abc.abstractmethod
    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        """Hands an output's gradient on to the inputs and updates what trains.

        Args:
          op: The op, which satisfies the constraints.
          gradient: The finished gradient of one of its outputs; called once for each that has one.
          tape: Takes the inputs' gradients.
        """
