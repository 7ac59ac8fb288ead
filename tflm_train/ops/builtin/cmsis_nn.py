"""Sizes of the scratch buffers that CMSIS-NN asks for: its `*_get_buffer_size` functions.

They are those of August 2026, as a GCC builds them.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Tensor
from tflm_train.ops.builtin.memory import WORD, KernelCase


def conv_scratch(case: KernelCase, filter_depth: int) -> int:
    """`arm_convolve_wrapper_s8_get_buffer_size`."""
    options, x, filters, output = case.op.options, case.x, case.tensor(1), case.op.output
    pads = [_padding(options, axis, x, filters, output) for axis in (1, 2)]
    undilated = options.dilationHFactor == 1 and options.dilationWFactor == 1
    whole = x.shape[3] == filter_depth
    if filters.shape[1] == filters.shape[2] == 1 and pads == [0, 0] and undilated and whole:
        return 0
    columns = filters.shape[1] * filters.shape[2] * x.shape[3]
    if not case.helium:
        return 2 * 2 * (-(-columns // 4) * 4)
    # The library does not ask for the vertical dilation here, which a kernel of one row has not.
    one_row = x.shape[1] == filters.shape[1] == options.dilationWFactor == 1 and whole
    if one_row and options.strideW * x.shape[3] % 4 == 0:
        return _row_conv_scratch(options.strideW, pads[1], x, filters, output)
    return _vector_conv_scratch(columns)


def wide_conv_scratch(case: KernelCase) -> int:
    """`arm_convolve_wrapper_s16_get_buffer_size`, for int16 activations."""
    filters = case.tensor(1)
    columns = filters.shape[1] * filters.shape[2] * case.x.shape[3]
    return 2 * 4 * 8 * -(-columns // 8) if case.helium else 2 * 2 * columns


def depthwise_scratch(case: KernelCase) -> int:
    """`arm_depthwise_conv_wrapper_s8_get_buffer_size`."""
    options, x, filters, output = case.op.options, case.x, case.tensor(1), case.op.output
    taps = filters.shape[1] * filters.shape[2]
    if case.helium and x.shape[3] == 1 and output.shape[3] > 1:
        return conv_scratch(case, 1) + taps * filters.shape[3]
    undilated = options.dilationHFactor == 1 and options.dilationWFactor == 1
    if x.shape[3] != output.shape[3] or x.shape[0] != 1 or not undilated:
        return 0
    if case.helium:
        return 4 * 124 * taps
    pads = [_padding(options, axis, x, filters, output) for axis in (1, 2)]
    if filters.shape[1] == filters.shape[2] == 3 and max(pads) <= 1:
        return 0
    return 2 * x.shape[3] * taps if case.dsp else 0


def transpose_conv_scratch(
    case: KernelCase, x: Tensor, filters: Tensor, output: Tensor
) -> tuple[int, int]:
    """`arm_transpose_conv_s8_get_buffer_size` and `..._get_reverse_conv_buffer_size`."""
    options = case.op.options
    if options.strideW <= 2 and options.strideH <= 2 and x.shape[3] > 16:
        columns = filters.shape[1] * filters.shape[2] * x.shape[3]
        padded = -(-columns // 4) * 4
        return (_vector_conv_scratch(columns) if case.helium else 4 * padded), filters.size
    # The library takes the vertical stride for both (as of August 2026).
    row = (x.shape[2] - 1) * options.strideW + max(filters.shape[2], options.strideH)
    return WORD * row * output.shape[3] * max(filters.shape[1], options.strideH), 0


def _padding(options: Any, axis: int, x: Tensor, filters: Tensor, output: Tensor) -> int:
    """TFLM's leading padding of a convolution along rows (axis 1) or columns (2)."""
    stride = options.strideH if axis == 1 else options.strideW
    dilation = options.dilationHFactor if axis == 1 else options.dilationWFactor
    reach = (filters.shape[axis] - 1) * dilation + 1
    out_size = -(-x.shape[axis] // stride)
    if options.padding != schema.Padding.SAME:
        out_size = output.shape[axis]
    return max(0, int((out_size - 1) * stride + reach - x.shape[axis])) // 2


def _vector_conv_scratch(columns: int) -> int:
    return 4 * 16 * (-(-columns // 16))


def _row_conv_scratch(stride: int, pad: int, x: Tensor, filters: Tensor, output: Tensor) -> int:
    """`arm_convolve_1_x_n_s8_get_buffer_size_mve`."""
    width, channels, kernel = x.shape[2], x.shape[3], filters.shape[2]
    total = (output.shape[2] - 1) * stride + kernel - width
    uneven = total - 2 * int(total / 2)  # C's remainder keeps the sign
    right = max(1, (pad + uneven + stride - 1) // stride) if pad + uneven != 0 else 0
    left = max(1, (pad + stride - 1) // stride) if pad != 0 else 0
    middle = max(output.shape[2] - right - left, 0)
    if left + middle + right != output.shape[2]:
        return _vector_conv_scratch(channels * kernel * filters.shape[1])
    pad_left = pad * channels
    pad_right = right * channels if uneven else pad_left
    return max(kernel * channels + pad_left, (kernel - 1) * channels + pad_right)
