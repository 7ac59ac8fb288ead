"""Which channels of a layer train when only a part of them does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tflm_train.errors import SchemeError
from tflm_train.model.layers import Layer
from tflm_train.scheme.scheme import WeightUpdate


def select_channels(update: WeightUpdate, layer: Layer, seed: int) -> npt.NDArray[np.int64]:
    """Chooses the trained input channels of a layer.

    Args:
      update: What the scheme says of the layer.
      layer: The layer, its weights still constant.
      seed: For `select: random`.

    Returns:
      int64, ascending; all channels when the whole layer trains.

    Raises:
      SchemeError: More channels than the layer has.
    """
    count = layer.in_channels
    if isinstance(update.channels, tuple):
        if update.channels[-1] >= count:
            raise SchemeError(
                f"update.weights: channel {update.channels[-1]} does not exist: {layer} has input "
                f"channels 0 to {count - 1}"
            )
        return np.array(update.channels, np.int64)
    kept = update.channels
    if kept is None:
        kept = max(1, int(update.ratio * count + 0.5))
    if kept > count:
        raise SchemeError(
            f"update.weights: {kept} channels asked for, but {layer} has {count} input channels"
        )
    if kept == count or update.select == "first":
        return np.arange(kept)
    if update.select == "random":
        rng = np.random.default_rng([seed, layer.index])
        return np.sort(rng.choice(count, kept, replace=False))
    norms = _channel_norms(layer, count)
    return np.sort(np.argsort(-norms, kind="stable")[:kept])


def _channel_norms(layer: Layer, count: int) -> npt.NDArray[np.float64]:
    """L2 norm of each input channel's weights in real units: float64 `[count]`."""
    weights = layer.weights
    assert weights.data is not None and weights.quantization is not None
    scales = weights.quantization.scale.astype(np.float64)
    if layer.is_depthwise:
        squares = (weights.data.astype(np.float64) * scales) ** 2
        return np.asarray(np.sqrt(squares.sum(axis=(0, 1, 2)).reshape(count, -1).sum(axis=1)))
    rows = weights.data.astype(np.float64).reshape(weights.shape[0], -1, count)
    return np.asarray(np.sqrt(((rows * scales.reshape(-1, 1, 1)) ** 2).sum(axis=(0, 1))))
