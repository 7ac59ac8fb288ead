"""Update rules: what each keeps for a trained tensor, and what it tells the update ops.

Their arithmetic is in `update.py` (the step) and `rules.py` (what comes on top of it), and once
more in `tflm_kernels/update.cc` and `update_rule.cc`. A rule is chosen by the `optimizer` of a
scheme; adding one is described in CONTRIBUTING.md.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tflm_train.backward_ops.trained_layer import LayerSize
from tflm_train.ops.structs import RuleFields

RESIDUAL_BITS = (0, 4, 8)


@dataclass(frozen=True)
class Kept:
    """A tensor that a rule keeps beside a trained one.

    Attributes:
      role: The name of the update ops' input that takes it.
      dtype: Its type.
      packed: Whether two elements share a byte; else it has the trained tensor's shape.
    """

    role: str
    dtype: npt.DTypeLike
    packed: bool = False


@dataclass(frozen=True)
class UpdateRule(abc.ABC):
    """How the gradients of samples become steps of the weights.

    Attributes:
      weight_decay: Decoupled: each step takes `learning_rate * weight_decay` off a weight.
      clip_norm: The largest L2 norm of a layer's gradient, in real units; 0 for no limit.
    """

    name: ClassVar[str]
    residual_bits: ClassVar[tuple[int, ...]]
    """The residuals that it works with."""
    weight_decay: float = 0.0
    clip_norm: float = 0.0

    @abc.abstractmethod
    def kept_for_weights(self, residual_bits: int) -> tuple[Kept, ...]:
        """What it keeps for trained weights."""

    @abc.abstractmethod
    def kept_for_bias(self) -> tuple[Kept, ...]:
        """What it keeps for a trained bias."""

    def fields(self, size: LayerSize) -> RuleFields:
        """Its part of the parameters of a layer's update."""
        meets = min(size.taps, size.positions)
        clips = self.clip_norm > 0
        return RuleFields(
            weight_decay=self.weight_decay if size.taps else 0.0,
            clip_norm=self.clip_norm,
            clip_x=meets * float(size.x_scale) ** 2 if clips else 0.0,
            clip_bias=float(size.bias_positions) if clips else 0.0,
        )


@dataclass(frozen=True)
class Sgd(UpdateRule):
    """Plain SGD: each sample's step is made at once."""

    name = "sgd"
    residual_bits: ClassVar[tuple[int, ...]] = RESIDUAL_BITS

    def kept_for_weights(self, residual_bits: int) -> tuple[Kept, ...]:
        if residual_bits == 0:
            return ()
        return (Kept("residual", np.uint8, residual_bits == 4),)

    def kept_for_bias(self) -> tuple[Kept, ...]:
        return ()


@dataclass(frozen=True)
class AccumulatedSgd(Sgd):
    """SGD that moves the weights after several samples, by the mean of their gradients.

    Attributes:
      steps: Samples for each step of the weights.
    """

    # The gathered steps are the high bytes above an 8-bit residual.
    residual_bits: ClassVar[tuple[int, ...]] = (8,)
    steps: int = 2

    def kept_for_weights(self, residual_bits: int) -> tuple[Kept, ...]:
        return (*super().kept_for_weights(residual_bits), Kept("gathered", np.int8))

    def kept_for_bias(self) -> tuple[Kept, ...]:
        return (Kept("bias_gathered", np.int32),)

    def fields(self, size: LayerSize) -> RuleFields:
        plain = super().fields(size)
        return RuleFields(
            self.steps, plain.weight_decay, plain.clip_norm, plain.clip_x, plain.clip_bias
        )
