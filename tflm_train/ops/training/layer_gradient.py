"""Input gradients of the layers with weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tflm_train.graph import Tensor
from tflm_train.ops.declaration import Rule, TrainingOp, terms
from tflm_train.ops.fields import Number
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.structs import MaskFields
from tflm_train.ops.tensors import Role, Spec, Tensors
from tflm_train.ops.training.common import (
    CONV_PARTS,
    DEPTHWISE_PARTS,
    THREE_SLOTS,
    WHOLE_GROUPS,
    WINDOWED,
    Addend,
    AddendSlot,
    Flag,
    InputGradient,
    Mask,
    OutputGradient,
    Ranged,
    SlotField,
)


@dataclass(frozen=True, kw_only=True)
class LayerGradientInputs(Ranged):
    """Of CONV_INPUT_GRAD and DEPTHWISE_INPUT_GRAD.

    With `bias_factors` and `bias` the op does BIAS_UPDATE of the layer first.
    """

    gradient: OutputGradient
    weights: Annotated[Tensor, Spec(Role.WEIGHTS, "INT8", "weights")]
    multipliers: Annotated[
        Tensor, Spec(Role.CONSTANT, "multiplier_type", "out_c", high="largest_multiplier")
    ]
    columns: Annotated[Tensor | None, Spec(Role.WEIGHTS, "INT8", "columns", present="kept > 0")]
    channels: Annotated[
        Tensor | None,
        Spec(
            Role.CONSTANT,
            "INT16",
            "listed",
            present="kept > 0",
            high="channels - 1",
            ascending="first_run",
        ),
    ]
    mask: Mask
    addend: Addend
    bias_factors: Annotated[
        Tensor | None, Spec(Role.FACTORS, "FLOAT32", "out_c", present="has(bias)")
    ]
    bias: Annotated[Tensor | None, Spec(Role.VARIABLE, "INT32", "out_c", present="FREE")]


_BIAS_RULE = Rule("output positions", "positions if has(bias) else 1", "1", "LARGEST // 128")


@dataclass(frozen=True, kw_only=True)
class GradientOutputs(Tensors):
    """Of the ops that write an input gradient."""

    gradient: InputGradient


@dataclass(frozen=True)
class LayerGrad(TrainingOp[LayerGradientInputs, GradientOutputs]):
    """What the input gradients of layers have in common."""

    geometry: Geometry
    mask: MaskFields
    slot_in: SlotField
    slot_out: SlotField
    slot_addend: AddendSlot
    unit_scale: float


@dataclass(frozen=True)
class ConvInputGrad(LayerGrad, kind=4):
    """Input gradient of CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV."""

    TERMS = terms(
        WINDOWED,
        THREE_SLOTS,
        CONV_PARTS,
        multiplier_type="INT8",
        largest_multiplier="127",
        in_group="min(group, out_c)",
    )
    RULES = (
        Rule("group * k_h * k_w", "in_group * k_h * k_w", "1", "MAX_SUM_LENGTH"),
        _BIAS_RULE,
        Rule("number of groups", "(out_c + in_group - 1) // in_group", "1", "1 << group_shift"),
    )
    unit_scale: Annotated[float, Number("max s_W / 127 * 2^group_shift", "0", "FINITE")]
    group: Annotated[int, Number("output channels summed before a rounding shift", "1")]
    group_shift: Annotated[int, Number("", "0", "30")]
    kept: Annotated[
        int, Number("input channels whose weights are columns; 0: none", "0", "in_c - 1")
    ]
    transposed: Annotated[Flag, Number("1: the layer is a TRANSPOSE_CONV", "0", "1")] = 0


@dataclass(frozen=True)
class DepthwiseInputGrad(LayerGrad, kind=5):
    """Input gradient of DEPTHWISE_CONV_2D."""

    TERMS = terms(
        WINDOWED,
        THREE_SLOTS,
        DEPTHWISE_PARTS,
        multiplier_type="INT32",
        largest_multiplier="1 << 16",
    )
    RULES = (
        WHOLE_GROUPS,
        _BIAS_RULE,
        # Sums of int8 * int8 fit int32.
        Rule("k_h * k_w * multiplier", "k_h * k_w * multiplier", "1", "LARGEST // (127 * 128)"),
    )
    unit_scale: Annotated[float, Number("max s_W", "0", "FINITE")]
    multiplier: Annotated[int, Number("out_c / in_c", "1", "out_c")]
    kept: Annotated[
        int, Number("output channels whose weights are columns; 0: none", "0", "out_c - 1")
    ]
