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
from tflm_train.backward_ops.trained_layer import LayerSize, StepFields, TrainedLayer
from tflm_train.graph import Op, Tensor
from tflm_train.ops.declaration import Inputs, Outputs
from tflm_train.ops.tensors import slots_of


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
class Destination:
    """What an op that writes a gradient is given beside that of its op's output.

    Attributes:
      gradient: The gradient that it writes.
      mask: What it is written through.
      addend: Another gradient to add before quantising; None without one.
    """

    gradient: Gradient
    mask: MaskInput
    addend: Gradient | None

    @property
    def slot(self) -> int:
        """The slot of its scale."""
        return self.gradient.slot

    @property
    def slot_addend(self) -> int:
        """The addend's slot, -1 without one."""
        return -1 if self.addend is None else self.addend.slot

    def constant_name(self, what: str) -> str:
        """The name of a constant that the op reads."""
        return f"{self.gradient.tensor.name}/{what}"


Producer = Callable[[Destination], None]
"""Emits the op that writes a gradient."""


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

    def trained(self, op: Op) -> TrainedLayer | None:
        """What trains of a layer; None where nothing does."""
        ...

    def takes_bias_gradient(self, op: Op, gradient: Gradient) -> bool:
        """Whether a layer's bias is moved by the sum of its uses' gradients, of which this is one.

        Args:
          op: The layer.
          gradient: Of its output, finished.
        """
        ...

    def step_of(self, size: LayerSize) -> StepFields:
        """What the scheme's optimizer says of a layer."""
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

    def intermediate(self, of: Tensor) -> Gradient:
        """A gradient that a rule hands to another op of its own, in the shape of a tensor."""
        ...

    def constant(self, name: str, data: npt.NDArray[np.generic]) -> Tensor:
        """Adds a constant."""
        ...

    def emit(
        self, params: ops.TrainingOp[Inputs, Outputs], inputs: Inputs, outputs: Outputs
    ) -> object:
        """Emits a training op."""
        ...

    def emit_update(
        self, name: str, params: ops.TrainingOp[Inputs, ops.UpdateOutputs], inputs: Inputs
    ) -> Op:
        """Emits an op that changes variables among its inputs, called after what it updates."""
        ...

    def add(self, tensor: Tensor) -> Tensor:
        """Adds a tensor that an op writes."""
        ...


def emit_gradient(
    tape: Tape, params: ops.Params, of_output: Gradient, to: Destination, **own: Tensor | None
) -> None:
    """Emits an op that writes a gradient of one of an op's inputs.

    The tensors that such ops share follow from the arguments; the op takes those that it declares.

    Args:
      tape: Takes the op.
      params: The op's parameters.
      of_output: The gradient of the differentiated op's output.
      to: Where the op's result goes.
      **own: Its other inputs, by their names.
    """
    shared = {
        "gradient": of_output.tensor,
        "mask": to.mask.tensor,
        "addend": None if to.addend is None else to.addend.tensor,
        "scales": tape.scales,
        "ranges": tape.ranges,
        "state": tape.state,
    }
    names = {slot.name for slot in slots_of(params.INPUTS)}
    taken = {name: tensor for name, tensor in shared.items() if name in names}
    outputs = ops.GradientOutputs(gradient=to.gradient.tensor)
    tape.emit(params, params.INPUTS(**taken, **own), outputs)


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
