"""Cases at the bounds of fast paths in the layers' forward arithmetic."""

import numpy as np
from golden_cases import Forward, weight_shape
from golden_inputs import Array, random_int8

from tflm_train import ops
from tflm_train.ops.geometry import Geometry

_HALF = 1 << 29
_MULTIPLIER = 3 << 29  # 0.75


def _layer(
    geometry: Geometry, depthwise: bool, x: Array, weights: Array, bias: Array, shift: Array
) -> Forward:
    output = ops.OutputFields(-128, 3, -128, 127)
    multiplier = np.full(geometry.out_c, _MULTIPLIER, np.int32)
    return Forward(
        geometry, depthwise, x, weights, output, multiplier, shift, bias.astype(np.int32)
    )


def _drawn(geometry: Geometry, depthwise: bool, shifts: tuple[int, ...] = (-9,)) -> Forward:
    """A layer of random numbers whose shifts take turns."""
    g = geometry
    rng = np.random.default_rng(31)
    x = random_int8(rng, g.in_h, g.in_w, g.in_c, low=-128)
    bias = rng.integers(-5000, 5000, g.out_c)
    shift = np.resize(np.array(shifts, np.int32), g.out_c)
    return _layer(g, depthwise, x, random_int8(rng, *weight_shape(g, depthwise)), bias, shift)


def _deep(products: int, bias: int) -> Forward:
    """The largest sum that so many products give, and a bias."""
    g = Geometry.dense(1, products, 1)
    x = np.full((1, 1, products), 127, np.int8)
    weights = np.full((1, 1, 1, products), 127, np.int8)
    return _layer(g, False, x, weights, np.array([bias]), np.array([-23], np.int32))


def _biased(bias: int, depthwise: bool) -> Forward:
    """Sums of the sign of the bias, the same for all channels."""
    g = Geometry.from_options((2, 2, 8), 8, (1, 1))
    rng = np.random.default_rng(32)
    x = random_int8(rng, 2, 2, 8, low=-128)
    weights = rng.integers(1, 128, weight_shape(g, depthwise)) * np.sign(bias)
    biases, shift = np.full(8, bias), np.full(8, -23, np.int32)
    return _layer(g, depthwise, x, weights.astype(np.int8), biases, shift)


def cases() -> dict[str, Forward]:
    """All of them by name."""
    point = Geometry.from_options((2, 3, 8), 8, (1, 1))
    found = {
        # 2^29 = 16577.9 times the largest product.
        "forward_16384_products": _deep(16384, _HALF - 1),
        "forward_16578_products": _deep(16578, _HALF - 1),
        "forward_shifts_down": _drawn(point, False, (-1, -2)),
        "forward_shift_0": _drawn(point, False, (-1, 0, -2)),
        "forward_shift_up": _drawn(point, False, (-1, 1, -2)),
        "forward_shift_0_depthwise": _drawn(point, True, (-1, 0, -2)),
        "forward_3_channels": _drawn(Geometry.from_options((2, 3, 5), 3, (1, 1)), False),
        "forward_4_channels": _drawn(Geometry.from_options((2, 3, 5), 4, (1, 1)), False),
        "forward_5_channels": _drawn(Geometry.from_options((2, 3, 6), 5, (1, 1)), False),
        "forward_stride_1": _drawn(Geometry.from_options((2, 6, 16), 4, (1, 1)), False),
        "forward_odd_row": _drawn(Geometry.from_options((2, 3, 16), 4, (1, 1)), False),
        "forward_stride_2": _drawn(Geometry.from_options((3, 7, 16), 4, (1, 1), (2, 2)), False),
        "forward_neighbours": _drawn(Geometry.from_options((5, 6, 3), 4, (3, 3)), False),
        "forward_dilation": _drawn(
            Geometry.from_options((5, 7, 3), 4, (3, 3), (1, 1), (1, 2)), False
        ),
        "forward_49_taps": _drawn(Geometry.from_options((8, 9, 17), 17, (7, 7)), True),
        "forward_50_taps": _drawn(Geometry.from_options((6, 12, 17), 17, (5, 10)), True),
        "forward_inside": _drawn(Geometry.from_options((4, 6, 5), 5, (3, 3)), True),
        "forward_border": _drawn(
            Geometry.from_options((4, 6, 5), 5, (3, 3), padding="SAME"), True
        ),
    }  # fmt: skip
    for name, bias in (("small", _HALF - 1), ("large", (1 << 30) - 1)):
        for depthwise, layer in ((False, "conv"), (True, "depthwise")):
            found[f"forward_{layer}_bias_{name}_plus"] = _biased(bias, depthwise)
            found[f"forward_{layer}_bias_{name}_minus"] = _biased(-bias, depthwise)
    for channels in (3, 4, 5, 15, 16, 17):
        g = Geometry.from_options((3, 4, channels), channels, (3, 3), padding="SAME")
        found[f"forward_depthwise_{channels}_channels"] = _drawn(g, True)
    for multiplier in (2, 4, 6):
        g = Geometry.from_options((3, 4, 2), 2 * multiplier, (3, 3), padding="SAME")
        found[f"forward_multiplier_{multiplier}"] = _drawn(g, True)
    return found
