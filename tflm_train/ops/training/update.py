"""The ops that change weights and biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tflm_train.graph import Tensor
from tflm_train.ops.constants import NO_MARK
from tflm_train.ops.declaration import Rule, TrainingOp, terms
from tflm_train.ops.fields import Number
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.structs import PLAIN_SGD, RuleFields, UpdateFields
from tflm_train.ops.tensors import Role, Spec, Tensors
from tflm_train.ops.training.common import (
    WHOLE_GROUPS,
    WINDOWED,
    Flag,
    InStep,
    Scaled,
    SlotField,
    Token,
)


@dataclass(frozen=True, kw_only=True)
class WeightUpdateInputs(InStep):
    """Of CONV_UPDATE and DEPTHWISE_UPDATE.

    `factors` has those of the weights and behind them of the bias, where it has one; `after` must
    have been written with the old weights.
    """

    x: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "size", label="layer input", mark="mark_x")]
    gradient: Annotated[
        Tensor, Spec(Role.GRADIENT, "INT8", "q_size", label="output gradient", mark="mark_grad")
    ]
    factors: Annotated[Tensor, Spec(Role.FACTORS, "FLOAT32", "(1 + has(bias)) * out_c")]
    weights: Annotated[Tensor, Spec(Role.VARIABLE, "INT8", "weights")]
    bias: Annotated[Tensor | None, Spec(Role.VARIABLE, "INT32", "out_c", present="FREE")]
    residual: Annotated[
        Tensor | None,
        Spec(
            Role.VARIABLE,
            "UINT8",
            "(weights + 1) // 2 if residual_bits == 4 else weights",
            present="residual_bits != 0",
        ),
    ]
    gathered: Annotated[
        Tensor | None,
        Spec(Role.VARIABLE, "INT8", "weights", present="steps != 1", label="gathered steps"),
    ]
    bias_gathered: Annotated[
        Tensor | None,
        Spec(
            Role.VARIABLE,
            "INT32",
            "out_c",
            present="has(bias) and steps != 1",
            label="gathered steps of the bias",
        ),
    ]
    channels: Annotated[
        Tensor | None, Spec(Role.FACTORS, "INT16", "row", present="row_channels != row")
    ]
    after: Annotated[Tensor | None, Spec(Role.AFTER, "INT8", present="FREE", mark="mark_after")]
    scales: Annotated[Tensor, Spec(Role.SCALES, "FLOAT32", "slots", at_least=True, mark="slot")]


@dataclass(frozen=True, kw_only=True)
class UpdateOutputs(Tensors):
    """Of the ops that change variables among their inputs."""

    token: Token


_UPDATE_RULES = (
    Rule("residual_bits % 4", "residual_bits - residual_bits // 4 * 4", "0", "0"),
    Rule("out_h * out_w << gain_shift", "positions << gain_shift", "1", "LARGEST // (127 * 255)"),
    # What is gathered lies above an 8-bit residual.
    Rule("residual_bits of gathered steps", "residual_bits if steps != 1 else 8", "8", "8"),
)


@dataclass(frozen=True)
class ConvUpdate(TrainingOp[WeightUpdateInputs, UpdateOutputs], kind=9):
    """Weight gradient and update in place, CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV."""

    TERMS = terms(WINDOWED, slots="slot + 1", weights="out_c * k_h * k_w * in_c", row="in_c")
    RULES = (
        *_UPDATE_RULES,
        # A transposed layer sums over its input positions; gain_shift is for the output's.
        Rule("in_h * in_w", "in_h * in_w if transposed else 1", "1", "positions"),
    )
    geometry: Geometry
    update: UpdateFields
    transposed: Annotated[Flag, Number("1: the layer is a TRANSPOSE_CONV", "0", "1")] = 0
    rule: RuleFields = PLAIN_SGD


@dataclass(frozen=True)
class DepthwiseUpdate(TrainingOp[WeightUpdateInputs, UpdateOutputs], kind=10):
    """Weight gradient and update in place, DEPTHWISE_CONV_2D."""

    TERMS = terms(WINDOWED, slots="slot + 1", weights="k_h * k_w * out_c", row="out_c")
    RULES = (*_UPDATE_RULES, WHOLE_GROUPS)
    geometry: Geometry
    update: UpdateFields
    multiplier: Annotated[int, Number("out_c / in_c", "1", "out_c")]
    rule: RuleFields = PLAIN_SGD


@dataclass(frozen=True, kw_only=True)
class BiasUpdateInputs(Scaled):
    """Of BIAS_UPDATE."""

    gradient: Annotated[
        Tensor, Spec(Role.GRADIENT, "INT8", "q_size", label="output gradient", mark="slot")
    ]
    factors: Annotated[Tensor, Spec(Role.FACTORS, "FLOAT32", "channels")]
    bias: Annotated[Tensor, Spec(Role.VARIABLE, "INT32", "channels")]
    bias_gathered: Annotated[
        Tensor | None,
        Spec(Role.VARIABLE, "INT32", "channels", present="steps != 1", label="gathered steps"),
    ]


@dataclass(frozen=True)
class BiasUpdate(TrainingOp[BiasUpdateInputs, UpdateOutputs], kind=11):
    """Bias gradient and update in place."""

    TERMS = terms(slots="slot + 1", q_size="positions * channels")
    positions: Annotated[int, Number("out_h * out_w", "1", "LARGEST // 128")]
    channels: Annotated[int, Number("", "1")]
    slot: SlotField
    mark_out: Annotated[int, Number("of the token", "NO_MARK")] = NO_MARK
    rule: RuleFields = PLAIN_SGD
