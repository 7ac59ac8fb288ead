"""The scratch memory of the kernels, in Python as in C++, over random layers."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.random_layers import Draw, geometry, size
from tflm_train import ops
from tflm_train.memory.scratch import scratch_of
from tflm_train.ops.geometry import Geometry
from tflm_train.runtime.host_library import host_library

_KERNELS = Path(__file__).resolve().parents[2] / "tflm_kernels"
_LAYERS = 20_000
_MASK = ops.MaskFields()
_OUTPUT = ops.OutputFields(0, 0, -128, 127)


def _conv_input_grad(draw: Draw) -> ops.Params:
    g = geometry(draw)
    group = draw(1, g.out_c) if draw(0, 4) == 0 else g.out_c
    kept = draw(0, g.in_c - 1) if draw(0, 1) else 0
    transposed = int(draw(0, 4) == 0)
    return ops.ConvInputGrad(g, _MASK, 0, 1, -1, 1.0, group, 1, kept, transposed)


def _depthwise_input_grad(draw: Draw) -> ops.Params:
    g = geometry(draw, depthwise=True)
    return ops.DepthwiseInputGrad(g, _MASK, 0, 1, -1, 1.0, g.out_c // g.in_c, 0)


def _update(g: Geometry) -> ops.UpdateFields:
    return ops.UpdateFields(0, 0, 0, 8, 8, 0, g.k_h, 0, g.k_w, g.in_c)


def _conv_update(draw: Draw) -> ops.Params:
    g = geometry(draw)
    return ops.ConvUpdate(g, _update(g), draw(0, 1))


def _depthwise_update(draw: Draw) -> ops.Params:
    g = geometry(draw, depthwise=True)
    return ops.DepthwiseUpdate(g, _update(g), g.out_c // g.in_c)


def _product_grad(draw: Draw) -> ops.Params:
    axes = tuple(ops.ProductAxis(size(draw, 64), 0, 0) for _ in range(7))
    return ops.ProductGrad(axes[:4], axes[4:], 1, 1, 0, 0, _MASK, 0, 1, -1, 1.0)


def _stream(draw: Draw) -> ops.Params:
    stages = []
    for _ in range(draw(1, 8)):
        kind = draw(0, 2)
        g = geometry(draw, depthwise=kind == ops.StageKind.DEPTHWISE)
        kept = draw(0, 1)
        stages.append(
            ops.StageFields(
                kind,
                g,
                _OUTPUT,
                1,
                -1,
                -1,
                draw(1, 9),
                kept_output=kept,
                kept_channels=draw(1, g.out_c) if draw(0, 1) else g.out_c,
            )
        )
    return ops.Stream(tuple(stages))


KINDS: dict[str, Callable[[Draw], ops.Params]] = {
    "Loss": lambda draw: ops.Loss(size(draw, 1000), 0, 1.0, 0, positions=draw(1, 100)),
    "ConvInputGrad": _conv_input_grad,
    "DepthwiseInputGrad": _depthwise_input_grad,
    "PoolGrad": lambda draw: ops.PoolGrad(geometry(draw, True), _MASK, 0, 1, draw(0, 1), 4),
    "ConvUpdate": _conv_update,
    "DepthwiseUpdate": _depthwise_update,
    "SplitConv": lambda draw: ops.SplitConv(geometry(draw), _OUTPUT, 0),
    "SplitDepthwise": lambda draw: ops.SplitDepthwise(geometry(draw, True), _OUTPUT, 0, 1),
    "ProductGrad": _product_grad,
    "MaxPoolGrad": lambda draw: ops.MaxPoolGrad(geometry(draw, True), _MASK, 0, 1),
    "ResizeGrad": lambda draw: ops.ResizeGrad(3, 3, size(draw), 6, 6, _MASK, 0, 1, -1),
    "L2NormGrad": lambda draw: ops.L2NormGrad(size(draw), 0, 1.0, _MASK, 0, 1),
    "Stream": _stream,
}
"""A random op of each kind that wants scratch memory."""
WEIGHTS = {"ConvInputGrad": 5, "DepthwiseInputGrad": 8, "ConvUpdate": 5, "Stream": 3}
"""How many times as often those are drawn whose memory is not just a product."""


def scratch_in_cpp(params: list[ops.Params]) -> list[int]:
    """What the kernels of this machine ask for."""
    found = (ctypes.c_uint64 * len(params))()
    options = b"".join(p.pack() for p in params)
    host_library().TflmTrainKernelScratchBytes(options, len(params), found)
    return list(found)


@pytest.mark.interpreter
def test_twins_agree() -> None:
    rng = np.random.default_rng(2026)
    names = [name for name in KINDS for _ in range(WEIGHTS.get(name, 1))]

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    params = [KINDS[names[draw(0, len(names) - 1)]](draw) for _ in range(_LAYERS)]
    assert set(Counter(type(p).__name__ for p in params)) == set(KINDS)
    for found, want in zip(params, scratch_in_cpp(params), strict=True):
        assert scratch_of(found) == want, found


def test_no_kernel_is_left_out() -> None:
    declared = re.compile(
        r"^size_t (\w+)ScratchBytes\(const (?:\w+Params|StreamProgram)&", re.MULTILINE
    )
    headers = "".join(path.read_text() for path in sorted(_KERNELS.glob("**/*.h")))
    assert set(declared.findall(headers)) == set(KINDS)
