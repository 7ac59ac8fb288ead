"""Cases at the bounds of fast paths in the operators that write a gradient or a mask."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from golden_cases import Accumulation, ClampMask, InputGradient, weight_shape
from golden_inputs import Array, random_int8

from tflm_train.backward_ops.conv_2d import MAX_PRODUCTS
from tflm_train.backward_ops.numerics import Mask, MaskKind
from tflm_train.backward_ops.numerics import QuantizedGradient as Gradient
from tflm_train.ops.geometry import Geometry, TransposedGeometry

_SCALE = np.float32(1e-3)
_LARGEST = 127


def range_for(exponent: int, q: Array) -> np.float32:
    """A range that predicts an exponent for what comes of a gradient."""
    return np.float32(100 * 2.0**exponent / np.abs(q.astype(np.int32)).max())


def _given(
    geometry: Geometry,
    depthwise: bool,
    q: Array,
    weights: Array,
    exponent: int | None = None,
    scales: Sequence[float] = (1.0,),
    mask: Mask | None = None,
) -> InputGradient:
    """A step that predicts an exponent; None: the one that it needs."""
    g = geometry
    q = np.broadcast_to(q, (g.out_h, g.out_w, g.out_c)).astype(np.int8)
    weights = np.broadcast_to(weights, weight_shape(g, depthwise)).astype(np.int8)
    weight_scales = np.resize(np.array(scales, np.float32), g.out_c)
    range_ = np.float32(0) if exponent is None else range_for(exponent, q)
    return InputGradient(
        g, depthwise, Gradient(q, _SCALE), weights, weight_scales, range_, mask,
        steady=exponent is None,
    )  # fmt: skip


def _drawn(
    geometry: Geometry, depthwise: bool, exponent: int | None = None, most: int = _LARGEST
) -> InputGradient:
    """The same of random numbers, gradients up to `most` and weights likewise."""
    g = geometry
    rng = np.random.default_rng(41)
    q = rng.integers(-most, most + 1, (g.out_h, g.out_w, g.out_c))
    q.reshape(-1)[0] = most
    weights = rng.integers(-most, most + 1, weight_shape(g, depthwise))
    scales = [1.0, *rng.uniform(0.2, 1, g.out_c - 1)]
    return _given(g, depthwise, q, weights, exponent, scales)


def _same(
    size: tuple[int, int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    multiplier: int = 1,
) -> Geometry:
    return Geometry.from_options(size, size[2] * multiplier, kernel, strides, dilations, "SAME")


def _padded(size: tuple[int, int, int], stride: int, pads: tuple[int, int]) -> Geometry:
    """A depthwise 3x3 layer with as much zero padding on all sides."""
    (h, w, c), (pad_t, pad_l) = size, pads
    out_h, out_w = ((n + 2 * pad - 3) // stride + 1 for n, pad in ((h, pad_t), (w, pad_l)))
    return Geometry(h, w, c, out_h, out_w, c, 3, 3, stride, stride, 1, 1, pad_t, pad_l)


def _conv() -> dict[str, InputGradient]:
    point = Geometry.from_options((3, 4, 9), 3, (1, 1))
    found = {}
    for exponent in (1, 2):
        case = _drawn(point, False, exponent, most=1)
        # 127 q W of one channel, and little of the others.
        scales = np.array([1, 3 / 127, 5 / 127], np.float32)
        found[f"conv_exponent_{exponent}"] = dataclasses.replace(case, scales=scales)
    # q W m / 2^7 with m = 127: 126 and -127 are the last to fit.
    one = Geometry.from_options((1, 8, 4), 1, (1, 1))
    for name, q, w in (
        ("126", [127, 1, -1, 2], [1, 1, 0, -1]),
        ("127", [64, 1, -1, 2], [2, 1, 0, -1]),
        ("minus_127", [-64, 1, -1, 2], [2, 1, 0, -1]),
        ("minus_128", [-43, 1, -1, 2], [3, 1, 0, -1]),
    ):
        gradient = np.resize(q, (1, 8, 1))
        found[f"conv_{name}"] = _given(one, False, gradient, np.reshape(w, (1, 1, 1, 4)), 7)
    for products in (MAX_PRODUCTS, MAX_PRODUCTS + 1):
        g = Geometry.from_options((1, 2, 4), products, (1, 1))
        weights = _LARGEST * np.array([1, -1, 1, -1])
        found[f"conv_{products}_products"] = _given(g, False, np.array(125), weights, 24)
    g = Geometry.from_options((3, 4, 6), 5, (3, 3), padding="SAME")
    found["conv_plain"] = _drawn(g, False)
    transposed = TransposedGeometry(3, 4, 6, 3, 4, 5, *dataclasses.astuple(g)[6:])
    found["conv_transposed"] = _drawn(transposed, False)
    for out_c in (8, 9):
        # The last one's share is so small that something else in its place does not saturate, after
        # which all would be done pixel by pixel.
        case = _drawn(Geometry.from_options((3, 4, 8), out_c, (1, 1)), False)
        case.gradient.q[..., -1] = np.resize([2, -2, 1], (3, 4))
        scales = np.array([*case.scales[:-1], 1 / 127], np.float32)
        found[f"conv_{out_c}_outputs"] = dataclasses.replace(case, scales=scales)
    for in_w, in_c in ((1, 8), (2, 8), (4, 8), (5, 7), (4, 6)):
        g = Geometry.from_options((3, in_w, in_c), 6, (3, 3), padding="SAME")
        found[f"conv_{in_w}_columns_{in_c}_channels"] = _drawn(g, False)
    g = Geometry.from_options((3, 4, 8), 6, (3, 3), padding="SAME")
    joining = Gradient(random_int8(np.random.default_rng(44), 3, 4, 8), _SCALE)
    found["conv_joined"] = dataclasses.replace(_drawn(g, False, 7, most=1), addend=joining)
    activation = np.resize(np.arange(3, 9), g.in_h * g.in_w * g.in_c).astype(np.int8)
    for above in (6, 7):
        mask = Mask(MaskKind.ACTIVATION, activation, 5, above)
        found[f"conv_mask_5_{above}"] = dataclasses.replace(_drawn(g, False), mask=mask)
    return found


def _depthwise_sums() -> dict[str, InputGradient]:
    """Sums and exponents."""
    found = {}
    shapes = {
        "strip": _same((6, 7, 5), (3, 3)),
        "tile": _same((6, 8, 5), (3, 3), (2, 2)),
        "window": _same((6, 7, 5), (5, 5)),
    }
    for name, g in shapes.items():
        for exponent in (1, 2):
            found[f"{name}_exponent_{exponent}"] = _drawn(g, True, exponent, most=3)
        for exponent in (15, 16):
            case = _given(g, True, np.array(_LARGEST), np.array(_LARGEST), exponent)
            found[f"{name}_exponent_{exponent}"] = case
    for kernel, exponents in (((16, 8), (14, 16)), ((23, 23), (14, 17))):
        g = _same((*kernel, 1), kernel)
        taps = kernel[0] * kernel[1]
        for exponent in exponents:
            case = _given(g, True, np.array(_LARGEST), np.array(_LARGEST), exponent)
            found[f"depthwise_{taps}_taps_exponent_{exponent}"] = case
    # 127 times the sum of the gradients is 2^18 - 16 where all taps meet one, in the centre, which
    # alone passes the mask: a quarter of it is -4 in 16 bits.
    g = _same((5, 5, 1), (5, 5))
    q = np.full((5, 5, 1), 83)
    q[0, 0] = 72
    passes = np.arange(25) == 12
    mask = Mask(MaskKind.BITS, np.packbits(passes, bitorder="little"))
    found["depthwise_beyond_16_bits"] = _given(g, True, q, np.array(_LARGEST), 2, mask=mask)
    found["depthwise_in_16_bits"] = _drawn(g, True, 4, most=8)
    # The centre alone meets inputs of odd rows and columns.
    g = _same((4, 12, 16), (3, 3), (2, 2))
    weights = np.full((3, 3, 16), 3)
    weights[1, 1] = _LARGEST
    q = np.random.default_rng(42).integers(-60, 61, (2, 6, 16))
    for exponent in (6, 7):
        found[f"stride2_exponent_{exponent}"] = _given(g, True, q, weights, exponent)
    # The largest sum of four products is 64516.
    g = _same((6, 8, 4), (3, 3), (2, 2))
    for exponent in (8, 9, 10):
        case = _given(g, True, np.array(_LARGEST), np.array(_LARGEST), exponent)
        found[f"tile_saturates_exponent_{exponent}"] = case
    return found


def _depthwise_shapes() -> dict[str, InputGradient]:
    """Shapes that have loops of their own, and those next to them."""
    size, many = (8, 8, 5), (4, 5, 64)
    shapes = {
        "depthwise_3x3": _same(size, (3, 3)),
        "depthwise_3x3_dilated_rows": _same(size, (3, 3), (1, 1), (2, 1)),
        "depthwise_3x3_dilated_columns": _same(size, (3, 3), (1, 1), (1, 2)),
        "depthwise_3x3_stride_12": _same(size, (3, 3), (1, 2)),
        "depthwise_3x3_stride_21": _same(size, (3, 3), (2, 1)),
        "depthwise_3x3_multiplier_2": _same(size, (3, 3), multiplier=2),
        "depthwise_2x3": _same(size, (2, 3)),
        "depthwise_3x2": _same(size, (3, 2)),
        "depthwise_3x3_stride_2": _same(size, (3, 3), (2, 2)),
        "depthwise_3x3_stride_2_dilated_rows": _same(size, (3, 3), (2, 2), (2, 1)),
        "depthwise_3x3_stride_2_dilated_columns": _same(size, (3, 3), (2, 2), (1, 2)),
        "depthwise_3x3_stride_2_multiplier_2": _same(size, (3, 3), (2, 2), multiplier=2),
        "depthwise_2x3_stride_2": _same(size, (2, 3), (2, 2)),
        "depthwise_3x2_stride_2": _same(size, (3, 2), (2, 2)),
        "depthwise_5x5": _same(size, (5, 5)),
        # Channels enough for the scratch memory of planes.
        "depthwise_many": _same(many, (3, 3)),
        "depthwise_many_dilated_rows": _same(many, (3, 3), (1, 1), (2, 1)),
        "depthwise_many_dilated_columns": _same(many, (3, 3), (1, 1), (1, 2)),
        "depthwise_5x5_dilated_rows": _same(size, (5, 5), (1, 1), (2, 1)),
        "depthwise_5x5_dilated_columns": _same(size, (5, 5), (1, 1), (1, 2)),
        "depthwise_5x5_multiplier_2": _same(size, (5, 5), multiplier=2),
        "depthwise_one_row_of_tiles": _same((1, 6, 5), (3, 3), (2, 2)),
        # 31 tiles and a half in a row, of which 31 are done at a time; and half a tile less.
        "depthwise_31_tiles": Geometry(4, 61, 4, 2, 30, 4, 3, 3, 2, 2, 1, 1, 0, 0),
        "depthwise_32_tiles": Geometry(4, 63, 4, 2, 31, 4, 3, 3, 2, 2, 1, 1, 0, 0),
        "stride2_16_channels": _same((4, 12, 16), (3, 3), (2, 2)),
        "stride2_15_channels": _same((4, 12, 15), (3, 3), (2, 2)),
        "stride2_padded_rows": Geometry(4, 12, 16, 2, 6, 16, 3, 3, 2, 2, 1, 1, 1, 0),
        "stride2_padded_columns": Geometry(4, 12, 16, 2, 6, 16, 3, 3, 2, 2, 1, 1, 0, 1),
        "stride2_odd_rows": Geometry(5, 12, 16, 2, 6, 16, 3, 3, 2, 2, 1, 1, 0, 0),
        "stride2_odd_columns": Geometry(4, 13, 16, 2, 6, 16, 3, 3, 2, 2, 1, 1, 0, 0),
    }
    shapes["depthwise_3x3_pads_2_2"] = _padded((4, 5, 5), 1, (2, 2))
    for pads in ((1, 1), (2, 1), (1, 2)):
        shapes[f"depthwise_3x3_stride_2_pads_{pads[0]}_{pads[1]}"] = _padded((6, 7, 5), 2, pads)
    for kernel in ((3, 4), (4, 3), (6, 5), (5, 6), (8, 7), (9, 7), (8, 8)):
        shapes[f"depthwise_patch_{kernel[0]}x{kernel[1]}"] = _same((10, 10, 3), kernel)
    # An exponent with which what a wrong path makes of them fits, too.
    return {name: _drawn(g, True, 11) for name, g in shapes.items()}


def _elementwise() -> dict[str, Accumulation | ClampMask]:
    rng = np.random.default_rng(43)
    activation = random_int8(rng, 40, low=-128)
    activation[:8] = np.arange(3, 11)
    # With equal scales, half of the sum of two is what fits at first.
    pairs = {
        "sum_100": (60, 40),
        "sum_127": (64, 63),  # 63.5 becomes 64, but fits one exponent less
        "sum_63": (32, 31),  # 31.5 becomes 32
        "sum_minus_127": (-64, -63),
        "sum_minus_254": (-127, -127),
        "sum_minus_255": (-128, -127),  # -127.5 becomes -127, and does not fit
        "sum_minus_256": (-128, -128),
    }
    found: dict[str, Accumulation | ClampMask] = {
        f"clamp_mask_5_{above}": ClampMask(activation, 5, above) for above in (6, 7)
    }
    for name, (a, b) in pairs.items():
        parts = [rng.integers(-12, 13, 21).astype(np.int8) for _ in range(2)]
        parts[0][5], parts[1][5] = a, b
        found[f"accumulate_{name}"] = Accumulation([Gradient(part, _SCALE) for part in parts])
    return found


def cases() -> dict[str, InputGradient | Accumulation | ClampMask]:
    """All of them by name."""
    return {**_conv(), **_depthwise_sums(), **_depthwise_shapes(), **_elementwise()}
