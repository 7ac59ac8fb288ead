"""Golden cases of the forward operators of layers that train in part."""

from collections.abc import Iterator

import numpy as np
from golden_cases import Forward, Split, weight_shape
from golden_inputs import (
    Array,
    Suite,
    describe,
    partial_geometry,
    random_int8,
    random_kept,
    split_weights,
)

from tflm_train import ops
from tflm_train.backward_ops import split_forward
from tflm_train.ops.geometry import Geometry

# Quantised clamp ranges: none, RELU, RELU6.
CLAMPS = ((-128, 127), (-20, 127), (-100, 50))


def random_multipliers(rng: np.random.Generator, sums: Array) -> tuple[Array, Array]:
    """Multipliers and shifts that spread a layer's sums over its int8 output, and beyond."""
    spread = np.abs(sums).reshape(-1, sums.shape[-1]).max(axis=0) + 1
    exponents = np.ceil(np.log2(128 / spread)) + rng.integers(-2, 3, spread.size)
    multipliers = rng.integers(2**30, 2**31, spread.size)
    if spread.size > 2:  # dead channels
        multipliers[0], exponents[0] = 0, 0
        multipliers[1], exponents[1] = 2**31 - 1, -31
    return multipliers.astype(np.int32), exponents.astype(np.int32)


def split_cases(
    suite: Suite,
    rng: np.random.Generator,
    geometry: Geometry,
    clamp: tuple[int, int],
    with_bias: bool,
    small: bool,
    depthwise: bool,
) -> None:
    """One case of SPLIT_CONV or SPLIT_DEPTHWISE."""
    g = geometry
    x = random_int8(rng, g.in_h, g.in_w, g.in_c, low=-128)
    weights = random_int8(rng, *weight_shape(g, depthwise))
    kept = random_kept(rng, g, depthwise)
    split = Split(*split_weights(rng, weights, kept, depthwise))
    bias = rng.integers(-20000, 20000, g.out_c).astype(np.int32) if with_bias else None
    zero_points = (int(v) for v in rng.integers(-128, 128, 2))
    output = ops.OutputFields(*zero_points, *clamp)
    sums = split_forward.accumulate(x, weights, bias, g, output.x_zero_point, depthwise)
    multiplier, shift = random_multipliers(rng, sums)
    case = Forward(g, depthwise, x, weights, output, multiplier, shift, bias, split)
    case.add_to(suite, f"{describe(g)}_kept{kept.size}" + "_bias" * with_bias, small)


def split_suite(name: str, struct: str, seed: int, depthwise: bool) -> Suite:
    suite = Suite(name, struct)
    rng = np.random.default_rng(seed)
    if depthwise:
        fixed = [
            Geometry.from_options((4, 4, 5), 5, (3, 3), padding="SAME"),
            Geometry.from_options((5, 4, 2), 6, (2, 3), (2, 1)),
            Geometry.from_options((4, 4, 96), 96, (3, 3), padding="SAME"),
            Geometry.from_options((8, 8, 17), 17, (7, 7), (2, 2), padding="SAME"),
            Geometry.from_options((6, 6, 20), 20, (5, 5), padding="SAME"),
        ]
    else:
        fixed = [
            Geometry.dense(1, 12, 7),
            Geometry.from_options((3, 4, 8), 5, (1, 1)),
            Geometry.dense(3, 40, 12),
            Geometry.from_options((8, 8, 48), 36, (1, 1)),
            Geometry.from_options((9, 8, 3), 16, (3, 3), (2, 2), padding="SAME"),
            Geometry.from_options((12, 7, 5), 6, (10, 4), (2, 2), padding="SAME"),
        ]
    for number in range(36):
        geometry = fixed[number] if number < len(fixed) else partial_geometry(rng, depthwise)
        clamp, with_bias, small = CLAMPS[number % 3], number % 4 != 3, number < 2
        split_cases(suite, rng, geometry, clamp, with_bias, small, depthwise)
    return suite


def channel_save() -> Suite:
    suite = Suite("channel_save", "ChannelSaveCase")
    rng = np.random.default_rng(15)
    for positions, channels, kept in (
        (1, 1, 1),
        (1, 9, 4),
        (7, 3, 1),
        (5, 16, 16),
        (12, 33, 20),
    ):
        values = random_int8(rng, positions, channels, low=-128)
        chosen = np.sort(rng.choice(channels, kept, replace=False))
        saved = values[:, chosen]
        suite.case(
            f"{kept}_of_{positions}x{channels}",
            ops.ChannelSave(positions, channels, kept).pack(),
            values,
            chosen.astype(np.int16),
            saved.size,
            saved,
            small=True,
        )
    return suite


def suites() -> Iterator[Suite]:
    yield split_suite("split_conv", "SplitConvCase", 13, depthwise=False)
    yield split_suite("split_depthwise", "SplitDepthwiseCase", 14, depthwise=True)
    yield channel_save()
