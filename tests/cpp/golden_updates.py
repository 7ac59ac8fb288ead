"""Golden cases of the operators that update weights and biases."""

from collections.abc import Iterator

import numpy as np
from golden_cases import BiasUpdate, Update, weight_shape
from golden_inputs import (
    Suite,
    describe,
    partial_geometry,
    random_geometry,
    random_gradient,
    random_int8,
    random_kept,
    random_transposed,
    remainders,
    weight_scales,
)

from tests.qas.whole_layer import Parameters
from tflm_train.backward_ops.numerics import QuantizedGradient as Gradient
from tflm_train.ops.geometry import Geometry, TapWindow
from tflm_train.qas import update


def update_cases(
    suite: Suite,
    rng: np.random.Generator,
    geometry: Geometry,
    residual_bits: int,
    with_bias: bool,
    learning_rate: float,
    small: bool,
    depthwise: bool,
    taps: TapWindow | None = None,
    partial: bool = False,
) -> None:
    """One case of CONV_UPDATE or DEPTHWISE_UPDATE.

    The result of a layer that trains in part is the whole layer's, cut out.
    """
    g = geometry
    gradient = random_gradient(rng, g.out_h, g.out_w, g.out_c)
    x = random_int8(rng, g.in_h, g.in_w, g.in_c, low=-128)
    zero_point = int(rng.integers(-128, 128))
    shape = weight_shape(g, depthwise)
    weights = random_int8(rng, *shape)
    weights.reshape(-1)[:2] = [127, -127][: min(2, weights.size)]
    residual = None
    if residual_bits:
        half = 1 << (residual_bits - 1)
        residual = rng.integers(-half, half, shape).astype(np.int8)
        if residual_bits == 4:  # what training can reach: no weight beyond +-127
            residual[(np.abs(weights) == 127) & (np.sign(residual) == np.sign(weights))] = 0
    bias = rng.integers(-5000, 5000, g.out_c).astype(np.int32) if with_bias else None
    if bias is not None:
        bias[0] = update.MAX_BIAS
        bias[-1] = -update.MAX_BIAS
    layer_factors = update.factors(0.03, weight_scales(rng, g.out_c))
    kw, kb = layer_factors.kw.copy(), layer_factors.kb.copy()
    if g.out_c > 2:  # a dead channel
        kw[1] = kb[1] = 0
    layer_factors = update.Factors(kw, kb, kw == 0)
    seed, step = int(rng.integers(2**32)), int(rng.integers(1, 2**31))
    kept = random_kept(rng, g, depthwise) if partial else None
    case = Update(
        g, depthwise, gradient, x, zero_point, Parameters(weights, bias, residual),
        layer_factors, learning_rate, residual_bits, seed, step, taps, kept,
    )  # fmt: skip
    name = f"{describe(case.kept_geometry)}_residual{residual_bits}_lr{learning_rate:g}"
    name += "_bias" * with_bias + "_taps" * (taps is not None) + "_partial" * partial
    case.add_to(suite, name, small)


def update_suite(name: str, struct: str, seed: int, depthwise: bool) -> Suite:
    suite = Suite(name, struct)
    rng = np.random.default_rng(seed)
    if depthwise:
        base = Geometry.from_options((4, 4, 6), 6, (3, 3), padding="SAME")
        fixed = [
            Geometry.from_options((4, 4, 96), 96, (3, 3), padding="SAME"),
            Geometry.from_options((6, 6, 20), 20, (5, 5), padding="SAME"),
            Geometry.from_options((8, 8, 17), 17, (7, 7), (2, 2), padding="SAME"),
            # With Helium: planes in parts, lanes in parts.
            Geometry.from_options((9, 6, 24), 24, (2, 3), padding="SAME"),
            Geometry.from_options((17, 16, 9), 9, (2, 2), (1, 1), (2, 2), padding="SAME"),
        ]
    else:
        base = Geometry.from_options((3, 4, 9), 5, (1, 1))
        fixed = [
            Geometry.dense(1, 40, 12),
            Geometry.from_options((8, 8, 48), 36, (1, 1)),
            Geometry.from_options((9, 8, 3), 16, (3, 3), (2, 2), padding="SAME"),
            # More positions than there are of a gain of 8 bits, and than are summed at a time.
            Geometry.from_options((17, 17, 4), 3, (1, 1)),
            Geometry.from_options((27, 20, 3), 3, (2, 2), padding="SAME"),
        ]
    # Learning rates from one that moves nothing to one that saturates everything.
    for learning_rate in (1e-12, 1e-3, 1.0, 1e6):
        for residual_bits in (8, 4, 0):
            update_cases(suite, rng, base, residual_bits, True, learning_rate, True, depthwise)
    for number, geometry in enumerate(fixed):
        for residual_bits in ((8, 4, 0), (8, 0), (8, 0), (8,), (0,))[number]:
            update_cases(suite, rng, geometry, residual_bits, True, 1e-2, False, depthwise)
    for number in range(24):
        geometry = random_geometry(rng, depthwise)
        taps = _random_taps(rng, geometry) if number % 3 == 0 else None
        residual_bits = (8, 4, 0)[number // 2 % 3]
        with_bias = number % 4 < 2
        learning_rate = (1e-2, 1.0)[number % 5 == 0]
        update_cases(
            suite,
            rng,
            geometry,
            residual_bits,
            with_bias,
            learning_rate,
            False,
            depthwise,
            taps,
        )
    for number in range(24):
        geometry = base if number < 3 else partial_geometry(rng, depthwise)
        taps = _random_taps(rng, geometry) if number % 5 == 4 else None
        # The bias of a depthwise layer that trains in part has an op of its own.
        with_bias = number % 2 == 0 and not depthwise
        residual_bits, small = (8, 4, 0)[number % 3], number < 3
        update_cases(
            suite,
            rng,
            geometry,
            residual_bits,
            with_bias,
            1e-2,
            small,
            depthwise,
            taps,
            True,
        )
    for number, geometry in enumerate(remainders(depthwise)):
        for residual_bits in (8, 0):
            learning_rate = (1e-2, 1e-1, 1.0)[number % 3]
            update_cases(
                suite,
                rng,
                geometry,
                residual_bits,
                False,
                learning_rate,
                False,
                depthwise,
            )
    for number in range(0 if depthwise else 12):
        geometry = random_transposed(rng)
        taps = _random_taps(rng, geometry) if number % 5 == 4 else None
        bits_kept = (8, 4, 0)[number % 3]
        update_cases(
            suite,
            rng,
            geometry,
            bits_kept,
            number % 2 == 0,
            1e-2,
            number < 3,
            depthwise,
            taps,
        )
    for learning_rate in (1e-9, 1e-40, 1e30):  # the ends of what is a rate, a denormal among them
        for residual_bits in (8, 4, 0):
            update_cases(suite, rng, base, residual_bits, True, learning_rate, False, depthwise)
    return suite


def _random_taps(rng: np.random.Generator, geometry: Geometry) -> TapWindow:
    y0, x0 = int(rng.integers(geometry.k_h)), int(rng.integers(geometry.k_w))
    y1 = int(rng.integers(y0 + 1, geometry.k_h + 1))
    x1 = int(rng.integers(x0 + 1, geometry.k_w + 1))
    return TapWindow(y0, y1, x0, x1)


def bias_update() -> Suite:
    suite = Suite("bias_update", "BiasUpdateCase")
    rng = np.random.default_rng(10)
    for number, learning_rate in enumerate((1e-3, 1e-2, 1.0, 1e9, float("inf"))):
        positions, channels = int(rng.integers(1, 40)), int(rng.integers(2, 30))
        gradient = random_gradient(rng, positions, channels)
        kb = update.factors(0.03, weight_scales(rng, channels)).kb.copy()
        kb[0] = 0
        bias = rng.integers(-(2**30), 2**30, channels).astype(np.int32)
        if learning_rate == float("inf"):  # all zero: 0 * inf is NaN, and moves nothing
            gradient = Gradient(np.zeros_like(gradient.q), gradient.scale)
            learning_rate = 1e30
        case = BiasUpdate(gradient, kb, bias, learning_rate)
        case.add_to(suite, f"{positions}x{channels}_number{number}", small=True)
    return suite


def suites() -> Iterator[Suite]:
    yield update_suite("conv_update", "ConvUpdateCase", 8, depthwise=False)
    yield update_suite("depthwise_update", "DepthwiseUpdateCase", 9, depthwise=True)
    yield bias_update()
