"""MOVE_GRAD: reference of the gradient of every operator that only moves elements.

The result is the incoming gradient seen through other axes: position `i` of an axis holds what the
gradient has at `o = (i - begin) / step`, or 0 where that is no position of it. A stride of 0
repeats one value along the axis, which is how sums and means return theirs. `q` is copied, not
requantised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.kernel import Kernel, Kernels, Step
from tflm_train.backward_ops.numerics import Int8Array, Mask, QuantizedGradient, apply_mask
from tflm_train.backward_ops.rule import Destination, Tape, emit_gradient
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.graph import Op, Tensor
from tflm_train.ops.structs import MoveAxis

MAX_AXES = 5


@dataclass(frozen=True)
class Move:
    """How the elements of an input's gradient lie in the output's.

    Attributes:
      axes: Of the input, in raster order.
      offset: Of `o = 0` on every axis, in elements of the output's gradient.
    """

    axes: tuple[MoveAxis, ...]
    offset: int = 0

    def joined(self) -> Move:
        """The same move with as few axes as possible."""
        axes: list[MoveAxis] = []
        for axis in self.axes:
            if axis.size == 1 and axis.begin == 0:
                continue
            if axes and _continues(axes[-1], axis):
                outer, n = axes.pop(), axis.size
                axis = MoveAxis(outer.size * n, outer.begin * n, 1, outer.count * n, axis.stride)
            axes.append(axis)
        return Move(tuple(axes), self.offset)


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements between neighbours along each axis of a tensor in raster order."""
    return tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))


def crop(inner: Sequence[int], outer: Sequence[int], start: Sequence[int]) -> Move:
    """The part of shape `inner` at `start` of a gradient of shape `outer`."""
    strides = dense_strides(outer)
    offset = sum(p * s for p, s in zip(start, strides, strict=True))
    axes = (MoveAxis(n, 0, 1, n, s) for n, s in zip(inner, strides, strict=True))
    return Move(tuple(axes), offset)


def embed(
    shape: Sequence[int], begin: Sequence[int], step: Sequence[int], counts: Sequence[int]
) -> Move:
    """The gradient of a strided slice in a tensor of `shape`, zero around it.

    Args:
      shape: Of the tensor that was sliced.
      begin: First index on each axis.
      step: May be negative.
      counts: Elements taken on each axis.
    """
    axes = []
    offset = 0
    for n, b, s, count, stride in zip(
        shape, begin, step, counts, dense_strides(counts), strict=True
    ):
        if s < 0:
            last = (count - 1) * stride
            axes.append(MoveAxis(n, b + (count - 1) * s, -s, count, -stride))
            offset += last
        else:
            axes.append(MoveAxis(n, b, s, count, stride))
    return Move(tuple(axes), offset)


def permute(shape: Sequence[int], permutation: Sequence[int]) -> Move:
    """The gradient of a tensor of `shape` whose transpose took axis `permutation[d]` for `d`."""
    strides = dense_strides([shape[p] for p in permutation])
    return Move(
        tuple(
            MoveAxis(n, 0, 1, n, strides[list(permutation).index(axis)])
            for axis, n in enumerate(shape)
        )
    )


def repeat(shape: Sequence[int], axes: set[int]) -> Move:
    """The gradient of a tensor of `shape` that was reduced over `axes`."""
    kept = [1 if axis in axes else n for axis, n in enumerate(shape)]
    strides = dense_strides(kept)
    return Move(
        tuple(
            MoveAxis(n, 0, 1, n, 0 if axis in axes else strides[axis])
            for axis, n in enumerate(shape)
        )
    )


def move_gradient(
    gradient: QuantizedGradient, move: Move, mask: Mask | None = None, divisor: int = 1
) -> QuantizedGradient:
    """MOVE_GRAD: the gradient of an input.

    Args:
      gradient: The output's.
      move: Where each element comes from.
      mask: Clamp mask of the input.
      divisor: What the output's scale is divided by (the count of a mean).

    Returns:
      The gradient, `q` in the shape of the move's axes.
    """
    index: npt.NDArray[np.int64] = np.array(move.offset, np.int64)
    inside = np.array(True)
    for axis in move.axes:
        distance = np.arange(axis.size, dtype=np.int64) - axis.begin
        o = distance // axis.step
        valid = (distance >= 0) & (distance % axis.step == 0) & (o < axis.count)
        index = index[..., np.newaxis] + np.where(valid, o, 0) * axis.stride
        inside = inside[..., np.newaxis] & valid
    moved: Int8Array = np.where(inside, gradient.q.reshape(-1)[index], np.int8(0))
    scale = np.float32(gradient.scale) / np.float32(divisor)
    return QuantizedGradient(apply_mask(moved, mask), scale)


def too_many_axes(move: Move) -> str | None:
    """Why the kernel cannot do a move, None when it can."""
    needed = len(move.joined().axes)
    if needed > MAX_AXES:
        return f"its elements move along {needed} axes; at most {MAX_AXES} work"
    return None


def produce_move(
    tape: Tape, tensor: Tensor, gradient: TapeGradient, move: Move, divisor: int = 1
) -> None:
    """The gradient of `tensor` is `gradient` moved."""
    axes = move.joined().axes
    axes = (MoveAxis(),) * (MAX_AXES - len(axes)) + axes

    def produce(to: Destination) -> None:
        params = ops.MoveGrad(
            axes, move.offset, gradient.tensor.size,
            to.mask.fields, gradient.slot, to.slot, divisor,
        )  # fmt: skip
        emit_gradient(tape, params, gradient, to)

    tape.produce(tensor, produce, takes_addend=False)


def _continues(outer: MoveAxis, inner: MoveAxis) -> bool:
    whole = inner.begin == 0 and inner.step == 1 and inner.count == inner.size
    return whole and outer.step == 1 and outer.stride == inner.size * inner.stride


def _move_grad(op: Op, params: ops.MoveGrad, step: Step) -> None:
    inputs = ops.MoveGrad.inputs_of(op)
    result = move_gradient(
        step.gradient(inputs.gradient, params.slot_in),
        Move(params.axis, params.offset),
        step.mask(params.mask, inputs.mask),
        params.divisor,
    )
    step.store_gradient(op.output, params.slot_out, result)


KERNELS: Kernels = {ops.MoveGrad: Kernel(_move_grad)}
