"""What TFLM's builtin kernels keep in the arena, operator by operator.

Each entry names what a kernel's `Init` and `Prepare` ask for: the parsed options, its own data
(OpData), buffers that grow with the channels, and scratch. The reference kernels' sources are
`tensorflow/lite/micro/kernels/*.cc`, CMSIS-NN's are `kernels/cmsis_nn/*.cc` with the library's
`*_get_buffer_size` functions (both as of August 2026).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tflm_train.memory.target import Struct, Target
from tflm_train.model import Op, Tensor

_WORD = 4


class KernelSet(enum.StrEnum):
    """Which kernels run the builtin operators.

    `cmsis_nn` is what it allocates on cores with the DSP extension (Cortex-M4, M7, M33),
    `cmsis_nn_helium` with vectors (M55, M85), `cmsis_nn_basic` without either (M0+, M3).
    """

    REFERENCE = "reference"
    CMSIS_NN = "cmsis_nn"
    CMSIS_NN_HELIUM = "cmsis_nn_helium"
    CMSIS_NN_BASIC = "cmsis_nn_basic"


@dataclass(frozen=True)
class KernelMemory:
    """What one builtin operator allocates.

    Attributes:
      options: The struct its flatbuffer options are parsed into; None where there is none.
      data: The kernel's own struct; None where it keeps none.
      channels: Sizes in bytes of buffers that hold a number per output channel.
      buffers: Sizes in bytes of other buffers: tables, copies.
      scratch: Sizes in bytes of the scratch buffers.
    """

    options: Struct | None = None
    data: Struct | None = None
    channels: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()
    buffers: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Case:
    """An operator with the kernels that are to run it."""

    op: Op
    kernels: KernelSet
    target: Target
    x: Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", self.op.input)

    @property
    def cmsis(self) -> bool:
        return self.kernels is not KernelSet.REFERENCE

    @property
    def helium(self) -> bool:
        return self.kernels is KernelSet.CMSIS_NN_HELIUM

    @property
    def dsp(self) -> bool:
        return self.kernels is KernelSet.CMSIS_NN

    @property
    def is_int8(self) -> bool:
        return self.x.type_name == "INT8"

    @property
    def quantized(self) -> bool:
        return self.x.type_name in ("INT8", "INT16")

    @property
    def scratch_indices(self) -> str:
        """Two more indices in kernels that can decompress weights."""
        return "ii" if self.target.compression else ""

    def tensor(self, index: int) -> Tensor:
        tensor = self.op.optional_input(index)
        assert tensor is not None
        return tensor


_CONV_DATA = "iiiiiiiiiPPiii"  # OpDataConv
_FULLY_CONNECTED_DATA = "iiiiiiiiiPPb"  # OpDataFullyConnected
_SOFTMAX_DATA = "diiiiiifPPPPP"  # SoftmaxParams
_TRANSPOSE_CONV_DATA: Struct = ("bhhhhhhhhiiiiiiiff",)  # ConvParams


def _conv(case: _Case) -> KernelMemory:
    filters = case.tensor(1)
    data: Struct = (_CONV_DATA + case.scratch_indices,)
    channels: tuple[int, ...] = (_WORD * filters.shape[0],) * 2
    scratch = 0
    if case.cmsis:
        data = (data, "i")
        if not case.quantized:
            channels = ()
        elif case.is_int8:
            scratch = _conv_scratch(case, filters.shape[3])
    return KernelMemory(("eiieiie",), data, channels, _some(scratch))


def _depthwise(case: _Case) -> KernelMemory:
    filters = case.tensor(1)
    data: Struct = (_CONV_DATA + case.scratch_indices,)
    channels: tuple[int, ...] = (_WORD * filters.shape[3],) * 2
    scratch = 0
    if case.cmsis:
        data = (data, "i")
        if not case.quantized:
            channels = ()
        elif case.is_int8:
            scratch = _depthwise_scratch(case)
    return KernelMemory(("eiiieii",), data, channels, _some(scratch))


def _fully_connected(case: _Case) -> KernelMemory:
    filters = case.tensor(1)
    data: Struct = (_FULLY_CONNECTED_DATA + case.scratch_indices,)
    scales = 1 if filters.quantization is None else filters.quantization.scale.size
    per_channel = case.quantized and scales > 1
    channels: list[int] = [_WORD * scales] * 2 if per_channel else []
    scratch: list[int] = []
    if case.cmsis:
        data = (data, "iiPiii")
        depth = case.op.output.shape[-1]
        if case.is_int8 and len(case.op.output.shape) > 2 and filters.shape[-1] % 4 == 0:
            # Run as a 1x1 convolution, which wants a multiplier and a shift per channel.
            scratch += [] if per_channel else [2 * _WORD * depth]
        elif case.is_int8 and case.helium:
            # Sums of constant weights are cached; variables have theirs made at each run.
            bias = case.op.optional_input(2)
            constant = filters.data is not None and (bias is None or bias.data is not None)
            (channels if constant else scratch).append(_WORD * depth)
    options = "eebbePP" if case.target.since_october_2026 else "eebbe"
    return KernelMemory((options,), data, tuple(channels), tuple(scratch))


def _transpose_conv(case: _Case) -> KernelMemory:
    filters, x, output = case.tensor(1), case.tensor(2), case.op.output
    channels = (_WORD * filters.shape[0],) * 2
    indices = "i" + case.scratch_indices + "i"
    scratch: tuple[int, ...] = ()
    if x.type_name == "INT8" and not case.cmsis:
        scratch = (_WORD * output.size,)
    if x.type_name == "INT8" and case.cmsis:
        indices = "iii"
        scratch = _transpose_conv_scratch(case, x, filters, output)
    if x.type_name == "INT16":
        scratch = (2 * _WORD * output.size,)
    data: Struct = (_TRANSPOSE_CONV_DATA, indices + "PP")
    return KernelMemory(("eiiee",), data, channels, scratch)


def _pool(case: _Case) -> KernelMemory:
    data: Struct = ("iiiiiiff",)
    scratch = 0
    if case.cmsis:
        data = (data, "i")
        if case.op.name == "AVERAGE_POOL_2D" and case.is_int8 and case.dsp:
            scratch = _WORD * case.x.shape[3]
    return KernelMemory(("eiiiieiiii",), data, (), _some(scratch))


def _mean(case: _Case) -> KernelMemory:
    axes = case.op.optional_input(1)
    scratch = [_WORD * len(case.x.shape), _WORD * (0 if axes is None else axes.size)]
    if case.quantized:
        scratch.insert(0, _WORD * case.op.output.size)
    return KernelMemory(("b",), ("iiiiiififii",), (), tuple(scratch))


def _min_max(case: _Case) -> KernelMemory:
    axes = case.op.optional_input(1)
    scratch = (_WORD * len(case.x.shape), _WORD * (0 if axes is None else axes.size))
    return KernelMemory(("b",), ("iiiiiififii",), (), scratch)


def _softmax(case: _Case) -> KernelMemory:
    data: Struct = (_SOFTMAX_DATA,)
    if case.cmsis:
        data = (data, "ii")
    tables = (2 * 513,) * 2 if case.x.type_name == "INT16" else ()
    return KernelMemory(("f",), data, buffers=tables)


def _batch_matmul(case: _Case) -> KernelMemory:
    options = case.op.options
    data: Struct = ("PPPbbb",)
    scratch = 0
    if case.cmsis:
        data = (data, ("iiii",), "i")
        if case.is_int8 and case.helium:
            scratch = _WORD * case.op.output.shape[-1]
    buffers = [_writable_shape(case.op.output)]
    if case.quantized:
        buffers.append(7 * _WORD)
    for transposed, index in ((options.adjX, 0), (not options.adjY, 1)):
        if transposed:
            # A tensor struct, its dimensions and room for the transposed values.
            tensor = case.tensor(index)
            struct = case.target.size_of("PPe")
            buffers += [struct, _writable_shape(tensor), tensor.nbytes]
    return KernelMemory(("bbb",), data, (), _some(scratch), tuple(buffers))


def _svdf(case: _Case) -> KernelMemory:
    features, times = case.tensor(1), case.tensor(2)
    batch, filters = case.x.shape[0], features.shape[0]
    rank = int(case.op.options.rank)
    units = filters // rank
    data: Struct = ("iiiiiiiiiP",) if case.cmsis else ("iiiiiiiii",)
    channels: tuple[int, ...] = ()
    scratch: tuple[int, ...] = (_WORD * batch * filters,)
    if times.type_name in ("INT8", "INT16"):
        scratch += (_WORD * batch * units,)
        if case.helium and times.type_name == "INT8":
            channels = (_WORD * filters,)
    return KernelMemory(("ieb",), data, channels, scratch)


_LSTM_FULLY_CONNECTED = "iiiiiiiffbbb"
_LSTM_ARITHMETIC = "biiiiiiiiiiiiffqqhhiiiii"


def _lstm(case: _Case) -> KernelMemory:
    gate: Struct = ((_LSTM_FULLY_CONNECTED,), (_LSTM_FULLY_CONNECTED,))
    between: Struct = ((_LSTM_ARITHMETIC,),) * 3
    data: Struct = (("biiii",), ("fhi",), "e", gate, gate, gate, gate, between, "iiii")
    hidden, cell = case.tensor(18), case.tensor(19)
    assert cell.dtype is not None
    state = hidden.shape[0] * hidden.shape[1] * cell.dtype.itemsize
    channels: tuple[int, ...] = ()
    buffers = 4
    if case.cmsis:
        cmsis_gate: Struct = ("iiPPiiPPPe",)
        data = (data, (*("i" * 15,), *(cmsis_gate,) * 4))
        if case.quantized and cell.type_name == "INT16":
            channels = (hidden.shape[1] * (4 if case.is_int8 else 8),) * 8
            buffers = 3
    return KernelMemory(("effbbb",), data, channels, (state,) * buffers)


def _concatenation(case: _Case) -> KernelMemory:
    indices = "i" * 10 if case.target.compression else ""
    return KernelMemory(("ie",), (("iPPiif",), indices))


def _fixed(options: str | None, *data: str | Struct) -> Callable[[_Case], KernelMemory]:
    made = KernelMemory((options,) if options else None, data or None)
    return lambda case: made


_ADD_DATA = "biiiiiiiiiiiiff"
_ROWS: dict[str, Callable[[_Case], KernelMemory]] = {
    "ADD": _fixed("eb", _ADD_DATA),
    "ARG_MAX": _fixed("e"),
    "ARG_MIN": _fixed("e"),
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _batch_matmul,
    "BATCH_TO_SPACE_ND": _fixed(None),
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _fixed("i", "iiiii"),
    "DEQUANTIZE": _fixed(None, ("di",), "iii"),
    "DIV": _fixed("e", "iiiiiii"),
    "EXPAND_DIMS": _fixed(None),
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _fixed(None, "hhhihi"),
    "L2_NORMALIZATION": _fixed("e", "i"),
    "LEAKY_RELU": _fixed("f", "iiiiii"),
    "LOGISTIC": _fixed(None, "iiii"),
    "MAXIMUM": _fixed(None),
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "MINIMUM": _fixed(None),
    "MUL": _fixed("e", "iiiiiiiff"),
    "PACK": _fixed("ii"),
    "PAD": _fixed(None, "biiiiibiiiiibi"),
    "PADV2": _fixed(None, "biiiiibiiiiibi"),
    "PRELU": _fixed(None, "iiiiiii"),
    "QUANTIZE": _fixed(None, ("id",), "iii"),
    "REDUCE_MAX": _min_max,
    "REDUCE_MIN": _min_max,
    "RELU": _fixed(None, "biiiiii"),
    "RELU6": _fixed(None, "ii"),
    "RESHAPE": _fixed("iiiiiiiii"),
    "RESIZE_BILINEAR": _fixed("bb"),
    "RESIZE_NEAREST_NEIGHBOR": _fixed("bb"),
    "SLICE": _fixed(None),
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _fixed("i", "iiiii"),  # the output's dimensions, made writable
    "SPLIT": _fixed("i"),
    "SPLIT_V": _fixed("i"),
    "SQUEEZE": _fixed("iiiiiiiii"),
    "STRIDED_SLICE": _fixed("iiiiib", "biiiiibiiiiibiiiiihhhhhb"),
    "SUB": _fixed("eb", "biiiiiiiiiiii"),
    "SUM": _mean,
    "SVDF": _svdf,
    "TANH": _fixed(None, "iiii"),
    "TRANSPOSE": _fixed(None),
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "UNPACK": _fixed("ii"),
}
MODELLED_OPERATORS = frozenset(_ROWS)
"""The builtin operators whose memory is known."""


def kernel_memory(op: Op, kernels: KernelSet, target: Target) -> KernelMemory | None:
    """What a builtin operator allocates.

    Args:
      op: The operator.
      kernels: What runs it.
      target: How TFLM was built.

    Returns:
      Its memory; None for an operator that is not modelled.
    """
    row = _ROWS.get(op.name)
    return None if row is None else row(_Case(op, kernels, target))


def _writable_shape(tensor: Tensor) -> int:
    """A copy of a tensor's dimensions that a kernel can change."""
    return _WORD * (1 + len(tensor.shape))


def _some(size: int) -> tuple[int, ...]:
    return (size,) if size > 0 else ()


def _padding(options: Any, axis: int, x: Tensor, filters: Tensor, output: Tensor) -> int:
    """TFLM's leading padding of a convolution along rows (axis 1) or columns (2)."""
    stride = options.strideH if axis == 1 else options.strideW
    dilation = options.dilationHFactor if axis == 1 else options.dilationWFactor
    reach = (filters.shape[axis] - 1) * dilation + 1
    out_size = -(-x.shape[axis] // stride)
    if options.padding != schema.Padding.SAME:
        out_size = output.shape[axis]
    return max(0, int((out_size - 1) * stride + reach - x.shape[axis])) // 2


def _conv_scratch(case: _Case, filter_depth: int) -> int:
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
    one_row = x.shape[1] == filters.shape[1] == 1 and undilated and whole
    if one_row and options.strideW * x.shape[3] % 4 == 0:
        return _row_conv_scratch(options.strideW, pads[1], x, filters, output)
    return _vector_conv_scratch(columns)


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


def _depthwise_scratch(case: _Case) -> int:
    """`arm_depthwise_conv_wrapper_s8_get_buffer_size`."""
    options, x, filters, output = case.op.options, case.x, case.tensor(1), case.op.output
    taps = filters.shape[1] * filters.shape[2]
    if case.helium and x.shape[3] == 1 and output.shape[3] > 1:
        return _conv_scratch(case, 1) + taps * filters.shape[3]
    undilated = options.dilationHFactor == 1 and options.dilationWFactor == 1
    if x.shape[3] != output.shape[3] or x.shape[0] != 1 or not undilated:
        return 0
    if case.helium:
        return 4 * 124 * taps
    pads = [_padding(options, axis, x, filters, output) for axis in (1, 2)]
    if filters.shape[1] == filters.shape[2] == 3 and max(pads) <= 1:
        return 0
    return 2 * x.shape[3] * taps if case.dsp else 0


def _transpose_conv_scratch(
    case: _Case, x: Tensor, filters: Tensor, output: Tensor
) -> tuple[int, int]:
    """`arm_transpose_conv_s8_get_buffer_size` and `..._get_reverse_conv_buffer_size`."""
    options = case.op.options
    if options.strideW <= 2 and options.strideH <= 2 and x.shape[3] > 16:
        columns = filters.shape[1] * filters.shape[2] * x.shape[3]
        padded = -(-columns // 4) * 4
        return (_vector_conv_scratch(columns) if case.helium else 4 * padded), filters.size
    # The library takes the vertical stride for both (as of August 2026).
    row = (x.shape[2] - 1) * options.strideW + max(filters.shape[2], options.strideH)
    return _WORD * row * output.shape[3] * max(filters.shape[1], options.strideH), 0
