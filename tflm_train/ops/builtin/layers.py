"""The layers with weights: convolutions and FULLY_CONNECTED."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op
from tflm_train.ops.builtin.cmsis_nn import (
    conv_scratch,
    depthwise_scratch,
    transpose_conv_scratch,
    wide_conv_scratch,
)
from tflm_train.ops.builtin.memory import WORD, KernelCase, KernelMemory, some
from tflm_train.ops.builtin.operator import BuiltinOperator, LayerForm
from tflm_train.ops.builtin.shapes import (
    ANY,
    Shapes,
    integers,
    listed,
    require,
    require_bias,
    require_rank,
    tensor_of,
    window_output,
)
from tflm_train.ops.constants import StageKind
from tflm_train.ops.target import Struct

_CONV_DATA = "iiiiiiiiiPPiii"  # OpDataConv
_FULLY_CONNECTED_DATA = "iiiiiiiiiPPb"  # OpDataFullyConnected
_TRANSPOSE_CONV_DATA: Struct = ("bhhhhhhhhiiiiiiiff",)  # ConvParams


def _conv_shape(op: Op) -> Shapes:
    """CONV_2D; a filter for a part of the input channels is a grouped convolution."""
    x, filters = tensor_of(op, 0), tensor_of(op, 1)
    require_rank(x, 4)
    require_rank(filters, 4)
    out_c, kernel_h, kernel_w, depth = filters.shape
    require(
        x.shape[3] % depth == 0 and out_c % (x.shape[3] // depth) == 0,
        f"its filter is for {depth} channels, its input has {x.shape[3]}",
    )
    require_bias(op, 2, out_c)
    return (window_output(op, x, (kernel_h, kernel_w), out_c),)


def _depthwise_shape(op: Op) -> Shapes:
    """DEPTHWISE_CONV_2D."""
    x, filters = tensor_of(op, 0), tensor_of(op, 1)
    require_rank(x, 4)
    require_rank(filters, 4)
    one, kernel_h, kernel_w, out_c = filters.shape
    in_c, multiplier = x.shape[3], int(op.options.depthMultiplier)
    require(
        one == 1 and multiplier * in_c == out_c,
        f"its filter {listed(filters.shape)} and depth multiplier {multiplier} do not fit "
        f"{in_c} input channels",
    )
    require_bias(op, 2, out_c)
    return (window_output(op, x, (kernel_h, kernel_w), out_c),)


def _transpose_conv_shape(op: Op) -> Shapes:
    """TRANSPOSE_CONV: the convolution of its output has the size of its input."""
    wanted, filters, x = (tensor_of(op, i) for i in range(3))
    output = op.output
    for tensor in (filters, x, output):
        require_rank(tensor, 4)
    out_c, kernel_h, kernel_w, depth = filters.shape
    require(
        depth == x.shape[3],
        f"its filter is for {depth} channels, its input has {x.shape[3]}",
    )
    require_bias(op, 3, out_c)
    back = window_output(op, output, (kernel_h, kernel_w), depth)
    require(
        back == x.shape,
        f"its input should be {listed(back)} by its filter, stride and output "
        f"{listed(output.shape)}, but is {listed(x.shape)}",
    )
    if wanted.data is not None:
        return (tuple(integers(wanted)),)
    return ((x.shape[0], *output.shape[1:3], out_c),)


def _fully_connected_shape(op: Op) -> Shapes:
    """FULLY_CONNECTED."""
    x, filters = tensor_of(op, 0), tensor_of(op, 1)
    require_rank(filters, 2)
    outputs, inputs = filters.shape
    keep = bool(op.options.keepNumDims)
    fits = bool(x.shape) and (x.shape[-1] == inputs if keep else x.size % inputs == 0)
    require(fits, f"its weights are for {inputs} inputs, its input is {listed(x.shape)}")
    require_bias(op, 2, outputs)
    if keep:
        return ((*x.shape[:-1], outputs),)
    rows = x.size // inputs
    # Only the last dimension is said: TFLM takes the others as the file has them.
    y = op.output
    require(
        bool(y.shape) and y.shape[-1] == outputs and y.size == rows * outputs,
        f"its output should be {listed((rows, outputs))}, but is {listed(y.shape)}",
    )
    return ANY


def _conv_memory(case: KernelCase) -> KernelMemory:
    filters = case.tensor(1)
    scratch = conv_scratch(case, filters.shape[3]) if case.is_int8 else wide_conv_scratch(case)
    return _convolution_memory(case, "eiieiie", filters.shape[0], scratch)


def _depthwise_memory(case: KernelCase) -> KernelMemory:
    scratch = depthwise_scratch(case) if case.is_int8 else 0
    return _convolution_memory(case, "eiiieii", case.tensor(1).shape[3], scratch)


def _convolution_memory(
    case: KernelCase, options: str, channels: int, scratch: int
) -> KernelMemory:
    """Multiplier and shift of each channel; `scratch` is what CMSIS-NN asks for, if quantized."""
    data: Struct = (_CONV_DATA + case.scratch_indices,)
    if not case.cmsis:
        return KernelMemory((options,), data, (WORD * channels,) * 2)
    if not case.quantized:
        return KernelMemory((options,), (data, "i"))
    return KernelMemory((options,), (data, "i"), (WORD * channels,) * 2, some(scratch))


def _fully_connected_memory(case: KernelCase) -> KernelMemory:
    filters = case.tensor(1)
    data: Struct = (_FULLY_CONNECTED_DATA + case.scratch_indices,)
    scales = 1 if filters.quantization is None else filters.quantization.scale.size
    per_channel = case.quantized and scales > 1
    channels: list[int] = [WORD * scales] * 2 if per_channel else []
    scratch: list[int] = []
    if case.cmsis:
        data = (data, "iiPiii")
        depth = case.op.output.shape[-1]
        if case.is_int8 and len(case.op.output.shape) > 2 and filters.shape[-1] % 4 == 0:
            # Run as a 1x1 convolution, which wants a multiplier and a shift per channel.
            scratch += [] if per_channel else [2 * WORD * depth]
        elif case.is_int8 and case.helium:
            # Sums of constant weights are cached; variables have theirs made at each run.
            bias = case.op.optional_input(2)
            constant = filters.data is not None and (bias is None or bias.data is not None)
            (channels if constant else scratch).append(WORD * depth)
    options = "eebbePP" if case.target.since_october_2026 else "eebbe"
    return KernelMemory((options,), data, tuple(channels), tuple(scratch))


def _transpose_conv_memory(case: KernelCase) -> KernelMemory:
    filters, x, output = case.tensor(1), case.tensor(2), case.op.output
    channels = (WORD * filters.shape[0],) * 2
    indices = "i" + case.scratch_indices + "i"
    scratch: tuple[int, ...] = ()
    if x.type_name == "INT8" and not case.cmsis:
        scratch = (WORD * output.size,)
    if case.cmsis:
        indices = "iii"
    if x.type_name == "INT8" and case.cmsis:
        scratch = transpose_conv_scratch(case, x, filters, output)
    if x.type_name == "INT16":
        scratch = (2 * WORD * output.size,)
    data: Struct = (_TRANSPOSE_CONV_DATA, indices + "PP")
    return KernelMemory(("eiiee",), data, channels, scratch)


def _conv_macs(op: Op) -> int:
    filters = tensor_of(op, 1)
    return op.output.size * (filters.size // filters.shape[0])


def _depthwise_macs(op: Op) -> int:
    filters = tensor_of(op, 1)
    return op.output.size * filters.shape[1] * filters.shape[2]


def _transpose_conv_macs(op: Op) -> int:
    filters = tensor_of(op, 1)
    return tensor_of(op, 2).size * filters.size // filters.shape[3]


ROWS = (
    BuiltinOperator(
        "CONV_2D",
        _conv_shape,
        (2, 3),
        schema.Conv2DOptionsT,
        memory=_conv_memory,
        layer=LayerForm(_conv_macs, is_window=True, is_resizable=True),
        stage=StageKind.CONV,
    ),
    BuiltinOperator(
        "DEPTHWISE_CONV_2D",
        _depthwise_shape,
        (2, 3),
        schema.DepthwiseConv2DOptionsT,
        memory=_depthwise_memory,
        layer=LayerForm(_depthwise_macs, is_window=True, is_depthwise=True),
        stage=StageKind.DEPTHWISE,
    ),
    BuiltinOperator(
        "FULLY_CONNECTED",
        _fully_connected_shape,
        (2, 3),
        schema.FullyConnectedOptionsT,
        memory=_fully_connected_memory,
        layer=LayerForm(
            _conv_macs,
            flattens=True,
            scales_in_float=True,
            prepared_twice=False,
            is_resizable=True,
        ),
    ),
    BuiltinOperator(
        "TRANSPOSE_CONV",
        _transpose_conv_shape,
        (3, 4),
        schema.TransposeConvOptionsT,
        memory=_transpose_conv_memory,
        layer=LayerForm(_transpose_conv_macs, input=2, bias=3),
    ),
)
