"""Operators over sequences: BATCH_MATMUL (attention), SVDF and the LSTM."""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from tflm_train.graph import Op
from tflm_train.ops.builtin.memory import (
    WORD,
    KernelCase,
    KernelMemory,
    some,
    writable_shape,
)
from tflm_train.ops.builtin.operator import BuiltinOperator
from tflm_train.ops.builtin.shapes import (
    Shapes,
    broadcast_shapes,
    listed,
    require,
    require_bias,
    require_rank,
    tensor_of,
)
from tflm_train.ops.target import Struct

_LSTM_INPUT, _LSTM_OUTPUT_STATE, _LSTM_CELL_STATE = 0, 18, 19
_LSTM_FULLY_CONNECTED = "iiiiiiiffbbb"
_LSTM_ARITHMETIC = "biiiiiiiiiiiiffqqhhiiiii"


def _batch_matmul_shape(op: Op) -> Shapes:
    """BATCH_MATMUL."""
    a, b = (list(tensor_of(op, i).shape) for i in (0, 1))
    require(min(len(a), len(b)) >= 2, "its inputs are no matrices")
    if op.options.adjX:
        a[-2:] = a[:-3:-1]
    if op.options.adjY:
        b[-2:] = b[:-3:-1]
    require(a[-1] == b[-2], f"it cannot multiply {listed(a)} with {listed(b)}")
    return ((*broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1]),)


def _svdf_shape(op: Op) -> Shapes:
    """SVDF."""
    x, features, times, state = (tensor_of(op, i) for i in (0, 1, 2, 4))
    for tensor in (x, features, times, state):
        require_rank(tensor, 2)
    filters, rank = features.shape[0], int(op.options.rank)
    require(rank >= 1 and filters % rank == 0, f"its rank {rank} does not fit {filters} filters")
    (batch, size), memory = x.shape, times.shape[1]
    fits = features.shape[1] == size and times.shape[0] == filters
    require(fits, f"its filters do not fit {size} inputs")
    require(state.shape == (batch, memory * filters), f"its state is {listed(state.shape)}")
    require_bias(op, 3, filters // rank)
    return ((batch, filters // rank),)


def _lstm_shape(op: Op) -> Shapes:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: what the states and the output say of each other."""
    x = tensor_of(op, _LSTM_INPUT)
    hidden, cell = tensor_of(op, _LSTM_OUTPUT_STATE), tensor_of(op, _LSTM_CELL_STATE)
    for tensor, rank in ((x, 3), (hidden, 2), (cell, 2)):
        require_rank(tensor, rank)
    for state in (hidden, cell):
        require(state.is_variable and state.dtype is not None, f"{state.name!r} is no state")
    return ((*x.shape[:2], hidden.shape[1]),)


def _batch_matmul_memory(case: KernelCase) -> KernelMemory:
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
            buffers += [struct, writable_shape(tensor), tensor.nbytes]
    buffers.append(writable_shape(case.op.output))
    if case.quantized:
        # The multiplier and its like; CMSIS-NN asks for them last.
        buffers.insert(len(buffers) if case.cmsis else 0, 7 * WORD)
    return KernelMemory(("bbb",), data, (), some(scratch), tuple(buffers))


def _svdf_memory(case: KernelCase) -> KernelMemory:
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


def _lstm_memory(case: KernelCase) -> KernelMemory:
    gate: Struct = ((_LSTM_FULLY_CONNECTED,), (_LSTM_FULLY_CONNECTED,))
    between: Struct = ((_LSTM_ARITHMETIC,),) * 3
    data: Struct = (("biiii",), ("fhi",), "e", gate, gate, gate, gate, between, "iiii")
    hidden, cell = case.tensor(_LSTM_OUTPUT_STATE), case.tensor(_LSTM_CELL_STATE)
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


ROWS = (
    BuiltinOperator(
        "BATCH_MATMUL",
        _batch_matmul_shape,
        (2, 2),
        schema.BatchMatMulOptionsT,
        memory=_batch_matmul_memory,
        is_heavy=True,
        method="BatchMatMul",
    ),
    BuiltinOperator("SVDF", _svdf_shape, (5, 5), schema.SVDFOptionsT, memory=_svdf_memory),
    BuiltinOperator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        _lstm_shape,
        (1, 24),
        schema.UnidirectionalSequenceLSTMOptionsT,
        memory=_lstm_memory,
        method="UnidirectionalSequenceLSTM",
    ),
)
