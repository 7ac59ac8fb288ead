"""Amounts that the features of several ops are made of."""

from __future__ import annotations

from collections.abc import Mapping

from tflm_train import ops
from tflm_train.ops.geometry import Geometry

Values = Mapping[str, float]
VECTOR, HALF_VECTOR = 16, 8  # lanes of int8 and of int16
GROUP, PAIR = 4, 2  # channels at a time
_SMALL = 3


def named(prefix: str, values: Values) -> dict[str, float]:
    """Amounts that are named after what makes them up, too."""
    return {f"{prefix} {name}": value for name, value in values.items()}


def taps(g: Geometry) -> int:
    """Of a kernel."""
    return g.k_h * g.k_w


def window(g: Geometry) -> str:
    """Whether it is 3x3, which has loops of its own, and whether it steps by one."""
    size = "3x3" if g.k_h == g.k_w == _SMALL else "other"
    return f"{size}{'' if g.stride_h == g.stride_w == 1 else ' strided'}"


def inner_taps(g: Geometry) -> int:
    """How often a tap meets the input and not the padding, over all positions."""
    return inside(g.out_h, g.k_h, g.stride_h, g.dil_h, g.pad_t, g.in_h) * inside(
        g.out_w, g.k_w, g.stride_w, g.dil_w, g.pad_l, g.in_w
    )


def inside(out: int, kernel: int, stride: int, dilation: int, before: int, size: int) -> int:
    """The same along one axis of `out` positions over `size` elements."""
    total = 0
    for tap in range(kernel):
        offset = tap * dilation - before
        first = max(0, -(offset // stride))
        last = min(out - 1, (size - 1 - offset) // stride)
        total += max(0, last - first + 1)
    return total


def round_up(value: int, step: int) -> int:
    """To a multiple of a step."""
    return -(-value // step) * step


def masked(mask: ops.MaskFields, size: int) -> Values:
    """A mask that stops some of so many elements."""
    return {"masked": float(size)} if mask.mask_kind else {}


def addend(slot: int, size: int) -> Values:
    """Another gradient that joins, by its slot."""
    return {"addend": float(size)} if slot >= 0 else {}
