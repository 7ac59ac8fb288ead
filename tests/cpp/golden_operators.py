"""Golden cases of the operators without weights that move, multiply, pool or resize gradients."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from golden_inputs import (
    SLOT_ADDEND,
    SLOT_IN,
    SLOT_OUT,
    Array,
    Suite,
    describe,
    mask_bytes,
    mask_fields,
    random_gradient,
    random_int8,
    random_mask,
    slots,
)

from tflm_train import ops
from tflm_train.backward_ops import l2_normalization, max_pool, move, product, resize
from tflm_train.backward_ops.numerics import Mask, Requantized
from tflm_train.backward_ops.numerics import QuantizedGradient as Gradient
from tflm_train.backward_ops.pool import spanning_geometry
from tflm_train.ops.constants import FactorKind
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.structs import MoveAxis

VARIANTS = (
    "plain",
    "range_too_small",
    "addend",
    "zero_gradient",
    "zero_gradient_addend",
)


def move_grad() -> Suite:
    suite = Suite("move_grad", "MoveGradCase")
    rng = np.random.default_rng(4)
    cases = [
        (move.crop((3, 4, 2), (5, 6, 2), (1, 2, 0)), (5, 6, 2)),
        (move.crop((3, 4, 2), (3, 4, 5), (0, 0, 3)), (3, 4, 5)),
        (move.permute((3, 4, 2), (2, 0, 1)), (2, 3, 4)),
        (move.permute((2, 3, 2, 2, 3), (4, 3, 2, 1, 0)), (3, 2, 2, 3, 2)),
        (move.repeat((3, 4, 5), {0, 1}), (1, 1, 5)),
        (move.repeat((3, 4, 5), {0, 2}), (1, 4, 1)),
        (move.embed((7, 6), (1, 4), (2, -1), (3, 5)), (3, 5)),
        (move.embed((7, 6), (6, 5), (-3, -2), (3, 3)), (3, 3)),
        (move.embed((9,), (2,), (1,), (4,)), (4,)),
        (move.embed((9,), (8,), (1,), (1,)), (1,)),
        # Reaches beyond both ends: only what lies inside is read.
        (move.Move((MoveAxis(5, -2, 1, 9, 1),)), (9,)),
        (move.Move((MoveAxis(5, 4, 1, 3, 1),)), (3,)),
        (move.Move((MoveAxis(5, 7, 1, 3, 1),)), (3,)),
        (move.Move((MoveAxis(4, -3, 2, 4, 2), MoveAxis(3, 1, 3, 2, 1))), (4, 2)),
    ]
    for number, (plan, shape) in enumerate(cases):
        for joined in (plan, plan.joined()):
            gradient = random_gradient(rng, *shape)
            size = int(np.prod([axis.size for axis in joined.axes]))
            mask = random_mask(rng, size, number % 3)
            divisor = 1 + 12 * (number % 2)
            result = move.move_gradient(gradient, joined, mask, divisor)
            axes = (MoveAxis(),) * (5 - len(joined.axes)) + joined.axes
            params = ops.MoveGrad(
                axes, joined.offset, gradient.q.size,
                mask_fields(mask), SLOT_IN, SLOT_OUT, divisor,
            )  # fmt: skip
            suite.case(
                f"number{number}_axes{len(joined.axes)}",
                params.pack(),
                gradient.q,
                mask_bytes(mask),
                slots(in_=gradient.scale),
                result.q.size,
                result.q,
                slots(in_=gradient.scale, out=result.scale),
                small=True,
            )
    return suite


class _Variant:
    """What departs from the ordinary in one case: gradient, addend, range and mask."""

    def __init__(self, rng: np.random.Generator, number: int, shape: Any, size: int) -> None:
        self.name = VARIANTS[number % len(VARIANTS)]
        self.gradient = random_gradient(rng, *shape)
        if self.name.startswith("zero_gradient"):
            self.gradient = Gradient(np.zeros_like(self.gradient.q), self.gradient.scale)
        self.mask: Mask | None = random_mask(rng, size, number % 3)
        self.range = np.float32(0 if self.name == "range_too_small" else 300)
        self.addend = random_gradient(rng, size) if "addend" in self.name else None
        self.slot_addend = -1 if self.addend is None else SLOT_ADDEND
        self.fields = (mask_fields(self.mask), SLOT_IN, SLOT_OUT)

    def row(self, inputs: list[Array | None], result: Requantized, takes_addend: bool) -> list[Any]:
        """The fields of a case after its parameters."""
        scales = {"in_": self.gradient.scale}
        addend: list[Array | None] = []
        if takes_addend:
            addend = [None if self.addend is None else self.addend.q]
            if self.addend is not None:
                scales["addend"] = self.addend.scale
        return [
            self.gradient.q,
            *inputs,
            mask_bytes(self.mask),
            *addend,
            slots(**scales),
            slots(out=self.range),
            result.q.size,
            result.q,
            slots(out=result.scale, **scales),
            slots(out=result.range_),
        ]


def product_grad() -> Suite:
    suite = Suite("product_grad", "ProductGradCase")
    rng = np.random.default_rng(21)
    shapes: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
        ((5, 4, 7), (5, 4, 7), (5, 4, 7)),
        ((5, 4, 7), (5, 4, 7), (1, 1, 7)),
        ((5, 4, 7), (1, 1, 7), (5, 4, 7)),
        ((5, 4, 7), (5, 4, 1), (5, 4, 7)),
        ((5, 4, 7), (5, 4, 7), (5, 4, 1)),
        ((5, 4, 7), (5, 1, 7), (1, 4, 7)),
        ((2, 3, 2, 3), (1, 3, 1, 3), (2, 1, 2, 3)),
        ((4, 4), (1, 1), (4, 4)),
    ]
    names = [product.broadcast_names(*s) for s in shapes]
    sizes: dict[Any, int] = {"b": 2, "m": 3, "k": 5, "n": 4}
    q_axes = ["b", "m", "n"]
    names += [
        product.Names(sizes, ["b", "m", "k"], q_axes, ["k", "n"]),
        product.Names(sizes, ["b", "m", "k"], q_axes, ["b", "n", "k"]),
        product.Names(sizes, ["b", "k", "n"], q_axes, ["b", "m", "k"]),
        product.Names(sizes, ["k", "n"], q_axes, ["b", "k", "m"]),
    ]
    number = 0
    for axes in names:
        for kind in FactorKind:
            _product_case(suite, rng, number, axes, kind)
            number += 1
    return suite


def _product_case(
    suite: Suite,
    rng: np.random.Generator,
    number: int,
    names: product.Names,
    kind: FactorKind,
) -> None:
    if kind == FactorKind.CONSTANT:
        names = product.Names(names.sizes, names.result, names.q)
    value = int(rng.integers(-128, 128))
    plan = product.plan(names, product.Factor(kind, float(rng.uniform(1e-3, 1)), value))
    q_shape = [names.sizes[n] for n in names.q]
    x_size = int(np.prod([names.sizes[n] for n in names.x]))
    x = None if kind == FactorKind.CONSTANT else random_int8(rng, x_size, low=-128)
    table = None
    if kind in (FactorKind.TABLE, FactorKind.SIGN):
        entries = 256 if kind == FactorKind.TABLE else 2 * plan.kept[3].size
        table = rng.integers(-32767, 32768, entries).astype(np.int16)
    v = _Variant(rng, number, q_shape, int(np.prod([axis.size for axis in plan.kept])))
    result = product.product_gradient(v.gradient, x, table, plan, v.range, v.mask, v.addend)
    params = ops.ProductGrad(
        plan.kept, plan.reduced, v.gradient.q.size, 0 if x is None else x.size,
        kind, value, *v.fields, v.slot_addend, float(plan.unit_scale),
    )  # fmt: skip
    name = f"number{number}_{kind.name.lower()}_{v.name}"
    suite.case(name, params.pack(), *v.row([x, table], result, True), small=number < 24)


def max_pool_grad() -> Suite:
    suite = Suite("max_pool_grad", "MaxPoolGradCase")
    rng = np.random.default_rng(22)
    geometries = [
        spanning_geometry((3, 4, 5), True, True),
        Geometry.from_options((4, 4, 3), 3, (2, 2), (2, 2)),
        Geometry.from_options((5, 5, 3), 3, (3, 3), (2, 2), padding="SAME"),
        Geometry.from_options((5, 6, 2), 2, (3, 2), (1, 1), padding="SAME"),
    ]
    for _ in range(12):
        size = (
            int(rng.integers(3, 9)),
            int(rng.integers(3, 9)),
            int(rng.integers(1, 9)),
        )
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        strides = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        padding = "SAME" if rng.integers(2) else "VALID"
        g = Geometry.from_options(size, size[2], kernel, strides, padding=padding)  # type: ignore[arg-type]
        geometries.append(g)
    for number, g in enumerate(geometries):
        # Few values, so that windows hold equal elements.
        x = rng.integers(-3, 4, (g.in_h, g.in_w, g.in_c)).astype(np.int8)
        y = np.full((g.out_h, g.out_w, g.out_c), -128, np.int8)
        for tap in g.taps():
            windows = (tap.out_rows, tap.out_cols)
            y[windows] = np.maximum(y[windows], x[tap.in_rows, tap.in_cols])
        v = _Variant(rng, number - number % len(VARIANTS) // 2, y.shape, x.size)
        result = max_pool.max_pool_gradient(v.gradient, x, y, g, v.range, v.mask)
        params = ops.MaxPoolGrad(g, *v.fields)
        suite.case(
            f"{describe(g)}_{v.name}",
            params.pack(),
            *v.row([x, y], result, False),
            small=number < 4,
        )
    return suite


def resize_grad() -> Suite:
    suite = Suite("resize_grad", "ResizeGradCase")
    rng = np.random.default_rng(23)
    for number in range(24):
        in_h, in_w, out_h, out_w = (int(n) for n in rng.integers(1, 8, 4))
        channels = int(rng.integers(1, 9))
        make = (resize.bilinear_table, resize.nearest_table)[number % 2]
        align, half = ((False, False), (True, False), (False, True))[number % 3]
        rows, columns = make(in_h, out_h, align, half), make(in_w, out_w, align, half)
        v = _Variant(rng, number, (out_h, out_w, channels), in_h * in_w * channels)
        result = resize.resize_gradient(
            v.gradient, rows, columns, (in_h, in_w), v.range, v.mask, v.addend
        )
        params = ops.ResizeGrad(in_h, in_w, channels, out_h, out_w, *v.fields, v.slot_addend)
        suite.case(
            f"{in_h}x{in_w}_to_{out_h}x{out_w}x{channels}_number{number}_{v.name}",
            params.pack(),
            *v.row([rows, columns], result, True),
            small=number < 8,
        )
    return suite


def l2_norm_grad() -> Suite:
    suite = Suite("l2_norm_grad", "L2NormGradCase")
    rng = np.random.default_rng(24)
    for number, size in enumerate((1, 3, 8, 40, 300, 5, 17)):
        zero_point = int(rng.integers(-128, 128))
        x = random_int8(rng, size, low=-128)
        if number == 5:  # a zero vector
            x[:] = zero_point
        centred = x.astype(np.float64) - zero_point
        length = max(float(np.linalg.norm(centred)), 1.0)
        y = np.rint(centred / length * 128).clip(-128, 127).astype(np.int8)
        scale = np.float32(rng.uniform(1e-3, 1))
        v = _Variant(rng, number % 2, (size,), size)
        result = l2_normalization.l2_norm_gradient(
            v.gradient, x, y, scale, zero_point, v.range, v.mask
        )
        params = ops.L2NormGrad(size, zero_point, float(scale), *v.fields)
        suite.case(
            f"size{size}_{v.name}",
            params.pack(),
            *v.row([x, y], result, False),
            small=number < 4,
        )
    return suite


def suites() -> Iterator[Suite]:
    yield move_grad()
    yield product_grad()
    yield max_pool_grad()
    yield resize_grad()
    yield l2_norm_grad()
