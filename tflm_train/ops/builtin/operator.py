"""What is declared of a builtin TFLite operator, in one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.graph import Op
from tflm_train.ops.builtin.memory import MemoryRule
from tflm_train.ops.builtin.shapes import ShapeRule
from tflm_train.ops.constants import LossKind, StageKind

ANY_NUMBER = 1 << 16
Real = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """A part of a partial derivative: a function of one tensor, or a product of such.

    Attributes:
      value: Its values, of the tensor's real ones and the op's options.
      of: Which input that tensor is; None: the output.
      times: What it is multiplied by.
    """

    value: Callable[[Real, Any], Real]
    of: int | None = 0
    times: Term | None = None


@dataclass(frozen=True)
class LayerForm:
    """How a layer with weights is laid out.

    Attributes:
      macs: Its multiply-accumulates of one inference, padding taps counted.
      input: Which input is the activation.
      weights: Which one the filter.
      bias: Which one the bias, which may be left out.
      is_depthwise: Whether each output channel belongs to one input channel; they are then the
        filter's last dimension, else its first.
      flattens: Whether it takes its input as rows of as many numbers as the filter has columns.
      prepared_twice: Whether TFLM looks at input, filter and output again in Prepare, to work out
        the multipliers.
      is_window: Whether its filter slides over an image with stride, dilation and padding, so that
        a PAD before it can be its own.
      scales_in_float: Whether TFLM multiplies the scales of input and filter in single precision.
      is_resizable: Whether its filter's first dimension and its bias alone say how many output
        channels it has.
    """

    macs: Callable[[Op], int]
    input: int = 0
    weights: int = 1
    bias: int = 2
    is_depthwise: bool = False
    flattens: bool = False
    is_window: bool = False
    scales_in_float: bool = False
    prepared_twice: bool = True
    is_resizable: bool = False


@dataclass(frozen=True)
class BuiltinOperator:
    """One builtin operator.

    Attributes:
      name: As the schema calls it.
      shapes: Which shapes its outputs must have; None where its structure is not known here.
      inputs: The fewest and the most inputs; those below the fewest must not be left out.
      options: The schema's options class; None where nothing reads them.
      outputs: How many; None for any number above 0.
      memory: What TFLM's kernels allocate; None where it is not modelled.
      method: What stands after `Add` in `MicroMutableOpResolver`, where it does not follow from the
        name.
      has_kernel: Whether TFLM can run it.
      is_float_only: Whether TFLM has no quantized form of it.
      layer: How its weights lie; None for an operator without.
      stage: What computes it as a part of a STREAM; None where nothing does.
      keeps_real_values: Whether it only writes the same numbers in another type or scale.
      keeps_elements: Whether its output is the input in another shape.
      chooses_largest: Whether it gives where the largest element is.
      keeps_channels: Whether, where its output has as many channels as its input, each is made of
        that one alone and in its scale.
      shape_input: Which input says the shape of its output, if its options' `newShape` does not;
        None where the other inputs do.
      pads_with_zero: Whether it surrounds its input by as many real zeros as input 1 says.
      is_source: Whether it reads what earlier invocations left, so that no gradient passes it.
      is_heavy: Whether it takes far more than some instructions for each element, without weights.
      loss: The loss that includes it where a model ends in it; None where none does.
      is_logarithm: Whether it gives logarithms of what that loss is about.
      partials: Of an operator that works element by element, its partial derivatives: for each
        input the terms whose sum it is. Its gradient needs no more.
    """

    name: str
    shapes: ShapeRule | None = None
    inputs: tuple[int, int] = (1, 1)
    options: type | None = None
    outputs: int | None = 1
    memory: MemoryRule | None = None
    method: str | None = None
    has_kernel: bool = True
    is_float_only: bool = False
    layer: LayerForm | None = None
    stage: StageKind | None = None
    keeps_real_values: bool = False
    keeps_elements: bool = False
    chooses_largest: bool = False
    keeps_channels: bool = False
    shape_input: int | None = None
    pads_with_zero: bool = False
    is_source: bool = False
    is_heavy: bool = False
    loss: LossKind | None = None
    is_logarithm: bool = False
    partials: tuple[tuple[Term, ...], ...] = ()

    @property
    def is_folded(self) -> bool:
        """Whether a loss takes it in: it may stand between the logits and the output."""
        return self.loss is not None or self.keeps_real_values

    @property
    def may_end(self) -> bool:
        """Whether a model may end in it behind the logits."""
        return self.is_folded or self.keeps_elements or self.chooses_largest

    @property
    def resolver_method(self) -> str:
        """What stands after `Add` in `MicroMutableOpResolver`."""
        if self.method is not None:
            return self.method
        words = self.name.split("_")
        return "".join(word if word[0].isdigit() else word.capitalize() for word in words)
