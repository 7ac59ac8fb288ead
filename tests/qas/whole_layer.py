"""The step of a whole layer from its integer gradients on, by the arithmetic of `qas.update`.

The twins of the update ops do the same from the ops' tensors on; a case of a layer that trains in
part is cut out of this one.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tflm_train.ops.geometry import Geometry, TapWindow
from tflm_train.qas import update


class Parameters(NamedTuple):
    """The trained tensors of one layer.

    Attributes:
      weights: int8 `[out_c, k_h, k_w, in_c]` or, depthwise, `[k_h, k_w, out_c]`.
      bias: int32 `[out_c]`, or None if the layer has none.
      residual: int8 in the shape of `weights`, in 256ths of a weight step; None rounds
        stochastically.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32] | None
    residual: npt.NDArray[np.int8] | None


def update_layer(
    parameters: Parameters,
    weight_gradient: npt.NDArray[np.int32],
    bias_gradient: npt.NDArray[np.int32],
    layer_factors: update.Factors,
    geometry: Geometry,
    *,
    learning_rate: float | np.float32,
    grad_scale: np.float32,
    depthwise: bool,
    residual_bits: int,
    key: int = 0,
    taps: TapWindow | None = None,
) -> Parameters:
    """CONV_UPDATE and DEPTHWISE_UPDATE from the integer gradients on.

    Args:
      parameters: The layer's tensors; weights in the layout of `geometry`.
      weight_gradient: `G`, int32 in the shape of the weights.
      bias_gradient: `B`, int32 `[out_c]`.
      layer_factors: From `factors`.
      geometry: The layer's.
      learning_rate: In real units.
      grad_scale: Scale of the layer's output gradient.
      depthwise: Whether the weights are `[k_h, k_w, out_c]`.
      residual_bits: 8, 4 or 0.
      key: From `stochastic_key`; unused with 8 bits.
      taps: The trained taps; None trains all.

    Returns:
      The new tensors.
    """
    shift = update.gain_shift(geometry.positions)
    weights, residual = update.update_weights(
        parameters.weights,
        parameters.residual,
        weight_gradient,
        update.multipliers(
            learning_rate,
            grad_scale,
            layer_factors.kw,
            shift,
            residual_bits,
            update.step_limit(geometry, depthwise, shift, residual_bits),
        ),
        shift,
        channel_axis=-1 if depthwise else 0,
        residual_bits=residual_bits,
        key=key,
        trained=None if taps is None else update.trained_taps(geometry, taps, depthwise),
    )
    bias = parameters.bias
    if bias is not None:
        bias = update.update_bias(bias, bias_gradient, layer_factors.kb, learning_rate, grad_scale)
    return Parameters(weights, bias, residual)
