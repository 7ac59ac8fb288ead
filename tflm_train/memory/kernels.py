"""What TFLM's builtin kernels keep in the arena, operator by operator.

Each entry names what a kernel's `Init` and `Prepare` ask for: the parsed options, its own data
(OpData), buffers that grow with the channels, and scratch. The reference kernels' sources are
`tensorflow/lite/micro/kernels/*.cc`, CMSIS-NN's are `kernels/cmsis_nn/*.cc` with the library's
`*_get_buffer_size` functions (both as of August 2026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tflm_train.memory.cmsis_scratch import (
    conv_scratch,
    depthwise_scratch,
    transpose_conv_scratch,
    wide_conv_scratch,
)
from tflm_train.memory.kernel_case import WORD, KernelCase, KernelSet
from tflm_train.memory.target import Struct, Target
from tflm_train.model import Op, Tensor


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


_CONV_DATA = "iiiiiiiiiPPiii"  # OpDataConv
_FULLY_CONNECTED_DATA = "iiiiiiiiiPPb"  # OpDataFullyConnected
_SOFTMAX_DATA = "diiiiiifPPPPP"  # SoftmaxParams
_TRANSPOSE_CONV_DATA: Struct = ("bhhhhhhhhiiiiiiiff",)  # ConvParams


def _conv(case: KernelCase) -> KernelMemory:
    filters = case.tensor(1)
    data: Struct = (_CONV_DATA + case.scratch_indices,)
    channels: tuple[int, ...] = (WORD * filters.shape[0],) * 2
    scratch = 0
    if case.cmsis:
        data = (data, "i")
        if not case.quantized:
            channels = ()
        elif case.is_int8:
            scratch = conv_scratch(case, filters.shape[3])
        else:
            scratch = wide_conv_scratch(case)
    return KernelMemory(("eiieiie",), data, channels, _some(scratch))


def _depthwise(case: KernelCase) -> KernelMemory:
    filters = case.tensor(1)
    data: Struct = (_CONV_DATA + case.scratch_indices,)
    channels: tuple[int, ...] = (WORD * filters.shape[3],) * 2
    scratch = 0
    if case.cmsis:
        data = (data, "i")
        if not case.quantized:
            channels = ()
        elif case.is_int8:
            scratch = depthwise_scratch(case)
    return KernelMemory(("eiiieii",), data, channels, _some(scratch))


def _fully_connected(case: KernelCase) -> KernelMemory:
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


def _transpose_conv(case: KernelCase) -> KernelMemory:
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


def _pool(case: KernelCase) -> KernelMemory:
    data: Struct = ("iiiiiiff",)
    scratch = 0
    if case.cmsis:
        data = (data, "i")
        if case.op.name == "AVERAGE_POOL_2D" and case.quantized and case.dsp:
            scratch = WORD * case.x.shape[3]
    return KernelMemory(("eiiiieiiii",), data, (), _some(scratch))


def _mean(case: KernelCase) -> KernelMemory:
    axes = case.op.optional_input(1)
    scratch = [WORD * len(case.x.shape), WORD * (0 if axes is None else axes.size)]
    if case.quantized:
        scratch.insert(0, WORD * case.op.output.size)
    return KernelMemory(("b",), ("iiiiiififii",), (), tuple(scratch))


def _min_max(case: KernelCase) -> KernelMemory:
    axes = case.op.optional_input(1)
    scratch = (WORD * len(case.x.shape), WORD * (0 if axes is None else axes.size))
    return KernelMemory(("b",), ("iiiiiififii",), (), scratch)


def _softmax(case: KernelCase) -> KernelMemory:
    data: Struct = (_SOFTMAX_DATA,)
    if case.cmsis:
        data = (data, "ii")
    tables = (2 * 513,) * 2 if case.x.type_name == "INT16" else ()
    return KernelMemory(("f",), data, buffers=tables)


def _batch_matmul(case: KernelCase) -> KernelMemory:
    options = case.op.options
    data: Struct = ("PPPbbb",)
    scratch = 0
    if case.cmsis:
        data = (data, ("iiii",), "i")
        if case.is_int8 and case.helium:
            scratch = WORD * case.op.output.shape[-1]
    buffers: list[int] = []
    for transposed, index in ((options.adjX, 0), (not options.adjY, 1)):
        if transposed:
            # A tensor struct, its dimensions and room for the transposed values.
            tensor = case.tensor(index)
            struct = case.target.size_of("PPe")
            buffers += [struct, _writable_shape(tensor), tensor.nbytes]
    buffers.append(_writable_shape(case.op.output))
    if case.quantized:
        # The multiplier and its like; CMSIS-NN asks for them last.
        buffers.insert(len(buffers) if case.cmsis else 0, 7 * WORD)
    return KernelMemory(("bbb",), data, (), _some(scratch), tuple(buffers))


def _svdf(case: KernelCase) -> KernelMemory:
    features, times = case.tensor(1), case.tensor(2)
    batch, filters = case.x.shape[0], features.shape[0]
    rank = int(case.op.options.rank)
    units = filters // rank
    data: Struct = ("iiiiiiiiiP",) if case.cmsis else ("iiiiiiiii",)
    channels: tuple[int, ...] = ()
    scratch: tuple[int, ...] = (WORD * batch * filters,)
    if times.type_name in ("INT8", "INT16"):
        scratch += (WORD * batch * units,)
        if case.helium:
            channels = (WORD * filters,)
    return KernelMemory(("ieb",), data, channels, scratch)


_LSTM_FULLY_CONNECTED = "iiiiiiiffbbb"
_LSTM_ARITHMETIC = "biiiiiiiiiiiiffqqhhiiiii"


def _lstm(case: KernelCase) -> KernelMemory:
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


def _concatenation(case: KernelCase) -> KernelMemory:
    indices = "i" * 10 if case.target.compression else ""
    return KernelMemory(("ie",), (("iPPiif",), indices))


def _blocks(case: KernelCase) -> KernelMemory:
    return KernelMemory(("i",), buffers=(_writable_shape(case.op.output),))


def _fixed(options: str | None, *data: str | Struct) -> Callable[[KernelCase], KernelMemory]:
    made = KernelMemory((options,) if options else None, data or None)
    return lambda case: made


_ADD_DATA = "biiiiiiiiiiiiff"
_ROWS: dict[str, Callable[[KernelCase], KernelMemory]] = {
    "ADD": _fixed("eb", _ADD_DATA),
    "ARG_MAX": _fixed("e"),
    "ARG_MIN": _fixed("e"),
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _batch_matmul,
    "BATCH_TO_SPACE_ND": _fixed(None),
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEPTH_TO_SPACE": _blocks,
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
    "SPACE_TO_DEPTH": _blocks,
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
    return None if row is None else row(KernelCase(op, kernels, target))


def _writable_shape(tensor: Tensor) -> int:
    """A copy of a tensor's dimensions that a kernel can change."""
    return WORD * (1 + len(tensor.shape))


def _some(size: int) -> tuple[int, ...]:
    return (size,) if size > 0 else ()
