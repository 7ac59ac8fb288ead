"""Gradients of the operators without weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tflm_train.graph import Tensor
from tflm_train.ops.constants import KEPT_AXES, MAX_ACCUMULATE_INPUTS, MOVE_AXES, REDUCED_AXES
from tflm_train.ops.declaration import Rule, TrainingOp, terms
from tflm_train.ops.fields import Number, Struct
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.structs import MaskFields, MoveAxis, ProductAxis
from tflm_train.ops.tensors import Role, Spec
from tflm_train.ops.training.common import (
    THREE_SLOTS,
    TWO_SLOTS,
    WINDOWED,
    Addend,
    AddendSlot,
    Mask,
    OutputGradient,
    Ranged,
    Scaled,
    Size,
    SlotField,
)
from tflm_train.ops.training.layer_gradient import GradientOutputs


@dataclass(frozen=True)
class PoolFields(Struct):
    """What the input gradients of pools have in common."""

    geometry: Annotated[Geometry, Number("in_c == out_c, no dilation")]
    mask: MaskFields
    slot_in: SlotField
    slot_out: SlotField


_POOL_RULES = (
    Rule("dil_h", "dil_h", "1", "1"),
    Rule("dil_w", "dil_w", "1", "1"),
    Rule("out_c", "out_c", "in_c", "in_c"),
)


@dataclass(frozen=True, kw_only=True)
class PoolGradInputs(Ranged):
    """Of POOL_GRAD."""

    gradient: OutputGradient
    mask: Mask


@dataclass(frozen=True)
class PoolGrad(PoolFields, TrainingOp[PoolGradInputs, GradientOutputs], kind=6):
    """Input gradient of AVERAGE_POOL_2D and spatial MEAN."""

    TERMS = terms(WINDOWED, TWO_SLOTS)
    RULES = (
        *_POOL_RULES,
        # No window lies in the padding alone: its count would be 0.
        Rule("pad_t", "pad_t", "0", "k_h - 1"),
        Rule("pad_l", "pad_l", "0", "k_w - 1"),
        Rule(
            "start of the last window (rows)",
            "(out_h - 1) * stride_h - pad_t",
            "-pad_t",
            "in_h - 1",
        ),
        Rule(
            "start of the last window (columns)",
            "(out_w - 1) * stride_w - pad_l",
            "-pad_l",
            "in_w - 1",
        ),
        Rule("stride_h (uniform windows)", "stride_h", "k_h if uniform and out_h > 1 else 1"),
        Rule("stride_w (uniform windows)", "stride_w", "k_w if uniform and out_w > 1 else 1"),
        # Each window adds at most 127 * 2^14, and at most k_h * k_w of them overlap.
        Rule("k_h * k_w", "1 if uniform else k_h * k_w", "1", "1024"),
    )
    uniform: Annotated[int, Number("1: disjoint windows of `count` elements each", "0", "1")]
    count: Annotated[int, Number("", "uniform")]


@dataclass(frozen=True, kw_only=True)
class AccumulateInputs(Scaled):
    """Of ACCUMULATE; gradient `i` has the mark `slot_in[i]`."""

    gradients: Annotated[
        tuple[Tensor, ...],
        Spec(Role.GRADIENT, "INT8", "size", present="count", label="gradient", mark="slot_in[0]"),
    ]
    mask: Mask


@dataclass(frozen=True)
class Accumulate(TrainingOp[AccumulateInputs, GradientOutputs], kind=8):
    """Sum of up to four gradients of one tensor."""

    TERMS = terms(slots="max(slot_in[0], slot_in[1], slot_in[2], slot_in[3], slot_out) + 1")
    RULES = tuple(
        Rule(f"slot_in[{i}]", f"slot_in[{i}]", f"-1 + (count > {i})")
        for i in range(MAX_ACCUMULATE_INPUTS)
    )
    size: Size
    mask: MaskFields
    count: Annotated[int, Number("inputs", "1", "MAX_ACCUMULATE_INPUTS")]
    slot_in: Annotated[tuple[int, ...], Number("-1: unused", count=MAX_ACCUMULATE_INPUTS)]
    slot_out: SlotField


@dataclass(frozen=True, kw_only=True)
class ProductGradInputs(Ranged):
    """Of PRODUCT_GRAD."""

    gradient: OutputGradient
    x: Annotated[
        Tensor | None,
        Spec(Role.ACTIVATION, "INT8", "x_size", present="factor_kind != FactorKind.CONSTANT"),
    ]
    table: Annotated[
        Tensor | None,
        Spec(
            Role.FACTORS,
            "INT16",
            "256 if factor_kind == FactorKind.TABLE else 2 * kept[3].size",
            present="factor_kind >= FactorKind.TABLE",
        ),
    ]
    mask: Mask
    addend: Addend


@dataclass(frozen=True)
class ProductGrad(TrainingOp[ProductGradInputs, GradientOutputs], kind=20):
    """Sum over broadcast axes of the gradient times a factor."""

    TERMS = terms(
        THREE_SLOTS,
        size="kept[0].size * kept[1].size * kept[2].size * kept[3].size",
        is_constant="factor_kind == FactorKind.CONSTANT",
        largest="32767 if is_constant else 128",
    )
    # Where the axes end, and how large the sums may be, is for the kernel's own check.
    RULES = (
        Rule("elements of the result", "size", "1", "LARGEST - 1"),
        Rule("x_size", "x_size", "not is_constant", "0 if is_constant else LARGEST"),
        Rule(
            "factor", "factor", "-32767 if is_constant else -128", "32767 if is_constant else 128"
        ),
    )
    kept: Annotated[
        tuple[ProductAxis, ...],
        Number("the axes of the result; the last is its pixel", count=KEPT_AXES),
    ]
    reduced: Annotated[tuple[ProductAxis, ...], Number("summed over", count=REDUCED_AXES)]
    q_size: Annotated[int, Number("elements of the incoming gradient", "1")]
    x_size: Annotated[int, Number("elements of x, 0 for a constant factor")]
    factor_kind: Annotated[int, Number("FactorKind", "FactorKind.CONSTANT", "FactorKind.SIGN")]
    factor: Annotated[int, Number("see FactorKind")]
    mask: MaskFields
    slot_in: SlotField
    slot_out: SlotField
    slot_addend: AddendSlot
    unit_scale: Annotated[float, Number("real value of 1 in the factor", "0", "FINITE")]


@dataclass(frozen=True, kw_only=True)
class MoveGradInputs(Scaled):
    """Of MOVE_GRAD."""

    gradient: OutputGradient
    mask: Mask


@dataclass(frozen=True)
class MoveGrad(TrainingOp[MoveGradInputs, GradientOutputs], kind=21):
    """Input gradient of an op that only moves elements."""

    TERMS = terms(
        TWO_SLOTS, size="axis[0].size * axis[1].size * axis[2].size * axis[3].size * axis[4].size"
    )
    # Where the axes end is for the kernel's own check.
    RULES = (Rule("elements of the result", "size", "1", "LARGEST - 1"),)
    axis: Annotated[tuple[MoveAxis, ...], Number(count=MOVE_AXES)]
    offset: Annotated[int, Number("of o = 0 on every axis")]
    q_size: Annotated[int, Number("elements of the incoming gradient")]
    mask: MaskFields
    slot_in: SlotField
    slot_out: SlotField
    divisor: Annotated[int, Number("scales[slot_out] = scales[slot_in] / divisor", "1")]


@dataclass(frozen=True, kw_only=True)
class ComparedInputs(Ranged):
    """Of MAX_POOL_GRAD and L2_NORM_GRAD, which look at the op's input and output."""

    gradient: OutputGradient
    x: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "size", label="input")]
    y: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "q_size", label="output")]
    mask: Mask


@dataclass(frozen=True)
class MaxPoolGrad(PoolFields, TrainingOp[ComparedInputs, GradientOutputs], kind=22):
    """Input gradient of MAX_POOL_2D and spatial REDUCE_MAX."""

    TERMS = terms(WINDOWED, TWO_SLOTS)
    # At most k_h * k_w windows meet in an element.
    RULES = (*_POOL_RULES, Rule("k_h * k_w", "k_h * k_w", "1", "LARGEST // 128"))


@dataclass(frozen=True, kw_only=True)
class ResizeGradInputs(Ranged):
    """Of RESIZE_GRAD: for each output row and column the first input and the second's weight."""

    gradient: OutputGradient
    rows: Annotated[Tensor, Spec(Role.CONSTANT, "INT16", "2 * out_h")]
    columns: Annotated[Tensor, Spec(Role.CONSTANT, "INT16", "2 * out_w")]
    mask: Mask
    addend: Addend


_ResizeSide = Annotated[int, Number("", "1", "MAX_WINDOW")]


@dataclass(frozen=True)
class ResizeGrad(TrainingOp[ResizeGradInputs, GradientOutputs], kind=23):
    """Input gradient of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""

    TERMS = terms(THREE_SLOTS, size="in_h * in_w * channels", q_size="out_h * out_w * channels")
    RULES = (
        Rule("elements of the result", "size", "1", "LARGEST - 1"),
        Rule("elements of the gradient", "q_size", "1", "LARGEST - 1"),
    )
    in_h: _ResizeSide
    in_w: _ResizeSide
    channels: Annotated[int, Number("", "1")]
    out_h: _ResizeSide
    out_w: _ResizeSide
    mask: MaskFields
    slot_in: SlotField
    slot_out: SlotField
    slot_addend: AddendSlot


@dataclass(frozen=True)
class L2NormGrad(TrainingOp[ComparedInputs, GradientOutputs], kind=24):
    """Input gradient of L2_NORMALIZATION of one vector."""

    TERMS = terms(TWO_SLOTS, q_size="size")
    size: Annotated[int, Number("elements of the vector", "1", "MAX_L2_NORM_SIZE")]
    x_zero_point: Annotated[int, Number("of the forward input", "-128", "127")]
    x_scale: Annotated[float, Number("of the forward input", "1", "MAX_SCALE")]
    mask: MaskFields
    slot_in: SlotField
    slot_out: SlotField
