"""The ops that begin a step: RESTORE and LOSS; and those that keep what the backward pass needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tflm_train.graph import Tensor
from tflm_train.ops.constants import NO_MARK, LossKind, TargetKind
from tflm_train.ops.declaration import TrainingOp, terms
from tflm_train.ops.fields import Number
from tflm_train.ops.structs import ZeroPoint
from tflm_train.ops.tensors import Role, Spec, Tensors
from tflm_train.ops.training.common import InStep, MarkField, Positive, Scaled, SlotField

Unsigned = Annotated[int, Number(unsigned=True)]


@dataclass(frozen=True, kw_only=True)
class RestoreInputs(Tensors):
    """Of RESTORE: the factory values of the first variables one after another, where there are."""

    learning_rate: Annotated[Tensor, Spec(Role.RATE, "FLOAT32", "1")]
    factory: Annotated[
        tuple[Tensor, ...], Spec(Role.FACTORS, "", label="factory values", present="")
    ]


@dataclass(frozen=True, kw_only=True)
class RestoreOutputs(Tensors):
    """Of RESTORE: the live state, a copy of its words for the outside, what trains."""

    control: Annotated[Tensor, Spec(Role.STATE, "INT32", "8", at_least=True)]
    handle: Annotated[Tensor, Spec(Role.RESULT, "INT32", "16")]
    variables: Annotated[tuple[Tensor, ...], Spec(Role.VARIABLE, "", present="variable_count")]


@dataclass(frozen=True)
class Restore(TrainingOp[RestoreInputs, RestoreOutputs], kind=1):
    """Copies factory values into the variables; owns the live state."""

    fingerprint_lo: Annotated[int, Number("of the model", unsigned=True)]
    fingerprint_hi: Unsigned
    seed: Annotated[int, Number("of the random rounding", unsigned=True)]
    variable_count: Annotated[int, Number("", "0", "MAX_WINDOW", unsigned=True)]


@dataclass(frozen=True, kw_only=True)
class LossInputs(Scaled):
    """Of LOSS: `saved` is what the forward pass keeps, not read; it has to be written before."""

    logits: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "positions * classes")]
    target: Annotated[
        Tensor,
        Spec(
            Role.TARGET,
            "INT32 if target_kind == TargetKind.INDEX else"
            " FLOAT32 if target_kind == TargetKind.VALUES else INT8",
            "positions if target_kind == TargetKind.INDEX else positions * classes",
        ),
    ]
    class_weights: Annotated[
        Tensor | None,
        Spec(
            Role.FACTORS,
            "FLOAT32",
            "classes",
            present="0 if loss_kind == LossKind.MEAN_SQUARED_ERROR else FREE",
        ),
    ]
    saved: Annotated[tuple[Tensor, ...], Spec(Role.AFTER, "", present="")]


@dataclass(frozen=True, kw_only=True)
class LossOutputs(Tensors):
    """Of LOSS."""

    gradient: Annotated[Tensor, Spec(Role.GRADIENT, "INT8", "positions * classes", mark="slot")]


@dataclass(frozen=True)
class Loss(TrainingOp[LossInputs, LossOutputs], kind=2):
    """A loss and its gradient."""

    TERMS = terms(slots="slot + 1")
    classes: Annotated[int, Number("elements of the output, of each position", "1")]
    zero_point: Annotated[ZeroPoint, Number("of the logits", "-128", "127")]
    scale: Annotated[float, Number("of the logits", "1", "MAX_SCALE")]
    slot: SlotField
    loss_kind: Annotated[
        int, Number("LossKind", "LossKind.SOFTMAX_CROSS_ENTROPY", "LossKind.MEAN_SQUARED_ERROR")
    ] = LossKind.SOFTMAX_CROSS_ENTROPY
    target_kind: Annotated[int, Number("TargetKind", "TargetKind.INDEX", "TargetKind.INPUT")] = (
        TargetKind.INDEX
    )
    keep: Annotated[float, Number("label smoothing: keep * target + spread", "0", "FINITE")] = 1.0
    spread: Annotated[float, Number("", "0", "FINITE")] = 0.0
    target_scale: Annotated[float, Number("of the model's input as target", "0", "MAX_SCALE")] = 1.0
    target_zero_point: Annotated[int, Number("likewise", "-128", "127")] = 0
    positions: Annotated[
        int,
        Number(
            "classified one by one",
            "1",
            "LARGEST if loss_kind == LossKind.SOFTMAX_CROSS_ENTROPY else 1",
        ),
    ] = 1

    @property
    def outputs(self) -> int:
        """Elements of the logits: of all positions."""
        return self.positions * self.classes


@dataclass(frozen=True, kw_only=True)
class ClampMaskInputs(InStep):
    """Of CLAMP_MASK."""

    activation: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "size")]


@dataclass(frozen=True, kw_only=True)
class ClampMaskOutputs(Tensors):
    """Of CLAMP_MASK."""

    bits: Annotated[
        Tensor, Spec(Role.RESULT, "UINT8", "(size + 7) // 8", label="mask", mark="mark_out")
    ]


@dataclass(frozen=True)
class ClampMask(TrainingOp[ClampMaskInputs, ClampMaskOutputs], kind=3):
    """One bit per element: not clamped by the fused activation."""

    size: Annotated[int, Number("elements", "1", "LARGEST - 7")]
    act_min: Annotated[int, Number("quantised clamp range", "-128", "act_max")]
    act_max: Annotated[int, Number("", "-128", "127")]
    mark_out: MarkField = NO_MARK


@dataclass(frozen=True, kw_only=True)
class ChannelSaveInputs(InStep):
    """Of CHANNEL_SAVE."""

    values: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "positions * channels", mark="mark_in")]
    channels: Annotated[
        Tensor, Spec(Role.CONSTANT, "INT16", "kept", high="channels - 1", ascending="kept")
    ]


@dataclass(frozen=True, kw_only=True)
class ChannelSaveOutputs(Tensors):
    """Of CHANNEL_SAVE."""

    saved: Annotated[
        Tensor,
        Spec(Role.ACTIVATION, "INT8", "positions * kept", label="saved channels", mark="mark_out"),
    ]


@dataclass(frozen=True)
class ChannelSave(TrainingOp[ChannelSaveInputs, ChannelSaveOutputs], kind=12):
    """Keeps only the trained channels of an activation or a gradient."""

    positions: Positive
    channels: Positive
    kept: Annotated[int, Number("", "1", "channels")]
    mark_in: Annotated[int, Number("of a gradient", "NO_MARK")] = NO_MARK
    mark_out: MarkField = NO_MARK


@dataclass(frozen=True, kw_only=True)
class FinishInputs(InStep):
    """Of FINISH: a token of each update, then all variables, none of which it reads."""

    after: Annotated[tuple[Tensor, ...], Spec(Role.AFTER, "", present="")]
    handle: Annotated[Tensor, Spec(Role.RESULT, "INT32", "16")]


@dataclass(frozen=True, kw_only=True)
class FinishOutputs(Tensors):
    """Of FINISH."""

    loss: Annotated[Tensor, Spec(Role.RESULT, "FLOAT32", "1")]


@dataclass(frozen=True)
class Finish(TrainingOp[FinishInputs, FinishOutputs], kind=15):
    """The last op: every other one of the step has run; hands the loss out, renews the handle."""

    marks: Annotated[int, Number("of the whole step", "0")] = 0
