"""Models of a single builtin operator of many shapes, to fit the cost model on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.single_op import Shape, Window, activation, integers, model_of
from tflm_train.model import Model, Quantization, Tensor

_IMAGES: tuple[Shape, ...] = (
    *((1, 8, 8, 16), (1, 28, 28, 8), (1, 4, 4, 128), (1, 16, 12, 30), (1, 1, 1, 64)),
    *((1, 32, 32, 3), (1, 49, 10, 24)),
)
_VECTORS: tuple[Shape, ...] = ((1, 1), (1, 10), (1, 257), (1, 1000), (1, 4096))
_LOW = -128
_BYTES = Quantization(np.array([1 / 32], np.float32), np.array([128], np.int64))


def builtin_shapes() -> dict[str, list[Model]]:
    """The models by operator, the same every time."""
    found: dict[str, list[Model]] = {}
    for models in (_pools(), _casts(), _functions(), _arithmetic(), _moves(), _resizes()):
        for model in models:
            found.setdefault(model.graph.ops[0].name, []).append(model)
    return found


def _pools() -> Iterator[Model]:
    windows = [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((2, 1), (2, 1)), ((3, 3), (1, 1))]
    for index, shape in enumerate(_IMAGES):
        for step, (kernel, stride) in enumerate(windows):
            window = Window(kernel, stride, same=(index + step) % 2 == 0 or shape[1] == 1)
            y = activation(*window.output(shape, shape[3]))
            options = window.fill(schema.Pool2DOptionsT())
            yield model_of("MAX_POOL_2D", [activation(*shape)], y, options)


def _casts() -> Iterator[Model]:
    for shape in (*_IMAGES, *_VECTORS):
        floats, bytes_ = activation(*shape, dtype=np.float32), _bytes(shape)
        for x, y in (
            (floats, activation(*shape)),
            (bytes_, activation(*shape)),
            (activation(*shape), _bytes(shape)),
            (activation(*shape), activation(*shape, scale=1 / 64, zero_point=3)),
            (activation(*shape, dtype=np.int16), activation(*shape)),
        ):
            yield model_of("QUANTIZE", [x], y, schema.QuantizeOptionsT())
        floats = activation(*shape, dtype=np.float32)
        yield model_of("DEQUANTIZE", [activation(*shape)], floats, schema.DequantizeOptionsT())


def _bytes(shape: Shape) -> Tensor:
    return Tensor.make("", np.uint8, shape, quantization=_BYTES)


def _functions() -> Iterator[Model]:
    slope = schema.LeakyReluOptionsT()
    slope.alpha = 0.1
    outputs: dict[str, tuple[dict[str, Any], Any]] = {
        "LOGISTIC": ({"scale": 1 / 256, "zero_point": _LOW}, None),
        "TANH": ({"scale": 1 / 128}, None),
        "RELU": ({}, None),
        "RELU6": ({}, None),
        "LEAKY_RELU": ({}, slope),
        "HARD_SWISH": ({}, schema.HardSwishOptionsT()),
    }
    for name, (output, options) in outputs.items():
        for shape in (*_IMAGES, *_VECTORS):
            yield model_of(name, [activation(*shape)], activation(*shape, **output), options)


def _arithmetic() -> Iterator[Model]:
    options = {
        "ADD": schema.AddOptionsT,
        "MUL": schema.MulOptionsT,
        "SUB": schema.SubOptionsT,
        "MAXIMUM": schema.MaximumMinimumOptionsT,
        "MINIMUM": schema.MaximumMinimumOptionsT,
    }
    for name, make in options.items():
        for shape in (*_IMAGES, *_VECTORS):
            others = {shape, (1,), (*[1] * (len(shape) - 1), shape[-1])}
            for other in sorted(others):
                inputs = [activation(*shape), activation(*other)]
                yield model_of(name, inputs, activation(*shape), make())


def _moves() -> Iterator[Model]:
    for shape in _IMAGES:
        joined = schema.ConcatenationOptionsT()
        joined.axis = 3
        for count in (2, 3):
            inputs = [activation(*shape) for _ in range(count)]
            y = activation(*shape[:3], count * shape[3])
            yield model_of("CONCATENATION", inputs, y, joined)
        rows = schema.ConcatenationOptionsT()
        rows.axis = 1
        y = activation(1, 2 * shape[1], *shape[2:])
        yield model_of("CONCATENATION", [activation(*shape), activation(*shape)], y, rows)
        for permutation in ((0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 3, 2)):
            y = activation(*(shape[axis] for axis in permutation))
            inputs = [activation(*shape), integers(*permutation)]
            yield model_of("TRANSPOSE", inputs, y, schema.TransposeOptionsT())
        yield from _slices(shape)


def _slices(shape: Shape) -> Iterator[Model]:
    ends = [(*shape[:3], shape[3] // 2 + 1), (1, shape[1] // 2 + 1, *shape[2:])]
    for end in ends:
        limits = [integers(*[0] * 4), integers(*end), integers(*[1] * 4)]
        options = schema.StridedSliceOptionsT()
        yield model_of("STRIDED_SLICE", [activation(*shape), *limits], activation(*end), options)


def _resizes() -> Iterator[Model]:
    for shape in _IMAGES:
        for height, width in ((2 * shape[1], 2 * shape[2]), (12, 17), (shape[1], shape[2])):
            inputs = [activation(*shape), integers(height, width)]
            y = activation(1, height, width, shape[3])
            if y.size > 1 << 16:
                continue
            bilinear = schema.ResizeBilinearOptionsT()
            bilinear.halfPixelCenters = True
            yield model_of("RESIZE_BILINEAR", inputs, y, bilinear)
            inputs = [activation(*shape), integers(height, width)]
            y = activation(1, height, width, shape[3])
            options = schema.ResizeNearestNeighborOptionsT()
            yield model_of("RESIZE_NEAREST_NEIGHBOR", inputs, y, options)
