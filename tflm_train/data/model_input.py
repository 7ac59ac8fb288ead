"""The way of samples into the input of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tflm_train.data.dataset import Array, Samples, check_samples
from tflm_train.data.normalization import Normalization
from tflm_train.data.pictures import ImageFiles, resize_picture
from tflm_train.errors import DataError

Int8Array: TypeAlias = npt.NDArray[np.int8]

_PIXELS = 256
_RULES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0), (-0.5, 0.5))
"""What a pixel of 0 and of 255 is to models that take pictures."""
_NEAR = 0.015
"""Of the width of a rule: by so much a range may differ and be meant."""
_ENOUGH = 0.75
"""A range that was measured reaches over at least that share of its rule."""
_IMAGENET = "--mean 123.675,116.28,103.53 --std 58.395,57.12,57.375"


def are_pictures(x: Samples) -> bool:
    """Whether samples are pixels of 0 to 255."""
    return isinstance(x, ImageFiles) or x.dtype == np.uint8


def pixels_of(x: Samples, shape: Sequence[int], name: str) -> npt.NDArray[np.uint8]:
    """Pictures in the size of a model's input, one at a time.

    They are resized (bilinear) and converted between grey and RGB where the model asks for it.

    Args:
        x: [n, ...] pictures, or files.
        shape: of the model's input tensor, batch of 1 first.
        name: what to call `x` in messages.

    Returns:
        uint8 [n, *shape[1:]].

    Raises:
        DataError: they are no pictures, or the model takes none.
    """
    target = tuple(int(extent) for extent in shape[1:])
    out = np.empty((len(x), *target), np.uint8)
    for i, pixels in enumerate(_pictures(x, target, name)):
        out[i] = pixels
    return out


def _pictures(x: Samples, target: tuple[int, ...], name: str) -> Iterator[npt.NDArray[np.uint8]]:
    for i in range(len(x)):
        if isinstance(x, ImageFiles):
            yield resize_picture(x.decode(i), target, str(x.paths[i]))
        else:
            yield resize_picture(x[i], target, name)


def to_model_input(
    x: Samples,
    shape: Sequence[int],
    scale: float,
    zero_point: int,
    name: str = "x",
    normalization: Normalization | None = None,
) -> Int8Array:
    """Converts samples to the int8 input of a model: no float copy of the whole.

    uint8 pictures become the real values that `normalization` says, else those of the rule that
    the input's range follows (0 to 1, -1 to 1, 0 to 255 and the like). Float values are taken
    for real ones, after `normalization`. Real values are quantised, `q = clip(round(x / scale) +
    zero_point)`, ties away from zero. int8 values are taken as they are.

    Args:
        x: [n, ...] samples, or files.
        shape: of the model's input tensor, batch of 1 first.
        scale: of the model's input tensor.
        zero_point: of the model's input tensor.
        name: what to call `x` in messages.
        normalization: what the model was trained on, where that is stated.

    Returns:
        int8 [n, *shape[1:]].

    Raises:
        DataError: shape, type or values cannot be made to fit.
    """
    if isinstance(x, np.ndarray):
        check_samples(x, name)
    if are_pictures(x):
        target = tuple(int(extent) for extent in shape[1:])
        codes = pixel_codes(scale, zero_point, name, normalization)
        if len(codes) not in (1, target[-1]):
            raise DataError(
                f"{name}: the model takes pictures of {target[-1]} channels, --mean and --std are "
                f"for {len(codes)}"
            )
        channels = np.arange(target[-1]) if len(codes) > 1 else 0
        out = np.empty((len(x), *target), np.int8)
        for i, pixels in enumerate(_pictures(x, target, name)):
            out[i] = codes[channels, pixels]
        return out
    assert isinstance(x, np.ndarray)
    target = fitting_shape(x, shape, name)
    if x.dtype == np.int8:
        if normalization is not None:
            raise DataError(
                f"{name} is int8, what the model's input takes already; leave out --mean and --std"
            )
        return x.reshape(len(x), *target)
    out = np.empty((len(x), *target), np.int8)
    for i, sample in enumerate(x):
        real = sample if normalization is None else normalization.real_values(sample, name)
        out[i] = quantise(real, scale, zero_point).reshape(target)
    return out


def fitting_shape(x: Array, shape: Sequence[int], name: str) -> tuple[int, ...]:
    """The shape of a model's input without its batch, which samples must have.

    Axes of one element may be missing or stand elsewhere, and one of the two may be flat.

    Args:
        x: [n, ...] samples that are no pictures.
        shape: of the model's input tensor, batch of 1 first.
        name: what to call `x` in messages.

    Raises:
        DataError: the samples have another shape.
    """
    target = tuple(int(extent) for extent in shape[1:])
    given = x.shape[1:]
    long_axes = [tuple(e for e in extents if e != 1) for extents in (given, target)]
    is_flat = min(map(len, long_axes)) <= 1 and np.prod(given) == np.prod(target)
    if long_axes[0] != long_axes[1] and not is_flat:
        raise DataError(
            f"{name}: samples of shape {list(given)} do not fit the model's input {list(target)}; "
            "only uint8 pictures are resized"
        )
    return target


def pixel_codes(
    scale: float, zero_point: int, name: str, normalization: Normalization | None
) -> Int8Array:
    """What the input of a model takes for each pixel.

    Args:
        scale: of the model's input tensor, which is int8.
        zero_point: likewise.
        name: what to call the pictures in messages.
        normalization: what the model was trained on, where that is stated.

    Returns:
        [1 or channels, 256].

    Raises:
        DataError: nothing is stated, and the input's range follows no rule.
    """
    pixels = np.arange(_PIXELS)
    if normalization is not None:
        rows = np.repeat(pixels[:, np.newaxis], normalization.channels, axis=1)
        return quantise(normalization.real_values(rows, name), scale, zero_point).T
    low, high = ((code - zero_point) * scale for code in (-128, 127))
    black, white = pixel_rule(low, high, name)
    if _is_near((low, high), (black, white)):
        # Each code is a pixel; which half of a step belongs to zero is not in the range.
        return (pixels - 128).astype(np.int8)[np.newaxis]
    real = black + pixels * ((white - black) / (_PIXELS - 1))
    return quantise(real, scale, zero_point)[np.newaxis]


def pixel_rule(low: float, high: float, name: str) -> tuple[float, float]:
    """The real values of a pixel of 0 and of 255 that an input's range tells.

    Args:
        low: the least real value that the input takes.
        high: the largest one.
        name: what to call the pictures in messages.

    Raises:
        DataError: it tells none.
    """
    for rule in _RULES:
        if _is_near((low, high), rule):
            return rule
    for black, white in _RULES:
        width = white - black
        inside = low >= black - _NEAR * width and high <= white + _NEAR * width
        if inside and high - low >= _ENOUGH * width:
            return black, white
    raise DataError(
        f"{name}: the model's input takes {low:.4g} to {high:.4g}, and no rule says what a pixel "
        f"of 0 to 255 is there; give --mean and --std of the pixels (of ImageNet's: {_IMAGENET})"
    )


def quantise(
    x: Array, scale: float, zero_point: int, dtype: type[np.integer[Any]] = np.int8
) -> Array:
    """`clip(round(x / scale) + zero_point)` to the type's range; in doubles, ties from zero."""
    ratio = x.astype(np.float64) / float(scale)
    rounded = np.copysign(np.floor(np.abs(ratio) + 0.5), ratio)
    limits = np.iinfo(dtype)
    q: Array = np.clip(rounded + zero_point, limits.min, limits.max).astype(dtype)
    return q


def _is_near(found: tuple[float, float], rule: tuple[float, float]) -> bool:
    most = _NEAR * (rule[1] - rule[0])
    return all(abs(a - b) <= most for a, b in zip(found, rule, strict=True))
