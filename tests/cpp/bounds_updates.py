"""Cases at the bounds of fast paths in the operators that update weights and biases."""

import math
from collections.abc import Sequence

import numpy as np
from golden_cases import BiasUpdate, Update, weight_shape
from golden_inputs import Array, random_int8

from tests.qas.whole_layer import Parameters
from tflm_train.backward_ops.numerics import QuantizedGradient as Gradient
from tflm_train.ops.geometry import Geometry
from tflm_train.qas import update

_LARGEST = 127
_ONE = np.float32(1)  # learning rate and scale of the gradient: steps are kw * G, kb * B
_WHOLE = {8: 256, 4: 65536, 0: 65536}  # a weight in units of the steps' arithmetic


def _given(
    geometry: Geometry, depthwise: bool, q: Array, x: Array, kw: Array, bits: int, bias: bool
) -> Update:
    """A step of random weights, of as large a zero point as there is."""
    g = geometry
    rng = np.random.default_rng(51)
    shape = weight_shape(g, depthwise)
    weights = random_int8(rng, *shape)
    weights.reshape(-1)[:2] = [127, -127][: min(2, weights.size)]
    residual = None
    if bits:
        half = 1 << (bits - 1)
        residual = rng.integers(-half, half, shape).astype(np.int8)
        residual.reshape(-1)[2:4] = [-half, half - 1][: max(0, residual.size - 2)]
        if bits == 4:
            residual[np.abs(weights) == 127] = 0
    biases = rng.integers(-5000, 5000, g.out_c).astype(np.int32) if bias else None
    kw = np.broadcast_to(kw, g.out_c).astype(np.float32)
    kb = (1000 * kw).astype(np.float32)
    q = np.broadcast_to(q, (g.out_h, g.out_w, g.out_c)).astype(np.int8)
    x = np.broadcast_to(x, (g.in_h, g.in_w, g.in_c)).astype(np.int8)
    return Update(
        g, depthwise, Gradient(q, _ONE), x, -128, Parameters(weights, biases, residual),
        update.Factors(kw, kb, kw == 0), 1.0, bits,
    )  # fmt: skip


def _steps(steps: Sequence[float], bits: int, depthwise: bool, side: int = 4) -> Update:
    """Steps of so many weights, in turns, of the largest sums there are.

    Args:
      steps: What weights change by.
      bits: Of the residual.
      depthwise: Which layer.
      side: Positions of the output along either axis.
    """
    g = Geometry.from_options((side, side, 8), 8, (1, 1))
    signs = np.sign(np.resize(np.array(steps), 8))
    q = -_LARGEST * signs  # weights go down where gradients are positive
    largest = _LARGEST * 255 * side * side
    kw = np.abs(np.resize(np.array(steps), 8)) / largest
    return _given(g, depthwise, q, np.array(127), kw, bits, False)


def _limited(shares: Sequence[float], bits: int, depthwise: bool, fan_in: int) -> Update:
    """Multipliers of such shares of the layer's limit, and sums that move a weight by 60 at most.

    Args:
      shares: Of the limit, in turns.
      bits: Of the residual.
      depthwise: Which layer.
      fan_in: Weights that meet in its one output; a square, when depthwise.
    """
    side = math.isqrt(fan_in) if depthwise else 1
    shape = (side, side, 8) if depthwise else (1, 1, fan_in)
    g = Geometry.from_options(shape, 8, (side, side))
    shift = update.gain_shift(1)
    limit = update.step_limit(g, depthwise, shift, bits) / (_WHOLE[bits] * 2.0 ** (32 - shift))
    q = min(_LARGEST, int(60 / (255 * limit))) * np.resize([1, -1, -1], 8)
    kw = limit * np.resize(np.array(shares), 8)
    return _given(g, depthwise, q, np.array(127), kw, bits, False)


def _multiplier(m: float) -> Update:
    """Multipliers of some size, without a residual; sums of up to 25500."""
    g = Geometry.from_options((1, 1, 8), 8, (1, 1))
    q = np.resize([100, -3, 60, 1], 8)
    kw = np.array(m * 2.0 ** -(16 + 32 - update.gain_shift(1)))
    return _given(g, False, q, np.arange(120, 128), kw, 0, False)


def _moderate(
    geometry: Geometry, depthwise: bool, bits: int = 8, q: int | None = None, bias: bool = False
) -> Update:
    """Random inputs and steps of a few weights; q: all gradients, None: random."""
    g = geometry
    rng = np.random.default_rng(52)
    gradient = random_int8(rng, g.out_h, g.out_w, g.out_c) if q is None else np.array(q)
    kw = rng.uniform(1, 3, g.out_c) / (
        _LARGEST * 255 * (math.sqrt(g.positions) if q is None else g.positions)
    )
    return _given(
        g, depthwise, gradient, random_int8(rng, g.in_h, g.in_w, g.in_c, low=-128), kw, bits, bias
    )


def _weights() -> dict[str, Update]:
    found: dict[str, Update] = {}
    near, far = 32500 / 256, (32600 / 256, 32700 / 256, 32760 / 256)
    for depthwise, name in ((False, "conv"), (True, "depthwise")):
        below, above = (-near, near, -near / 2), tuple(-s for s in far)
        found[f"{name}_nearest_below"] = _steps(below, 8, depthwise)
        found[f"{name}_nearest_above"] = _steps((*above, far[0]), 8, depthwise)
        found[f"{name}_nearest_far"] = _steps((-160, 160, -300, 1), 8, depthwise)
        for bits in (8, 4, 0):
            limit, below, above = f"{name}_limit{bits}", (0.999, 0.5, 1), (1.01, 2, 1e30)
            found[f"{limit}_below"] = _limited(below, bits, depthwise, 256)
            found[f"{limit}_above"] = _limited(above, bits, depthwise, 256)
            found[f"{name}_capped{bits}"] = _limited(above, bits, depthwise, 1)
        for bits in (4, 0):
            below, above = (-126.99, 126.99, 3), (-127.4, 127.4, -127.9, 127.9)
            found[f"{name}_random{bits}_below"] = _steps(below, bits, depthwise)
            found[f"{name}_random{bits}_above"] = _steps(above, bits, depthwise)
            found[f"{name}_random{bits}_far"] = _steps((-160, 160, -300, 1), bits, depthwise)
    found["multiplier_below"] = _multiplier((1 << 26) - 64)
    found["multiplier_above"] = _multiplier(1.5 * (1 << 26))
    for channels in (7, 8):
        g = Geometry.from_options((2, 3, channels), 6, (1, 1))
        found[f"nibbles_{channels}_columns"] = _moderate(g, False, 4)
        g = Geometry.from_options((3, 3, channels), channels, (3, 3), padding="SAME")
        found[f"nibbles_{channels}_columns_depthwise"] = _moderate(g, True, 4)
    return found


def _positions() -> dict[str, Update]:
    """How many positions sums go over."""
    found: dict[str, Update] = {}
    for h, w in ((16, 16), (17, 16), (1, 256), (1, 264)):
        g = Geometry.from_options((2 * h - 1, 2 * w - 1, 8), 8, (1, 1), (2, 2))
        found[f"depthwise_{h}x{w}_positions"] = _moderate(g, True, 8, _LARGEST)
    for h, w in ((16, 16), (12, 22)):
        g = Geometry.from_options((h, w, 4), 5, (1, 1))
        found[f"conv_{h * w}_positions_bias"] = _moderate(g, False, 8, _LARGEST, bias=True)
    for h, w in ((16, 32), (23, 23)):
        g = Geometry.from_options((h, w, 4), 4, (1, 1))
        largest = _LARGEST * 255 * g.positions
        kw = np.array([1.5, 2, 3, 0.5]) / largest
        for bits in (8, 0):
            case = _given(g, False, np.array([127, -127, 127, 127]), np.array(127), kw, bits, False)
            found[f"conv_{h * w}_positions_residual{bits}"] = case
    for channels in (4, 5):
        for size in (2, 5):
            g = Geometry.from_options((size, size, channels), channels, (5, 5), padding="SAME")
            found[f"depthwise_5x5_of_{size}x{size}x{channels}"] = _moderate(g, True)
    shapes = {
        "plane": Geometry.from_options((8, 8, 32), 32, (2, 2), padding="SAME"),
        "plane_stride_12": Geometry.from_options((8, 15, 32), 32, (2, 2), (1, 2), padding="SAME"),
        "plane_stride_21": Geometry.from_options((15, 8, 32), 32, (2, 2), (2, 1), padding="SAME"),
        "plane_dilated_rows": Geometry.from_options((8, 8, 32), 32, (2, 2), (1, 1), (2, 1), "SAME"),
        "plane_dilated_columns": Geometry.from_options(
            (8, 8, 32), 32, (2, 2), (1, 1), (1, 2), "SAME"
        ),
        "plane_multiplier_2": Geometry.from_options((8, 8, 16), 32, (2, 2), padding="SAME"),
        "plane_4_channels": Geometry.from_options((8, 8, 4), 4, (2, 2), padding="SAME"),
    }
    return found | {name: _moderate(g, True) for name, g in shapes.items()}


def _biases() -> dict[str, BiasUpdate]:
    found: dict[str, BiasUpdate] = {}
    rng = np.random.default_rng(53)
    for positions in (256, 264):
        q = np.broadcast_to(np.resize([127, -127, 127, 1], 9), (positions, 9))
        bias = rng.integers(-5000, 5000, 9).astype(np.int32)
        kb = rng.uniform(0.01, 0.1, 9).astype(np.float32)
        gradient = Gradient(q.astype(np.int8), _ONE)
        found[f"bias_{positions}_positions"] = BiasUpdate(gradient, kb, bias, 1.0)
    # Sums of 1 and -1: steps of kb. Those are what single precision has near powers of two.
    half, whole = 1 << 29, update.MAX_BIAS
    steps = {
        "below": ([half - 32, 5, half - 32, 7], [31, 100, -31, half - 100]),
        "above": (
            [half, 2 * half - 64, 2 * half, 3e9, half - 32, half, 1e30, 2 * half + 128],
            [100, 100, -100, whole, half - 100, whole, -whole, 5],
        ),
    }
    for name, (kb, bias) in steps.items():
        channels = len(kb)
        for sign in (1, -1):
            gradient = Gradient(np.full((1, channels), sign, np.int8), _ONE)
            case = BiasUpdate(
                gradient, np.array(kb, np.float32), sign * np.array(bias, np.int32), 1.0
            )
            found[f"bias_step_{name}_{'plus' if sign > 0 else 'minus'}"] = case
    return found


def cases() -> dict[str, Update | BiasUpdate]:
    """All of them by name."""
    return {**_weights(), **_positions(), **_biases()}
