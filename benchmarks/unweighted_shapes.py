"""Gradients of operators without weights, and losses, of many shapes, to fit the cost model on."""

from __future__ import annotations

from collections.abc import Iterator

from tflm_train import ops
from tflm_train.ops.geometry import Geometry, Padding

_MASKS = (
    ops.MaskFields(),
    ops.MaskFields(int(ops.MaskKind.BITS), -128, 127),
    ops.MaskFields(int(ops.MaskKind.ACTIVATION), -128, 127),
)
_ONE, _STILL = ops.ProductAxis(), ops.MoveAxis()


def unweighted() -> list[ops.Params]:
    """The ops, the same every time."""
    return [*_pools(), *_resizes(), *_products(), *_norms(), *_moves(), *_sums(), *_losses()]


def _pools() -> Iterator[ops.Params]:
    """Of largest elements, and of means over windows that overlap."""
    windows = [
        *((2, 2, 2, 2), (3, 3, 2, 2), (3, 3, 1, 1), (2, 1, 2, 1), (1, 4, 1, 4), (5, 5, 1, 1)),
        *((4, 4, 4, 4), (2, 2, 1, 1), (8, 8, 8, 8)),
    ]
    sizes = [(30, 28, 8), (8, 8, 64), (13, 12, 30), (16, 16, 16), (21, 8, 3), (8, 9, 144)]
    for index, (k_h, k_w, stride_h, stride_w) in enumerate(windows):
        for step in range(3):
            shape = sizes[(index + 2 * step) % len(sizes)]
            window = ((k_h, k_w), (stride_h, stride_w))
            padding: Padding = "SAME" if (index + step) % 2 == 0 else "VALID"
            g = Geometry.from_options(shape, shape[2], *window, padding=padding)
            mask = _MASKS[(index + step) % 3]
            yield ops.MaxPoolGrad(g, mask, 0, 1)
            yield ops.PoolGrad(g, mask, 0, 1, 0, 0)
    whole = Geometry.from_options((7, 7, 96), 96, (7, 7), (7, 7))
    yield ops.MaxPoolGrad(whole, _MASKS[0], 0, 1)
    for channels, mask in zip((320, 40, 96, 3, 16, 70), 2 * _MASKS, strict=True):
        disjoint = Geometry.from_options((8, 8, channels), channels, (2, 2), (2, 2))
        yield ops.PoolGrad(disjoint, mask, 0, 1, 1, 4)


def _resizes() -> Iterator[ops.Params]:
    sizes = [
        *((4, 4, 8, 8), (8, 8, 16, 16), (6, 6, 24, 24), (7, 5, 12, 9), (16, 16, 8, 8)),
        *((10, 10, 32, 32), (3, 4, 48, 32), (12, 12, 12, 12)),
    ]
    for index, (in_h, in_w, out_h, out_w) in enumerate(sizes):
        for step, channels in enumerate(((3, 16, 64), (8, 30, 48))[index % 2]):
            mask, addend = _MASKS[(index + step) % 3], 2 if (index + step) % 4 == 3 else -1
            yield ops.ResizeGrad(in_h, in_w, channels, out_h, out_w, mask, 0, 1, addend)


def _products() -> Iterator[ops.Params]:
    kinds = list(ops.FactorKind)
    for index, (positions, channels) in enumerate(
        [(1, 64), (1, 1000), (1, 9216), (64, 16), (49, 30), (256, 8), (16, 144), (100, 3)]
    ):
        for kind in kinds:
            # A product of elements, those of a pixel each with its own factor or all with one.
            with_x = kind is not ops.FactorKind.CONSTANT
            size = positions * channels
            kept = _kept(
                ops.ProductAxis(positions, channels, channels * with_x),
                ops.ProductAxis(channels, 1, int(with_x)),
            )
            mask, addend = _MASKS[(index + kind) % 3], 2 if (index + kind) % 4 == 3 else -1
            yield _product(kept, _reduced(), size, size * with_x, kind, mask, addend)
        # Gates of a whole image: the image's gradient, the gate's, and one of a pixel's sum.
        image = _kept(ops.ProductAxis(positions, channels, 0), ops.ProductAxis(channels, 1, 1))
        activation, none = ops.FactorKind.ACTIVATION, _MASKS[0]
        size = positions * channels
        yield _product(image, _reduced(), size, channels, activation, none, -1)
        gate = _kept(_ONE, ops.ProductAxis(channels, 1, 1))
        over = _reduced(ops.ProductAxis(positions, channels, channels))
        yield _product(gate, over, size, size, activation, _MASKS[index % 3], -1)
        each = _kept(ops.ProductAxis(positions, channels, 1), ops.ProductAxis(channels, 1, 0))
        yield _product(each, _reduced(), size, positions, activation, none, -1)
        pixel = _kept(_ONE, ops.ProductAxis(positions, channels, channels))
        over = _reduced(ops.ProductAxis(channels, 1, 1))
        yield _product(pixel, over, size, size, activation, none, -1)


def _product(
    kept: tuple[ops.ProductAxis, ...],
    reduced: tuple[ops.ProductAxis, ...],
    q_size: int,
    x_size: int,
    kind: ops.FactorKind,
    mask: ops.MaskFields,
    addend: int,
) -> ops.Params:
    return ops.ProductGrad(kept, reduced, q_size, x_size, int(kind), 3, mask, 0, 1, addend, 0.1)


def _kept(*axes: ops.ProductAxis) -> tuple[ops.ProductAxis, ...]:
    return (*[_ONE] * (4 - len(axes)), *axes)


def _reduced(*axes: ops.ProductAxis) -> tuple[ops.ProductAxis, ...]:
    return (*[_ONE] * (3 - len(axes)), *axes)


def _norms() -> Iterator[ops.Params]:
    for index, size in enumerate((16, 64, 96, 100, 128, 256, 512, 1000, 4096)):
        yield ops.L2NormGrad(size, -3, 0.1, _MASKS[index % 3], 0, 1)


def _moves() -> Iterator[ops.Params]:
    """Of PAD, of a slice, of TRANSPOSE and of a mean over all positions."""
    for index, (side, channels) in enumerate(
        [(4, 8), (8, 16), (16, 30), (7, 64), (30, 3), (5, 96), (12, 40)]
    ):
        mask = _MASKS[index % 3]
        row, size = side * channels, side * side * channels
        own, pixel = ops.MoveAxis(side, 0, 1, side, row), ops.MoveAxis(row, 0, 1, row, 1)
        # The gradient of a PAD's input is the middle of a larger one.
        wide = (side + 2) * channels
        yield _move((ops.MoveAxis(side, 0, 1, side, wide), pixel), wide * (side + 2), mask, 1)
        # What a slice left out gets nothing.
        part = ops.MoveAxis(side, 1, 1, side - 2, row)
        yield _move((part, pixel), row * (side - 2), mask, 1)
        lane = ops.MoveAxis(channels, 0, 1, channels, side * side)
        yield _move((ops.MoveAxis(side * side, 0, 1, side * side, 1), lane), size, mask, 1)
        spread = ops.MoveAxis(side * side, 0, 1, side * side, 0)
        lane = ops.MoveAxis(channels, 0, 1, channels, 1)
        yield _move((spread, lane), channels, mask, side * side)
        every = ops.MoveAxis(side, 0, 2, -(-side // 2), row)
        yield _move((every, pixel), row * -(-side // 2), mask, 1)
        yield _move((own, pixel), size, mask, 1)


def _move(
    axes: tuple[ops.MoveAxis, ...], q_size: int, mask: ops.MaskFields, divisor: int
) -> ops.Params:
    return ops.MoveGrad((*[_STILL] * (5 - len(axes)), *axes), 0, q_size, mask, 0, 1, divisor)


def _sums() -> Iterator[ops.Params]:
    for index, size in enumerate((100, 700, 3072, 9216)):
        for count in (1, 3, 4):
            for step in range(2):
                slots = tuple(i if i < count else -1 for i in range(4))
                mask = _MASKS[(index + count + step) % 3]
                yield ops.Accumulate(size, mask, count, slots, 4)


def _losses() -> Iterator[ops.Params]:
    for kind in ops.LossKind:
        for target in ops.TargetKind:
            squared = kind is ops.LossKind.MEAN_SQUARED_ERROR
            if target is (ops.TargetKind.INDEX if squared else ops.TargetKind.INPUT):
                continue
            for classes in (2, 12, 100, 640):
                yield ops.Loss(classes, 0, 0.25, 0, int(kind), int(target))
    for classes, positions in ((3, 64), (21, 256), (2, 1024)):
        yield ops.Loss(classes, 0, 0.25, 0, positions=positions)
