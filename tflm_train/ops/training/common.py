"""Tensors and fields that many training ops have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tflm_train.graph import Tensor
from tflm_train.ops.fields import Number, Rule
from tflm_train.ops.tensors import Role, Spec, Tensors

WINDOWED = {
    "size": "in_h * in_w * in_c",
    "q_size": "out_h * out_w * out_c",
    "positions": "out_h * out_w",
}
"""Sizes of a windowed layer's input and output."""
CONV_PARTS = {
    "weights": "out_c * k_h * k_w * (in_c - kept)",
    "columns": "out_c * k_h * k_w * kept",
    "listed": "in_c",
    "channels": "in_c",
    "first_run": "in_c - kept",
}
"""Sizes of what the weights of a convolution consist of where some of its inputs train."""
DEPTHWISE_PARTS = {
    "weights": "k_h * k_w * out_c",
    "columns": "k_h * k_w * kept",
    "listed": "kept",
    "channels": "out_c",
    "first_run": "kept",
}
"""The same of a depthwise layer."""
WHOLE_GROUPS = Rule("in_c * multiplier", "in_c * multiplier", "out_c", "out_c")
"""Of a depthwise layer: each input channel has as many output channels."""
TWO_SLOTS = {"slots": "max(slot_in, slot_out) + 1"}
THREE_SLOTS = {"slots": "max(slot_in, slot_out, slot_addend) + 1"}

SlotField = Annotated[int, Number("", "0")]
AddendSlot = Annotated[int, Number("-1: no addend", "-1")]
Size = Annotated[int, Number("elements", "1", "LARGEST - 1")]
Positive = Annotated[int, Number("", "1")]
Flag = Annotated[int, Number("", "0", "1")]

State = Annotated[Tensor, Spec(Role.STATE, "INT32", "8", at_least=True)]
Token = Annotated[Tensor, Spec(Role.TOKEN, "INT8", "1", mark="mark_out")]
MarkField = Annotated[int, Number("", "NO_MARK")]
Scales = Annotated[Tensor, Spec(Role.SCALES, "FLOAT32", "slots", at_least=True)]
Ranges = Annotated[Tensor, Spec(Role.RANGES, "FLOAT32", "slots", at_least=True)]
OutputGradient = Annotated[
    Tensor, Spec(Role.GRADIENT, "INT8", "q_size", label="output gradient", mark="slot_in")
]
InputGradient = Annotated[
    Tensor, Spec(Role.GRADIENT, "INT8", "size", label="input gradient", mark="slot_out")
]
Mask = Annotated[
    Tensor | None,
    Spec(
        Role.MASK,
        "INT8 if mask_kind == MaskKind.ACTIVATION else UINT8",
        "size if mask_kind == MaskKind.ACTIVATION else (size + 7) // 8",
        present="mask_kind != MaskKind.NONE",
        mark="mark",
    ),
]
Addend = Annotated[
    Tensor | None,
    Spec(Role.ADDEND, "INT8", "size", present="slot_addend != -1", mark="slot_addend"),
]


@dataclass(frozen=True, kw_only=True)
class InStep(Tensors):
    """Inputs of an op that runs once in each step."""

    LAST = ("scales", "ranges", "state")
    state: State


@dataclass(frozen=True, kw_only=True)
class Scaled(InStep):
    """Inputs of an op that reads or writes a gradient."""

    scales: Scales


@dataclass(frozen=True, kw_only=True)
class Ranged(Scaled):
    """Inputs of an op that requantises the gradient it writes."""

    ranges: Ranges
