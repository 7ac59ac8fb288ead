"""Training ops of many shapes, to fit the cost model on."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.kernels import cases, conv_input_grad, depthwise_input_grad, layer, update
from benchmarks.unweighted_shapes import unweighted
from tflm_train import ops
from tflm_train.ops.geometry import Geometry

_NONE, _BITS = ops.MaskFields(), ops.MaskFields(int(ops.MaskKind.BITS), -128, 127)
_VALUES = ops.MaskFields(int(ops.MaskKind.ACTIVATION), -128, 127)
_OUTPUT = ops.OutputFields(-3, -128, -128, 127)
_EACH = 14  # random layers of each family
_IN_PARTS = 48  # of those with many positions
_SIDES, _CHANNELS = (3, 4, 6, 8, 10, 16), (8, 12, 16, 24, 30, 48, 64, 96, 144)


def op_shapes() -> list[ops.Params]:
    """The ops, the same every time."""
    rng = np.random.default_rng(7)

    def pick(values: tuple[int, ...]) -> int:
        return int(rng.choice(values))

    found: list[ops.Params] = [case.params for case in cases()]
    for kernel, stride in ((1, 1), (1, 2), (3, 1), (3, 2), (5, 1)):
        for index in range(_EACH):
            side = min(pick(_SIDES), 8) if kernel > 1 else pick(_SIDES)
            most = 3 if kernel > 1 else len(_CHANNELS)
            g = layer(side, pick(_CHANNELS[:most]), pick(_CHANNELS[:most]), kernel, stride)
            mask = (_NONE, _BITS, _VALUES)[index % 3]
            found.append(conv_input_grad(g, mask, addend=index % 4 == 3))
            found.append(update(g, (8, 4, 0)[index % 3], depthwise=False))
            found.append(_lone(ops.StageKind.CONV, g))
            if kernel == 1 and stride == 1:
                found.append(_gathered(update(g, 8, depthwise=False), g.in_c * 4))
                found.append(ops.SplitConv(g, _OUTPUT, max(1, g.in_c // (2 << index % 3))))
    for kernel, stride in ((3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)):
        for index in range(_EACH // 2):
            side = max(pick(_SIDES), kernel)
            channels = pick(_CHANNELS)
            g = layer(side, channels, channels, kernel, stride)
            mask = (_NONE, _BITS, _VALUES)[index % 3]
            found.append(depthwise_input_grad(g, mask))
            found.append(update(g, (8, 4, 0)[index % 3], depthwise=True))
            found.append(_lone(ops.StageKind.DEPTHWISE, g))
            if kernel == 3:
                found.append(ops.SplitDepthwise(g, _OUTPUT, max(1, channels // 4), 1))
    for kernel_h, kernel_w in ((1, 3), (1, 5), (9, 1), (4, 10), (2, 2), (5, 3)):
        for index, stride in enumerate((1, 1, 2)):
            height, width = max(pick(_SIDES), kernel_h), max(pick(_SIDES), kernel_w)
            channels, out_c = pick(_CHANNELS), pick(_CHANNELS[:5])
            window = ((kernel_h, kernel_w), (stride, stride))
            g = Geometry.from_options((height, width, channels), channels, *window, padding="SAME")
            found.append(depthwise_input_grad(g, (_NONE, _BITS, _VALUES)[index]))
            found.append(update(g, (8, 4, 0)[index], depthwise=True))
            found.append(_lone(ops.StageKind.DEPTHWISE, g))
            g = Geometry.from_options((height, width, 8), out_c, *window, padding="SAME")
            found.append(conv_input_grad(g, (_NONE, _BITS, _VALUES)[index]))
            found.append(update(g, (8, 4, 0)[index], depthwise=False))
            found.append(_lone(ops.StageKind.CONV, g))
    for size in (64, 1000, 9216):
        found.append(ops.ClampMask(size, -128, 127))
        found.append(ops.BiasUpdate(size // 8, 8, 0))
        found.append(ops.ChannelSave(size // 8, 32, 8))
        for mask in (_NONE, _BITS):
            found.append(ops.Accumulate(size, mask, 2, (0, 1, -1, -1), 2))
            pool = Geometry.from_options((4, 4, size // 8), size // 8, (4, 4), (4, 4))
            found.append(ops.PoolGrad(pool, mask, 0, 1, 1, 16))
    found += [ops.Loss(classes, 0, 0.25, 0) for classes in (2, 10, 100)]
    return [*found, *updates_in_parts(), *unweighted()]


def updates_in_parts(seed: int = 8) -> list[ops.Params]:
    """Updates of more positions than are summed at a time: first layers, 1x1 layers of images."""
    rng = np.random.default_rng(seed)
    found: list[ops.Params] = []
    for index in range(_IN_PARTS):
        # Audio's and pictures' first layers, then ones further on.
        first = index % 2 == 0
        in_c = int(rng.choice((1, 3, 3, 4) if first else (6, 8, 13, 16, 24, 30, 48, 64)))
        out_c = int(rng.choice((7, 8, 10, 12, 16, 24, 30, 32)))
        kernel = rng.choice(((3, 3), (3, 3), (5, 5), (1, 1), (10, 4), (9, 1))[: 6 if first else 4])
        stride = 2 if index % 4 == 0 else 1
        height, width = (int(side) * stride for side in rng.integers(23, 44, 2))
        g = Geometry.from_options(
            (height, width, in_c),
            out_c,
            (int(kernel[0]), int(kernel[1])),
            (stride, stride),
            padding="SAME",
        )
        found.append(update(g, (8, 4, 0)[index % 3], depthwise=False))
    g = Geometry.from_options((1024, 1, 8), 16, (9, 1), padding="SAME")
    found.append(update(g, 8, depthwise=False))
    found.append(update(layer(64, 3, 16, 3, 2), 8, depthwise=False))
    return [*found, _gathered(update(layer(24, 8, 32), 8, depthwise=False), 32)]


def _lone(kind: ops.StageKind, g: Geometry) -> ops.Params:
    """A STREAM of one layer."""
    stage = ops.StageFields(
        kind, g, _OUTPUT, 1, ops.STREAM_INPUT, ops.STREAM_INPUT, ring_rows=g.out_h
    )
    return ops.Stream((stage,))


def _gathered(params: ops.Params, row: int) -> ops.Params:
    """An update of some of the weights' columns."""
    assert isinstance(params, ops.ConvUpdate)
    fields = dataclasses.replace(params.update, row_channels=row)
    return dataclasses.replace(params, update=fields)
