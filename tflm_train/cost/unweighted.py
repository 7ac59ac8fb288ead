"""What the time of gradients of operators without weights, of masks and of losses depends on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.cost.amounts import VECTOR, Values, addend, inner_taps, named, round_up

_RESIZE_ONE = 128  # a weight of 1.0


def _masked(mask: ops.MaskFields, size: int) -> Values:
    """A mask of bits or of values, which take times of their own where little else is done."""
    return (
        {f"masked by {ops.MaskKind(mask.mask_kind).name.lower()}": size} if mask.mask_kind else {}
    )


def _windowed(params: ops.PoolGrad | ops.MaxPoolGrad) -> dict[str, float]:
    """Of the gradient of any pooling, whose windows meet its inputs."""
    g = params.geometry
    inputs = g.in_h * g.in_w * g.in_c
    inner = inner_taps(g)
    return {
        "inputs": inputs,
        "vector inputs": g.in_h * g.in_w * round_up(g.in_c, VECTOR),
        "positions": g.in_h * g.in_w,
        "macs": inner * g.out_c,
        "taps": inner,
        **_masked(params.mask, inputs),
    }


def _pool_grad(params: ops.PoolGrad) -> Values:
    return named("uniform" if params.uniform else "windows", _windowed(params))


def _max_pool_grad(params: ops.MaxPoolGrad) -> Values:
    g = params.geometry
    return {
        **_windowed(params),
        # Where an element is the largest, those before it in its window are looked at.
        "compared": g.positions * g.out_c * g.k_h * g.k_w,
        "outputs": g.positions * g.out_c,
    }


def resize_grad(
    params: ops.ResizeGrad,
    rows: npt.NDArray[Any] | None = None,
    columns: npt.NDArray[Any] | None = None,
) -> Values:
    """Of RESIZE_GRAD.

    Args:
      params: Its parameters.
      rows: Its table of rows; None: as that of a bilinear op whose pixels have centres.
      columns: Likewise.
    """
    channels, pixels = params.channels, params.in_h * params.in_w
    added = _reads(rows, params.in_h, params.out_h) * _reads(columns, params.in_w, params.out_w)
    inputs = pixels * channels
    return {
        "inputs": inputs,
        "vector inputs": pixels * round_up(channels, VECTOR),
        "positions": pixels,
        "added": added * channels,
        "vector added": added * round_up(channels, VECTOR),
        "additions": added,
        "met": params.out_h * params.out_w,
        **_masked(params.mask, inputs),
        **addend(params.slot_addend, inputs),
    }


def _reads(table: npt.NDArray[Any] | None, size: int, out: int) -> int:
    """How many inputs the outputs of an axis read, all together."""
    if table is None:
        at = np.maximum(
            ((2 * np.arange(out) + 1) * size * _RESIZE_ONE // out - _RESIZE_ONE) // 2, 0
        )
        return out + int(np.sum((at % _RESIZE_ONE > 0) & (at // _RESIZE_ONE + 1 < size)))
    weights = table.reshape(-1, 2)[:, 1]
    return out + int(np.sum((weights > 0) & (weights < _RESIZE_ONE)))


def _product_grad(params: ops.ProductGrad) -> Values:
    pixel = params.kept[-1]
    pixels = math.prod(axis.size for axis in params.kept[:-1])
    rows = pixels * math.prod(axis.size for axis in params.reduced)
    inputs = pixels * pixel.size
    return {
        **named(
            _product_loop(params),
            {
                "products": rows * pixel.size,
                "vector products": rows * round_up(pixel.size, VECTOR),
                "rows": rows,
            },
        ),
        "elements": inputs,
        "vector elements": pixels * round_up(pixel.size, VECTOR),
        "positions": pixels,
        **_masked(params.mask, inputs),
        **addend(params.slot_addend, inputs),
    }


def _product_loop(params: ops.ProductGrad) -> str:
    """Which of the kernel's loops multiplies."""
    pixel, kind = params.kept[-1], params.factor_kind
    if pixel.q_stride == 1 and pixel.x_stride == 1:
        if kind == ops.FactorKind.ACTIVATION:
            return "activation"
        if kind == ops.FactorKind.TABLE:
            return "table"
    if pixel.q_stride == 1 and pixel.x_stride == 0 and kind != ops.FactorKind.SIGN:
        return "constant"
    return "other"


def _accumulate(params: ops.Accumulate) -> Values:
    if params.count == 1:
        return {"copied": params.size, **named("copied", _masked(params.mask, params.size))}
    added = params.size * params.count
    return {"added": added, "elements": params.size, **_masked(params.mask, params.size)}


def _move_grad(params: ops.MoveGrad) -> Values:
    *outer, lane = params.axis
    rows, inner_rows, steps = 1, 1, 0
    for axis in outer:
        rows *= axis.size
        steps += rows
        inner_rows *= _inside(axis)
    size = rows * lane.size
    runs = inner_rows if lane.step == 1 and lane.stride == 1 else 0
    return {
        "steps": steps,
        "runs": runs,
        "run elements": runs * lane.size,
        "moved": inner_rows * _inside(lane) - runs * _inside(lane),
        "elements": size - runs * lane.size,
        **_masked(params.mask, size),
    }


def _inside(axis: ops.MoveAxis) -> int:
    """How many positions of an axis the gradient has."""
    first = max(0, -(axis.begin // axis.step))
    last = min(axis.count - 1, (axis.size - 1 - axis.begin) // axis.step)
    return max(0, last - first + 1)


def _loss(params: ops.Loss) -> Values:
    kind = ops.LossKind(params.loss_kind).name.lower().replace("_", " ")
    return named(kind, {"outputs": params.outputs, "positions": params.positions})


UNWEIGHTED: Mapping[type[ops.Params], Callable[[Any], Values]] = {
    ops.PoolGrad: _pool_grad,
    ops.MaxPoolGrad: _max_pool_grad,
    ops.ResizeGrad: resize_grad,
    ops.ProductGrad: _product_grad,
    ops.L2NormGrad: lambda params: {
        "elements": params.size,
        **_masked(params.mask, params.size),
    },
    ops.Accumulate: _accumulate,
    ops.MoveGrad: _move_grad,
    ops.ClampMask: lambda params: {"elements": params.size},
    ops.Loss: _loss,
}
