"""Single operators on each side of every case distinction of the memory model's kernels.

`KERNEL_CASES` has one model of each; what TFLM's kernels ask for in them was measured with
`python -m benchmarks.kernel_memory` and lies in benchmarks/results/kernel_memory.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tests.memory import other_kernel_cases
from tests.single_op import (
    Shape,
    Window,
    activation,
    bias,
    describe,
    integers,
    model_of,
    variable,
    weights,
)
from tflm_train.model import Model, Tensor

ONE = (1, 1)


@cache
def kernel_cases() -> dict[str, Model]:
    """All cases by what `describe` says of them."""
    makers = (
        _convolutions(), _row_convolutions(), _depthwise_convolutions(), _fully_connected(),
        _transposed_convolutions(), _pools(), other_kernel_cases.models(),
    )  # fmt: skip
    models = [model for maker in makers for model in maker]
    cases = {describe(model): model for model in models}
    assert len(cases) == len(models), "a case is there twice"
    return cases


def _convolution(
    shape: Shape,
    out_c: int,
    window: Window,
    *,
    depth: int | None = None,
    per_channel: bool = True,
    with_bias: bool = True,
    constant: bool = True,
    dtype: npt.DTypeLike = np.int8,
) -> Model:
    """A CONV_2D; `depth` is that of the filter where it is not that of the input."""
    x = activation(*shape, dtype=dtype)
    kernel = (out_c, *window.kernel, depth or shape[3])
    filters = weights(*kernel, dtype=_filter_type(dtype), per_channel=per_channel)
    y = activation(*window.output(shape, out_c), dtype=dtype)
    options = window.fill(schema.Conv2DOptionsT())
    return _layer("CONV_2D", x, filters, y, options, with_bias, constant)


def _layer(
    name: str,
    x: Tensor,
    filters: Tensor,
    y: Tensor,
    options: Any,
    with_bias: bool,
    constant: bool,
    constant_bias: bool | None = None,
) -> Model:
    """A layer; `constant_bias` is said where the bias is not as constant as the filter."""
    inputs = [x, filters if constant else variable(filters)]
    if with_bias:
        shift = bias(y.shape[-1], filters, x)
        is_constant = constant if constant_bias is None else constant_bias
        inputs.append(shift if is_constant else variable(shift))
    return model_of(name, inputs, y, options)


def _filter_type(dtype: npt.DTypeLike) -> npt.DTypeLike:
    return np.float32 if np.dtype(dtype) == np.float32 else np.int8


def _convolutions() -> Iterator[Model]:
    # Pointwise ones need no scratch, unless something stands in the way of the fast kernel.
    yield _convolution((1, 8, 8, 16), 24, Window(ONE))
    yield _convolution((1, 7, 5, 3), 5, Window(ONE))
    yield _convolution((1, 8, 8, 16), 24, Window(ONE, (2, 2)))
    yield _convolution((1, 8, 8, 16), 24, Window(ONE, same=False))
    yield _convolution((1, 8, 8, 16), 24, Window(ONE, dilation=(2, 2)))
    yield _convolution((1, 8, 8, 16), 24, Window(ONE), depth=8)
    yield _convolution((1, 4, 4, 8), 300, Window(ONE))
    yield _convolution((1, 8, 8, 16), 24, Window(ONE), per_channel=False)
    yield _convolution((1, 8, 8, 16), 24, Window(ONE), with_bias=False)
    yield _convolution((1, 8, 8, 16), 24, Window(ONE), constant=False)
    # General ones: columns that are multiples of 4 and 16, and not.
    for channels in (1, 2, 3, 4, 5, 8, 16, 17):
        yield _convolution((1, 9, 9, channels), 8, Window())
    yield _convolution((1, 9, 9, 3), 8, Window(stride=(2, 2)))
    yield _convolution((1, 9, 9, 3), 8, Window(same=False))
    yield _convolution((1, 12, 10, 4), 8, Window((5, 3), (2, 1)))
    yield _convolution((1, 12, 10, 4), 8, Window(dilation=(2, 2)))
    yield _convolution((1, 12, 10, 4), 8, Window(dilation=(1, 2)))
    yield _convolution((1, 9, 9, 6), 8, Window(), depth=3)
    yield _convolution((2, 9, 9, 4), 8, Window())
    yield _convolution((1, 6, 6, 5), 70, Window((2, 2)))
    yield _convolution((1, 49, 10, 1), 8, Window((10, 4), (2, 2)))
    yield _convolution((1, 9, 9, 5), 8, Window(), constant=False)
    yield _convolution((1, 9, 9, 5), 8, Window(), per_channel=False, with_bias=False)
    # A row in an image of more rows is none of the one-row kernel's.
    yield _convolution((1, 4, 9, 4), 8, Window((1, 3)))
    yield _convolution((1, 9, 4, 4), 8, Window((3, 1), same=False))
    yield _convolution((1, 9, 9, 3), 8, Window(), dtype=np.float32)
    yield _convolution((1, 8, 8, 16), 24, Window(ONE), dtype=np.float32)
    yield _convolution((1, 8, 8, 16), 24, Window(ONE), dtype=np.int16)
    yield _convolution((1, 9, 9, 3), 8, Window(), dtype=np.int16)
    yield _convolution((1, 9, 9, 64), 8, Window(), dtype=np.int16)
    yield _convolution((1, 1, 20, 4), 8, Window((1, 3)), dtype=np.int16)


def _row_convolutions() -> Iterator[Model]:
    """Convolutions over one row, for which the vector cores have a kernel of their own."""
    for channels in (1, 2, 3, 4, 8):
        yield _convolution((1, 1, 20, channels), 8, Window((1, 3)))
    for kernel in (2, 4, 5, 6, 9):
        yield _convolution((1, 1, 20, 4), 8, Window((1, kernel)))
        yield _convolution((1, 1, 20, 4), 8, Window((1, kernel), same=False))
    for stride in (2, 3, 4):
        for kernel in (3, 4, 7):
            yield _convolution((1, 1, 20, 4), 8, Window((1, kernel), (1, stride)))
            yield _convolution((1, 1, 21, 4), 8, Window((1, kernel), (1, stride)))
        yield _convolution((1, 1, 20, 4), 8, Window((1, 5), (1, stride), same=False))
    yield _convolution((1, 1, 20, 2), 8, Window((1, 3), (1, 2)))
    yield _convolution((1, 1, 20, 2), 8, Window((1, 3), (1, 3)))
    # The borders' pieces overlap: more taps than the row is wide.
    yield _convolution((1, 1, 2, 4), 8, Window((1, 3)))
    yield _convolution((1, 1, 2, 4), 8, Window((1, 4)))
    yield _convolution((1, 1, 1, 4), 8, Window((1, 2)))
    yield _convolution((1, 1, 3, 4), 8, Window((1, 5)))
    yield _convolution((1, 1, 3, 4), 8, Window((1, 9)))
    yield _convolution((1, 1, 2, 8), 8, Window((1, 4), (1, 2)))
    yield _convolution((1, 1, 1, 4), 8, Window((1, 3)))
    yield _convolution((1, 1, 20, 4), 8, Window((1, 3), dilation=(1, 2)))
    yield _convolution((1, 1, 20, 4), 8, Window((1, 3), dilation=(2, 1)))
    yield _convolution((1, 1, 20, 8), 8, Window((1, 3)), depth=4)
    yield _convolution((1, 1, 20, 4), 8, Window((3, 3)))
    yield _convolution((2, 1, 20, 4), 8, Window((1, 3)))
    yield _convolution((1, 1, 20, 4), 8, Window(ONE, (1, 2)))


def _depthwise(
    shape: Shape,
    window: Window,
    *,
    times: int = 1,
    per_channel: bool = True,
    with_bias: bool = True,
    constant: bool = True,
    dtype: npt.DTypeLike = np.int8,
) -> Model:
    x, out_c = activation(*shape, dtype=dtype), shape[3] * times
    kernel = (1, *window.kernel, out_c)
    filters = weights(*kernel, dtype=_filter_type(dtype), axis=3, per_channel=per_channel)
    y = activation(*window.output(shape, out_c), dtype=dtype)
    options = window.fill(schema.DepthwiseConv2DOptionsT())
    options.depthMultiplier = times
    return _layer("DEPTHWISE_CONV_2D", x, filters, y, options, with_bias, constant)


def _depthwise_convolutions() -> Iterator[Model]:
    # 3x3 with at most one element of padding has a kernel without scratch where there is DSP.
    for channels in (1, 2, 3, 4, 8, 16, 130):
        yield _depthwise((1, 8, 8, channels), Window())
    yield _depthwise((1, 8, 8, 8), Window(stride=(2, 2)))
    yield _depthwise((1, 9, 9, 8), Window(stride=(2, 2)))
    yield _depthwise((1, 8, 8, 8), Window(same=False))
    yield _depthwise((1, 3, 3, 8), Window(same=False))
    yield _depthwise((1, 2, 2, 8), Window(stride=(3, 3)))
    # Other kernels.
    for kernel in ((5, 5), (7, 7), (1, 3), (3, 1), (2, 2), (1, 1), (3, 5)):
        yield _depthwise((1, 8, 8, 8), Window(kernel))
    yield _depthwise((1, 8, 8, 130), Window((5, 5)))
    yield _depthwise((1, 8, 8, 3), Window((5, 5), (2, 2)))
    yield _depthwise((1, 8, 8, 1), Window((5, 5)))
    # Dilated, more than one image, a depth multiplier: the general kernel.
    yield _depthwise((1, 8, 8, 8), Window(dilation=(2, 2)))
    yield _depthwise((1, 8, 8, 8), Window((5, 5), dilation=(1, 2)))
    yield _depthwise((2, 8, 8, 8), Window())
    yield _depthwise((2, 8, 8, 8), Window((5, 5)))
    yield _depthwise((1, 8, 8, 4), Window(), times=2)
    yield _depthwise((1, 8, 8, 4), Window((5, 5)), times=3)
    # From one channel to several: the vector cores run it as a convolution.
    # (Not over a single row: there TFLM's Prepare hands the library a stride that nobody has set.)
    yield _depthwise((1, 8, 8, 1), Window(), times=8)
    yield _depthwise((1, 8, 8, 1), Window(), times=2)
    yield _depthwise((1, 8, 8, 1), Window((5, 4)), times=6)
    yield _depthwise((1, 8, 8, 1), Window(ONE), times=8)
    yield _depthwise((1, 8, 8, 1), Window(dilation=(2, 2)), times=8)
    yield _depthwise((2, 8, 8, 1), Window(), times=8)
    yield _depthwise((1, 8, 8, 8), Window((5, 5)), constant=False)
    yield _depthwise((1, 8, 8, 8), Window((5, 5)), per_channel=False)
    yield _depthwise((1, 8, 8, 8), Window((5, 5)), with_bias=False)
    yield _depthwise((1, 8, 8, 8), Window(), dtype=np.float32)
    yield _depthwise((1, 8, 8, 8), Window(), dtype=np.int16)
    yield _depthwise((1, 8, 8, 8), Window((5, 5)), dtype=np.int16)
    yield _depthwise((1, 8, 8, 1), Window(), times=8, dtype=np.int16)
    yield _depthwise((1, 4, 4, 64), Window(), times=1, dtype=np.int16)


def _dense(
    shape: Shape,
    out_c: int,
    *,
    per_channel: bool = False,
    with_bias: bool = True,
    constant: bool = True,
    constant_bias: bool = True,
    keep: bool = False,
    dtype: npt.DTypeLike = np.int8,
) -> Model:
    x = activation(*shape, dtype=dtype)
    filters = weights(out_c, shape[-1], dtype=_filter_type(dtype), per_channel=per_channel)
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = keep
    rows = int(np.prod(shape[:-1]))
    y = activation(*(shape[:-1] if keep else (rows,)), out_c, dtype=dtype)
    return _layer(
        "FULLY_CONNECTED", x, filters, y, options, with_bias, constant, constant and constant_bias
    )


def _fully_connected() -> Iterator[Model]:
    for per_channel in (False, True):
        for constant in (False, True):
            yield _dense((1, 16), 10, per_channel=per_channel, constant=constant)
            # Three dimensions: run as a 1x1 convolution, if the inputs are a multiple of 4.
            yield _dense((1, 3, 16), 10, per_channel=per_channel, constant=constant, keep=True)
            yield _dense((1, 3, 15), 10, per_channel=per_channel, constant=constant, keep=True)
    yield _dense((1, 16), 10, with_bias=False)
    yield _dense((1, 16), 10, with_bias=False, constant=False)
    yield _dense((4, 16), 300)
    yield _dense((1, 640), 3)
    yield _dense((1, 2, 3, 8), 10)
    yield _dense((1, 2, 3, 8), 10, keep=True)
    yield _dense((1, 16), 1)
    yield _dense((1, 16), 2, per_channel=True)
    yield _dense((1, 16), 10, constant_bias=False)
    yield _dense((1, 16), 10, dtype=np.float32)
    yield _dense((1, 16), 10, dtype=np.int16)
    yield _dense((1, 16), 10, dtype=np.int16, per_channel=True)
    yield _dense((1, 3, 16), 10, dtype=np.int16, keep=True)


def _transposed(
    shape: Shape, out_c: int, window: Window, size: tuple[int, int], *,
    with_bias: bool = True, dtype: npt.DTypeLike = np.int8,
) -> Model:  # fmt: skip
    """A TRANSPOSE_CONV to an image of `size`."""
    x = activation(*shape, dtype=dtype)
    filters = weights(out_c, *window.kernel, shape[3], dtype=_filter_type(dtype))
    y = activation(shape[0], *size, out_c, dtype=dtype)
    inputs = [integers(*y.shape), filters, x]
    if with_bias:
        inputs.append(bias(out_c, filters, x))
    return model_of("TRANSPOSE_CONV", inputs, y, window.fill(schema.TransposeConvOptionsT()))


def _transposed_convolutions() -> Iterator[Model]:
    two = (2, 2)
    # Up to stride 2 and from 17 channels on CMSIS-NN runs a convolution with a reversed filter.
    for channels in (3, 16, 17, 20, 32):
        yield _transposed((1, 4, 4, channels), 6, Window(stride=two), (8, 8))
    yield _transposed((1, 4, 4, 17), 6, Window(), (4, 4))
    yield _transposed((1, 4, 4, 17), 6, Window((5, 3), two), (8, 8))
    yield _transposed((1, 4, 4, 17), 6, Window((2, 2), (3, 3)), (12, 12))
    yield _transposed((1, 4, 4, 17), 6, Window((5, 3), (3, 2)), (12, 8))
    yield _transposed((1, 4, 5, 17), 6, Window((3, 5), (2, 3)), (8, 15))
    yield _transposed((1, 4, 5, 4), 6, Window((3, 5), (2, 3)), (8, 15))
    yield _transposed((1, 4, 5, 4), 6, Window((5, 3), (3, 2)), (12, 10))
    yield _transposed((1, 4, 5, 4), 6, Window((1, 2), (4, 3)), (16, 15))
    yield _transposed((1, 4, 4, 4), 6, Window(stride=two, same=False), (9, 9))
    yield _transposed((1, 4, 4, 4), 6, Window(stride=two), (8, 8), with_bias=False)
    yield _transposed((1, 4, 4, 4), 6, Window(stride=two), (8, 8), dtype=np.float32)
    yield _transposed((1, 4, 4, 4), 6, Window(stride=two), (8, 8), dtype=np.int16)
    yield _transposed((1, 4, 4, 17), 6, Window(stride=two), (8, 8), dtype=np.int16)


def _pools() -> Iterator[Model]:
    options = schema.Pool2DOptionsT
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        for shape, window, dtype in (
            ((1, 8, 8, 8), Window(stride=(2, 2)), np.int8),
            ((1, 8, 8, 7), Window((2, 2), (2, 2), same=False), np.int8),
            ((1, 6, 5, 1), Window((6, 5), same=False), np.int8),
            ((1, 8, 8, 8), Window(stride=(2, 2)), np.float32),
            ((1, 8, 8, 8), Window(stride=(2, 2)), np.int16),
        ):
            x = activation(*shape, dtype=dtype)
            y = activation(*window.output(shape, shape[3]), dtype=dtype)
            yield model_of(name, [x], y, window.fill(options()))
