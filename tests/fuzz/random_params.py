"""Random fields of the ops, which their declarations take but for a few combinations."""

from __future__ import annotations

import dataclasses
import math

from tests.random_layers import Draw, geometry, size
from tflm_train import ops
from tflm_train.ops.geometry import Geometry

STATE_WORDS = 12
_MARKS = 32 * (STATE_WORDS - 7)  # behind the live state
_MOST_WORK = 200_000


def random_params(draw: Draw) -> ops.Params:
    """The fields of a random op."""
    return _KINDS[draw(0, len(_KINDS) - 1)](draw)


def _work(g: Geometry, depthwise: bool) -> int:
    taps = g.k_h * g.k_w * (1 if depthwise else g.in_c)
    return max(g.out_h * g.out_w * g.out_c * taps, g.in_h * g.in_w * g.in_c)


def _layer(draw: Draw, depthwise: bool = False) -> Geometry:
    while True:
        g = geometry(draw, depthwise)
        if _work(g, depthwise) <= _MOST_WORK and max(g.in_h, g.in_w) < 200:
            return g


def _pool(draw: Draw) -> Geometry:
    while True:
        side = (draw(1, 24), draw(1, 24))
        padding = ("SAME", "VALID")[draw(0, 1)]
        kernel = (
            (draw(1, 5), draw(1, 5)) if padding == "SAME" else (draw(1, side[0]), draw(1, side[1]))
        )
        strides = kernel if draw(0, 1) else (draw(1, 4), draw(1, 4))
        channels = size(draw, 128)
        g = Geometry.from_options((*side, channels), channels, kernel, strides, padding=padding)
        if _work(g, True) <= _MOST_WORK:
            return g


def _mark(draw: Draw) -> int:
    return draw(-1, _MARKS - 1)


def _mask(draw: Draw) -> ops.MaskFields:
    low = draw(-128, 127)
    if draw(0, 1):
        low = -128
    return ops.MaskFields(draw(0, 2), low, draw(low, 127), _mark(draw))


def _unit(draw: Draw) -> float:
    return draw(1, 1 << 20) * 2.0 ** -draw(10, 30)


def _slots(draw: Draw) -> tuple[int, int]:
    slots = draw(0, 6), draw(0, 6)
    return slots if slots[0] != slots[1] else (slots[0], slots[0] + 1)


def _addend_slot(draw: Draw) -> int:
    return draw(7, 9) if draw(0, 2) == 0 else -1


def _conv_input_grad(draw: Draw) -> ops.Params:
    g = _layer(draw)
    most = max(1, 1048 // (g.k_h * g.k_w))
    group = draw(1, most) if draw(0, 3) == 0 else most
    groups = -(-g.out_c // min(group, g.out_c))
    shift = math.ceil(math.log2(groups)) + (draw(0, 3) if draw(0, 3) == 0 else 0)
    kept = draw(0, g.in_c - 1) if draw(0, 2) == 0 else 0
    return ops.ConvInputGrad(
        g, _mask(draw), *_slots(draw), _addend_slot(draw), _unit(draw), group, shift, kept,
        transposed=int(draw(0, 4) == 0),
    )  # fmt: skip


def _depthwise_input_grad(draw: Draw) -> ops.Params:
    g = _layer(draw, depthwise=True)
    kept = draw(0, g.out_c - 1) if draw(0, 2) == 0 else 0
    return ops.DepthwiseInputGrad(
        g, _mask(draw), *_slots(draw), _addend_slot(draw), _unit(draw), g.out_c // g.in_c, kept
    )


def _span(draw: Draw, most: int) -> tuple[int, int]:
    if draw(0, 2):
        return 0, most
    low = draw(0, most - 1)
    return low, draw(low + 1, most)


def _rule(draw: Draw, gathers: bool) -> ops.RuleFields:
    return ops.RuleFields(
        steps=draw(2, 5) if gathers and draw(0, 3) == 0 else 1,
        weight_decay=_unit(draw) if draw(0, 3) == 0 else 0.0,
        clip_norm=_unit(draw) if draw(0, 3) == 0 else 0.0,
        clip_x=_unit(draw) * draw(0, 1),
        clip_bias=float(draw(0, 40)),
    )


def _update(draw: Draw, g: Geometry, row: int) -> ops.UpdateFields:
    most = min(12, int(math.log2((2**31 - 1) / (127 * 255 * g.positions))))
    return ops.UpdateFields(
        draw(0, 6),
        draw(0, 40),
        draw(-128, 127),
        (0, 4, 8)[draw(0, 2)],
        draw(0, most) if draw(0, 3) == 0 else most,
        *_span(draw, g.k_h),
        *_span(draw, g.k_w),
        row_channels=row + draw(0, 20) if draw(0, 3) == 0 else row,
        mark_x=_mark(draw),
        mark_grad=_mark(draw),
        mark_after=-1,
        mark_out=_mark(draw),
    )


def _conv_update(draw: Draw) -> ops.Params:
    g = _layer(draw)
    update = _update(draw, g, g.in_c)
    transposed = int(draw(0, 4) == 0 and g.in_h * g.in_w <= g.positions)
    return ops.ConvUpdate(g, update, transposed, _rule(draw, update.residual_bits == 8))


def _depthwise_update(draw: Draw) -> ops.Params:
    g = _layer(draw, depthwise=True)
    update = _update(draw, g, g.out_c)
    rule = _rule(draw, update.residual_bits == 8)
    return ops.DepthwiseUpdate(g, update, g.out_c // g.in_c, rule)


def _output(draw: Draw) -> ops.OutputFields:
    low = -128 if draw(0, 1) else draw(-128, 127)
    return ops.OutputFields(draw(-128, 127), draw(-128, 127), low, draw(low, 127))


def _split_conv(draw: Draw) -> ops.Params:
    while (g := _layer(draw)).in_c < 2:
        pass
    return ops.SplitConv(g, _output(draw), draw(1, g.in_c - 1))


def _split_depthwise(draw: Draw) -> ops.Params:
    while (g := _layer(draw, depthwise=True)).out_c < 2:
        pass
    return ops.SplitDepthwise(g, _output(draw), draw(1, g.out_c - 1), g.out_c // g.in_c)


def _loss(draw: Draw) -> ops.Params:
    kind = draw(0, 2)
    positions = size(draw, 40) if kind == ops.LossKind.SOFTMAX_CROSS_ENTROPY and draw(0, 1) else 1
    smooth = _unit(draw) % 1.0 if draw(0, 1) else 0.0
    classes = size(draw, 300) + 1
    return ops.Loss(
        classes, draw(-128, 127), _unit(draw), draw(0, 6), kind, draw(0, 2),
        1.0 - smooth, smooth / classes, _unit(draw), draw(-128, 127), positions,
    )  # fmt: skip


def _pool_grad(draw: Draw) -> ops.Params:
    g = _pool(draw)
    disjoint = g.stride_h >= g.k_h and g.stride_w >= g.k_w
    uniform = int(disjoint and draw(0, 1))
    count = draw(1, 30) if uniform else 0
    return ops.PoolGrad(g, _mask(draw), *_slots(draw), uniform, count)


def _accumulate(draw: Draw) -> ops.Params:
    count = draw(1, 4)
    slots = tuple(draw(0, 6) if i < count else -1 for i in range(4))
    return ops.Accumulate(size(draw, 2000), _mask(draw), count, slots, draw(7, 9))


def _strides(draw: Draw, sizes: list[int], walked: list[bool]) -> tuple[list[int], int]:
    """Strides over the axes that a tensor has, and its elements."""
    strides, elements = [0] * len(sizes), 1
    order = list(reversed(range(len(sizes))))
    if draw(0, 4) == 0:
        order.sort(key=lambda _: draw(0, 1000))
    for axis in order:
        if walked[axis]:
            strides[axis] = elements
            elements *= sizes[axis]
    return strides, elements


def _product_grad(draw: Draw) -> ops.Params:
    kind = draw(0, 3)
    while True:
        sizes = [size(draw, 40) if draw(0, 1) else 1 for _ in range(7)]
        terms = math.prod(sizes[4:])
        if math.prod(sizes) <= _MOST_WORK and terms <= 500:
            break
    q, q_size = _strides(draw, sizes, [draw(0, 4) > 0 for _ in sizes])
    x, x_size = _strides(draw, sizes, [draw(0, 2) > 0 for _ in sizes])
    if kind == ops.FactorKind.CONSTANT:
        x, x_size = [0] * 7, 0
    axes = tuple(ops.ProductAxis(*axis) for axis in zip(sizes, q, x, strict=True))
    largest = 30000 if kind == ops.FactorKind.CONSTANT else 128
    return ops.ProductGrad(
        axes[:4], axes[4:], q_size, x_size, kind, draw(-largest, largest - 1), _mask(draw),
        *_slots(draw), _addend_slot(draw), _unit(draw),
    )  # fmt: skip


def _move_grad(draw: Draw) -> ops.Params:
    counts = [size(draw, 12) if draw(0, 1) else 1 for _ in range(5)]
    strides, q_size = _strides(draw, counts, [True] * 5)
    axes, offset = [], 0
    for count, stride in zip(counts, strides, strict=True):
        step, begin = draw(1, 3) if draw(0, 2) == 0 else 1, draw(-2, 2) if draw(0, 1) else 0
        reach = max(1, begin + (count - 1) * step + 1 + draw(0, 1))
        if draw(0, 4) == 0:  # backwards
            offset += (count - 1) * stride
            stride = -stride
        axes.append(ops.MoveAxis(reach, begin, step, count, stride))
    return ops.MoveGrad(tuple(axes), offset, q_size, _mask(draw), *_slots(draw), draw(1, 40))


def _resize_grad(draw: Draw) -> ops.Params:
    channels = size(draw, 64)
    sides = [draw(1, 12) for _ in range(2)] + [draw(1, 16) for _ in range(2)]
    return ops.ResizeGrad(
        sides[0], sides[1], channels, sides[2], sides[3], _mask(draw), *_slots(draw),
        _addend_slot(draw),
    )  # fmt: skip


def _channel_save(draw: Draw) -> ops.Params:
    channels = size(draw, 200)
    return ops.ChannelSave(size(draw, 100), channels, draw(1, channels), _mark(draw), _mark(draw))


def _clamp_mask(draw: Draw) -> ops.Params:
    mask = _mask(draw)
    return ops.ClampMask(size(draw, 3000), mask.act_min, mask.act_max, _mark(draw))


def _bias_update(draw: Draw) -> ops.Params:
    rule = dataclasses.replace(_rule(draw, True), clip_x=0.0)
    return ops.BiasUpdate(size(draw, 200), size(draw, 200), draw(0, 6), _mark(draw), rule)


_KINDS = (
    _conv_input_grad, _conv_input_grad, _depthwise_input_grad, _depthwise_input_grad,
    _conv_update, _conv_update, _depthwise_update, _depthwise_update, _split_conv, _split_depthwise,
    _loss, _pool_grad, _accumulate, _product_grad, _product_grad, _move_grad, _resize_grad,
    _channel_save, _clamp_mask, _bias_update,
    lambda draw: ops.MaxPoolGrad(_pool(draw), _mask(draw), *_slots(draw)),
    lambda draw: ops.L2NormGrad(
        size(draw, 400), draw(-128, 127), _unit(draw), _mask(draw), *_slots(draw)
    ),
)  # fmt: skip
"""Those with loops for each core more often."""
