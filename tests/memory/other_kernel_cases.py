"""The operators beside convolutions, fully connected layers and pools, for `kernel_cases`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from tests.single_op import activation, integers, model_of, variable, weights
from tflm_train.model import Model, Quantization, Tensor

_TABLE_SCALE = 1 / 256  # what LOGISTIC and SOFTMAX demand of their output
_BIAS_TYPES: dict[npt.DTypeLike, npt.DTypeLike] = {
    np.int8: np.int32, np.int16: np.int64, np.float32: np.float32
}  # fmt: skip
_TYPES: tuple[npt.DTypeLike, ...] = (np.int8, np.int16, np.float32)


def models() -> Iterator[Model]:
    """All of them."""
    yield from _sums_and_products()
    yield from _functions()
    yield from _softmax()
    yield from _reductions()
    yield from _moves()
    yield from _cuts()
    yield from _pieces()
    yield from _matrix_products()
    yield from _filters_over_time()
    yield from _long_short_term_memory()


def _with(options: Any, **values: Any) -> Any:
    for name, value in values.items():
        assert hasattr(options, name)
        setattr(options, name, value)
    return options


def _sums_and_products() -> Iterator[Model]:
    small, large = (1, 1, 1, 6), (1, 4, 5, 6)
    for name, options in (
        ("ADD", schema.AddOptionsT),
        ("SUB", schema.SubOptionsT),
        ("MUL", schema.MulOptionsT),
    ):
        for dtype in _TYPES:
            x, y = activation(*large, dtype=dtype), activation(*large, dtype=dtype)
            yield model_of(name, [x, y], activation(*large, dtype=dtype), options())
        yield model_of(name, [activation(*large), weights(*small, per_channel=False)],
                       activation(*large), options())  # fmt: skip
    for dtype in (np.int8, np.float32):
        x, y = activation(*large, dtype=dtype), activation(*large, dtype=dtype)
        z, options_ = activation(*large, dtype=dtype), schema.SquaredDifferenceOptionsT()
        yield model_of("SQUARED_DIFFERENCE", [x, y], z, options_)
    x, y = activation(*large, dtype=np.float32), activation(*large, dtype=np.float32)
    yield model_of("DIV", [x, y], activation(*large, dtype=np.float32), schema.DivOptionsT())
    inputs = [activation(*large), activation(*small)]
    yield model_of("DIV", inputs, activation(*large), schema.DivOptionsT())
    for name in ("MAXIMUM", "MINIMUM"):
        for dtype in _TYPES:
            x, y = activation(*large, dtype=dtype), activation(*large, dtype=dtype)
            options_ = schema.MaximumMinimumOptionsT()
            yield model_of(name, [x, y], activation(*large, dtype=dtype), options_)


def _functions() -> Iterator[Model]:
    """Functions of one element."""
    shape = (1, 4, 5, 6)
    for name, scale, zero_point in (
        ("LOGISTIC", _TABLE_SCALE, -128),
        ("TANH", 1 / 128, 0),
        ("HARD_SWISH", 1 / 32, 0),
        ("RELU", 1 / 32, 0),
        ("RELU6", 1 / 32, 0),
    ):
        y = activation(*shape, scale=scale, zero_point=zero_point)
        yield model_of(name, [activation(*shape)], y, None)
        real = activation(*shape, dtype=np.float32)
        yield model_of(name, [activation(*shape, dtype=np.float32)], real, None)
    options = _with(schema.LeakyReluOptionsT(), alpha=0.25)
    yield model_of("LEAKY_RELU", [activation(*shape)], activation(*shape), options)
    positive = activation(*shape, zero_point=-128)
    yield model_of("RSQRT", [positive], activation(*shape, zero_point=-128), None)
    for name in ("ABS", "ELU"):
        yield model_of(name, [activation(*shape)], activation(*shape), None)
    for name in ("COS", "EXP", "LOG", "NEG", "SIN", "SQRT", "SQUARE"):
        x, y = activation(*shape, dtype=np.float32), activation(*shape, dtype=np.float32)
        yield model_of(name, [x], y, None)
    slopes = weights(1, 1, 6, per_channel=False)
    yield model_of("PRELU", [activation(*shape), slopes], activation(*shape), None)
    y = activation(*shape, dtype=np.float32)
    yield model_of("DEQUANTIZE", [activation(*shape)], y, schema.DequantizeOptionsT())
    x = activation(*shape, dtype=np.float32)
    yield model_of("QUANTIZE", [x], activation(*shape), schema.QuantizeOptionsT())
    y = activation(*shape, scale=1 / 16)
    yield model_of("QUANTIZE", [activation(*shape)], y, schema.QuantizeOptionsT())
    y = activation(1, 20, scale=1 / 128)
    yield model_of("L2_NORMALIZATION", [activation(1, 20)], y, schema.L2NormOptionsT())


def _softmax() -> Iterator[Model]:
    options = _with(schema.SoftmaxOptionsT(), beta=1.0)
    for shape in ((1, 10), (1, 4, 4, 3)):
        y = activation(*shape, scale=_TABLE_SCALE, zero_point=-128)
        yield model_of("SOFTMAX", [activation(*shape)], y, options)
    y = activation(1, 10, dtype=np.int16, scale=1 / 32768)
    yield model_of("SOFTMAX", [activation(1, 10, dtype=np.int16)], y, options)
    x, y = activation(1, 10, dtype=np.float32), activation(1, 10, dtype=np.float32)
    yield model_of("SOFTMAX", [x], y, options)


def _reductions() -> Iterator[Model]:
    shape = (1, 4, 5, 6)
    kinds: tuple[tuple[tuple[int, ...], bool], ...] = (
        ((1, 2), False), ((1, 2), True), ((3,), True), ((1, 2, 3), False)
    )  # fmt: skip
    for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
        for dtype in _TYPES:
            for gone, keep in kinds:
                kept = [1 if axis in gone else size for axis, size in enumerate(shape)]
                rest = [size for axis, size in enumerate(shape) if axis not in gone]
                options = _with(schema.ReducerOptionsT(), keepDims=keep)
                x = activation(*shape, dtype=dtype)
                y = activation(*(kept if keep else rest), dtype=dtype)
                yield model_of(name, [x, integers(*gone)], y, options)
    x = activation(1, 7)
    for name, options in (("ARG_MAX", schema.ArgMaxOptionsT), ("ARG_MIN", schema.ArgMinOptionsT)):
        y = activation(1, dtype=np.int32)
        yield model_of(name, [x, Tensor.constant("", np.array(1, np.int32))], y, options())


def _moves() -> Iterator[Model]:
    """Operators that put elements elsewhere."""
    x = activation(1, 4, 6, 8)
    amounts = integers([0, 0], [1, 0], [2, 1], [0, 0])
    yield model_of("PAD", [x, amounts], activation(1, 5, 9, 8), schema.PadOptionsT())
    value = weights(1, per_channel=False)
    value.quantization = x.quantization
    inputs = [x, amounts, value]
    yield model_of("PADV2", inputs, activation(1, 5, 9, 8), schema.PadV2OptionsT())
    y = activation(1, 192)
    yield model_of("RESHAPE", [x, integers(1, 192)], y, schema.ReshapeOptionsT())
    yield model_of("RESHAPE", [x], activation(1, 192), schema.ReshapeOptionsT())
    y = activation(4, 6, 8)
    yield model_of("SQUEEZE", [x], y, _with(schema.SqueezeOptionsT(), squeezeDims=[0]))
    y = activation(1, 1, 4, 6, 8)
    axis = Tensor.constant("", np.array(0, np.int32))
    yield model_of("EXPAND_DIMS", [x, axis], y, schema.ExpandDimsOptionsT())
    y, order = activation(1, 6, 4, 8), integers(0, 2, 1, 3)
    yield model_of("TRANSPOSE", [x, order], y, schema.TransposeOptionsT())
    y, block = activation(1, 2, 3, 32), _with(schema.SpaceToDepthOptionsT(), blockSize=2)
    yield model_of("SPACE_TO_DEPTH", [x], y, block)
    y, block = activation(1, 8, 12, 2), _with(schema.DepthToSpaceOptionsT(), blockSize=2)
    yield model_of("DEPTH_TO_SPACE", [x], y, block)
    y, options = activation(1, 4, 3, 8), _with(schema.GatherOptionsT(), axis=2)
    yield model_of("GATHER", [x, integers(5, 0, 0)], y, options)
    axis = Tensor.constant("", np.array(1, np.int32))
    for dtype in (np.int8, np.float32):
        inputs, y = [activation(1, 9, dtype=dtype), axis], activation(1, 9, dtype=dtype)
        yield model_of("CUMSUM", inputs, y, schema.CumsumOptionsT())
    for name, options in (
        ("RESIZE_BILINEAR", schema.ResizeBilinearOptionsT()),
        ("RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT()),
    ):
        yield model_of(name, [x, integers(8, 12)], activation(1, 8, 12, 8), options)
    x, y = activation(4, 2, 3, 8), activation(1, 4, 6, 8)
    inputs = [x, integers(2, 2), integers([0, 0], [0, 0])]
    yield model_of("BATCH_TO_SPACE_ND", inputs, y, schema.BatchToSpaceNDOptionsT())


def _cuts() -> Iterator[Model]:
    x = activation(1, 4, 6, 8)
    bounds = [integers(0, 1, 0, 2), integers(1, 2, 6, 4)]
    yield model_of("SLICE", [x, *bounds], activation(1, 2, 6, 4), schema.SliceOptionsT())
    bounds = [integers(0, 1, 0, 2), integers(1, 4, 6, 8), integers(1, 2, 1, 3)]
    y, options = activation(1, 2, 6, 2), schema.StridedSliceOptionsT()
    yield model_of("STRIDED_SLICE", [x, *bounds], y, options)
    axis = Tensor.constant("", np.array(3, np.int32))
    halves = [activation(1, 4, 6, 4), activation(1, 4, 6, 4)]
    yield model_of("SPLIT", [axis, x], halves, _with(schema.SplitOptionsT(), numSplits=2))
    parts = [activation(1, 4, 6, 3), activation(1, 4, 6, 5)]
    options = _with(schema.SplitVOptionsT(), numSplits=2)
    yield model_of("SPLIT_V", [x, integers(3, 5), axis], parts, options)


def _pieces() -> Iterator[Model]:
    for dtype in _TYPES:
        a, b = activation(1, 4, 5, 3, dtype=dtype), activation(1, 4, 5, 2, dtype=dtype)
        options = _with(schema.ConcatenationOptionsT(), axis=3)
        y = activation(1, 4, 5, 5, dtype=dtype)
        yield model_of("CONCATENATION", [a, b], y, options)
    parts = [activation(1, 2, 3) for _ in range(10)]
    options = _with(schema.ConcatenationOptionsT(), axis=1)
    yield model_of("CONCATENATION", parts, activation(1, 20, 3), options)
    parts = [activation(2, 3) for _ in range(3)]
    pack = _with(schema.PackOptionsT(), valuesCount=3, axis=1)
    yield model_of("PACK", parts, activation(2, 3, 3), pack)
    parts = [activation(2, 3) for _ in range(3)]
    unpack = _with(schema.UnpackOptionsT(), num=3, axis=1)
    yield model_of("UNPACK", [activation(2, 3, 3)], parts, unpack)


def _matrix_products() -> Iterator[Model]:
    for dtype in _TYPES:
        for adj_x in (False, True):
            for adj_y in (False, True):
                a = activation(*((1, 6, 5) if adj_x else (1, 5, 6)), dtype=dtype)
                b = activation(*((1, 7, 6) if adj_y else (1, 6, 7)), dtype=dtype)
                options = _with(schema.BatchMatMulOptionsT(), adjX=adj_x, adjY=adj_y)
                y = activation(1, 5, 7, dtype=dtype)
                yield model_of("BATCH_MATMUL", [a, b], y, options)
    a, b, y = activation(2, 3, 4, 8), activation(2, 3, 8, 5), activation(2, 3, 4, 5)
    yield model_of("BATCH_MATMUL", [a, b], y, schema.BatchMatMulOptionsT())
    b = weights(8, 5, per_channel=False)
    a, y = activation(4, 8), activation(4, 5)
    yield model_of("BATCH_MATMUL", [a, b], y, schema.BatchMatMulOptionsT())


def _filters_over_time() -> Iterator[Model]:
    """SVDF, whose state is int8 beside int8 weights and int16 beside int16 ones."""
    for dtype, times_type, state_type in (
        (np.int8, np.int8, np.int8),
        (np.int8, np.int16, np.int16),
        (np.float32, np.float32, np.float32),
    ):
        for rank in (1, 2):
            features = weights(6, 5, dtype=dtype, per_channel=False)
            times = weights(6, 4, dtype=times_type, per_channel=False)
            times.quantization = activation(1, dtype=times_type).quantization
            state = variable(activation(1, 24, dtype=state_type))
            shift = Tensor.constant("", np.zeros(6 // rank, _BIAS_TYPES[dtype]))
            if times.quantization is not None:
                scale = times.quantization.scale * np.float32(state.scale)
                shift.quantization = Quantization(scale, np.zeros(1, np.int64))
            inputs = [activation(1, 5, dtype=dtype), features, times, shift, state]
            options = _with(schema.SVDFOptionsT(), rank=rank, fusedActivationFunction=1)
            yield model_of("SVDF", inputs, activation(1, 6 // rank, dtype=dtype), options)


def _long_short_term_memory() -> Iterator[Model]:
    steps, size, cells = 3, 5, 4
    for dtype, cell_type in ((np.int8, np.int16), (np.int16, np.int16), (np.float32, np.float32)):
        filter_type = np.float32 if dtype == np.float32 else np.int8

        def square(columns: int, kind: Any = filter_type) -> list[Tensor]:
            return [weights(cells, columns, dtype=kind, per_channel=False) for _ in range(4)]

        biases = [Tensor.constant("", np.zeros(cells, _BIAS_TYPES[dtype])) for _ in range(4)]
        states = [
            variable(activation(1, cells, dtype=dtype)),
            variable(activation(1, cells, dtype=cell_type, scale=2**-11)),
        ]
        inputs: list[Tensor | None] = [activation(1, steps, size, dtype=dtype)]
        inputs += [*square(size), *square(cells), None, None, None, *biases, None, None]
        inputs += [*states, None, None, None, None]
        options = _with(schema.UnidirectionalSequenceLSTMOptionsT(), fusedActivationFunction=4)
        y = activation(1, steps, cells, dtype=dtype)
        yield model_of("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, y, options)
