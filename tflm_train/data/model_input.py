"""The way of samples into the input of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tflm_train.data.dataset import Array, Samples, check_samples
from tflm_train.data.pictures import ImageFiles, picture_to_int8
from tflm_train.errors import DataError

Int8Array: TypeAlias = npt.NDArray[np.int8]


def to_model_input(
    x: Samples, shape: Sequence[int], scale: float, zero_point: int, name: str = "x"
) -> Int8Array:
    """Converts samples to the int8 input of a model, one at a time: no float copy of the whole.

    uint8 pictures are resized (bilinear) and converted between grey and RGB where the model asks
    for it, then mapped by subtracting 128, as the camera pipelines of int8 models do. Float values
    are quantised, `q = clip(round(x / scale) + zero_point)`, ties away from zero. int8 values are
    taken as they are.

    Args:
        x: [n, ...] samples, or files.
        shape: of the model's input tensor, batch of 1 first.
        scale: of the model's input tensor.
        zero_point: of the model's input tensor.
        name: what to call `x` in messages.

    Returns:
        int8 [n, *shape[1:]].

    Raises:
        DataError: shape, type or values cannot be made to fit.
    """
    target = tuple(int(extent) for extent in shape[1:])
    out = np.empty((len(x), *target), dtype=np.int8)
    if isinstance(x, ImageFiles):
        for i in range(len(x)):
            out[i] = picture_to_int8(x.decode(i), target, str(x.paths[i]))
        return out
    check_samples(x, name)
    if x.dtype == np.uint8:
        for i, sample in enumerate(x):
            out[i] = picture_to_int8(sample, target, name)
        return out
    if x.shape[1:] != target and (*x.shape[1:], 1) != target:
        raise DataError(
            f"{name}: samples of shape {list(x.shape[1:])} do not fit the model's input "
            f"{list(target)}; only uint8 pictures are resized"
        )
    for i, sample in enumerate(x):
        quantised = sample if x.dtype == np.int8 else quantise(sample, scale, zero_point)
        out[i] = quantised.reshape(target)
    return out


def quantise(
    x: Array, scale: float, zero_point: int, dtype: type[np.signedinteger[Any]] = np.int8
) -> Array:
    """`clip(round(x / scale) + zero_point)` to the type's range; in doubles, ties from zero."""
    ratio = x.astype(np.float64) / float(scale)
    rounded = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
    limits = np.iinfo(dtype)
    q: Array = np.clip(rounded + zero_point, limits.min, limits.max).astype(dtype)
    return q
