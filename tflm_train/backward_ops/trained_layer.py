"""What is known of a layer that trains when the ops are emitted that train it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tflm_train.graph import Tensor
from tflm_train.model.layers import Layer
from tflm_train.ops.structs import RuleFields


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


@dataclass(frozen=True)
class TrainedLayer:
    """A layer of the plan with the tensors its update needs.

    Attributes:
      layer: The layer.
      weights: Its weight variable (the columns of a layer that trains in part), None where only the
        bias trains.
      columns: Which part trains; None where the whole layer does.
      bias: Its bias variable, None where the layer has none.
      kept: What the update rule keeps beside weights and bias, by the role it has there.
      weight_factors: float32 [trained out channels], s_x / s_W (0 for frozen channels).
      bias_factors: float32 [out channels], 1 / (s_x * s_W).
      frozen_channels: How many channels were frozen because their scale is degenerate.
      taps: (y0, y1, x0, x1), the trained taps of the kernel.
    """

    layer: Layer
    weights: Tensor | None
    columns: Columns | None
    bias: Tensor | None
    kept: dict[str, Tensor]
    weight_factors: npt.NDArray[np.float32]
    bias_factors: npt.NDArray[np.float32]
    frozen_channels: int
    taps: tuple[int, int, int, int]

    @property
    def variables(self) -> list[Tensor]:
        """All that an update changes."""
        trained = [t for t in (self.weights, self.bias) if t is not None]
        return [*trained, *self.kept.values()]


@dataclass(frozen=True)
class LayerSize:
    """What the norm of a layer's gradient is bounded by.

    Attributes:
      taps: Trained taps of the kernel; 0 where only the bias trains.
      positions: That a weight's gradient is summed over.
      bias_positions: That a bias's gradient is summed over; 0 where none trains.
      x_scale: Scale of the layer's input.
    """

    taps: int
    positions: int
    bias_positions: int
    x_scale: float


@dataclass(frozen=True)
class StepFields:
    """What the scheme's optimizer says of a layer's weights.

    Attributes:
      residual_bits: Kept of each beside its int8.
      gain_shift: How far the sum of their gradient is shifted.
      rule: What comes on top of plain SGD.
    """

    residual_bits: int
    gain_shift: int
    rule: RuleFields
