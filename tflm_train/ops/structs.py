"""Parts that the parameters of several ops share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from tflm_train.ops.constants import NO_MARK, MaskKind
from tflm_train.ops.fields import Number, Rule, Struct, terms
from tflm_train.ops.geometry import Geometry

ZeroPoint = Annotated[int, Number("", "-128", "127")]
Shift = Annotated[int, Number("", "-31", "0")]
Multiplier = Annotated[int, Number("", "0", "LARGEST")]


@dataclass(frozen=True)
class MaskFields(Struct):
    """Clamp mask of the tensor whose gradient is written."""

    CPP: ClassVar[str] = "MaskParams"
    mask_kind: Annotated[int, Number("MaskKind", "MaskKind.NONE", "MaskKind.BITS")] = MaskKind.NONE
    act_min: Annotated[int, Number("quantised clamp range", "-128", "act_max")] = -128
    act_max: Annotated[int, Number("", "-128", "127")] = 127
    mark: Annotated[int, Number("of the bits", "NO_MARK")] = NO_MARK


@dataclass(frozen=True)
class UpdateFields(Struct):
    """What a weight update needs beside the geometry."""

    CPP: ClassVar[str] = "UpdateParams"
    slot: Annotated[int, Number("scale slot of the gradient", "0")]
    layer: Annotated[int, Number("key of the random rounding")]
    x_zero_point: Annotated[int, Number("of the forward input", "-128", "127")]
    residual_bits: Annotated[int, Number("8: to nearest; 4 and 0: random rounding", "0", "8")]
    gain_shift: Annotated[int, Number("of the gradient sum", "0", "MAX_GAIN_SHIFT")]
    tap_y0: Annotated[int, Number("trained taps, half open", "0", "tap_y1 - 1")]
    tap_y1: Annotated[int, Number("", "1", "k_h")]
    tap_x0: Annotated[int, Number("", "0", "tap_x1 - 1")]
    tap_x1: Annotated[int, Number("", "1", "k_w")]
    row_channels: Annotated[int, Number("last dimension of the whole weights", "row", "1 << 20")]
    mark_x: Annotated[int, Number("of the saved channels of the layer's input", "NO_MARK")] = (
        NO_MARK
    )
    mark_grad: Annotated[int, Number("of the gradient, or its saved channels", "NO_MARK")] = NO_MARK
    mark_after: Annotated[
        int, Number("of what must be written with the old weights", "NO_MARK")
    ] = NO_MARK
    mark_out: Annotated[int, Number("of the token", "NO_MARK")] = NO_MARK


@dataclass(frozen=True)
class RuleFields(Struct):
    """What an update rule adds to plain SGD."""

    CPP: ClassVar[str] = "RuleParams"
    steps: Annotated[int, Number("samples that make one step of the weights", "1", "1 << 15")] = 1
    weight_decay: Annotated[
        float, Number("times the learning rate: what a step takes off", "0", "FINITE")
    ] = 0.0
    clip_norm: Annotated[
        float, Number("largest norm of the gradient; 0: no limit", "0", "FINITE")
    ] = 0.0
    clip_x: Annotated[
        float, Number("min(taps, positions) * s_x^2; 0: only the bias trains", "0", "FINITE")
    ] = 0.0
    clip_bias: Annotated[
        float, Number("output positions where the bias trains, else 0", "0", "FINITE")
    ] = 0.0


PLAIN_SGD = RuleFields()


@dataclass(frozen=True)
class OutputFields(Struct):
    """Quantization of a forward layer's input and output."""

    CPP: ClassVar[str] = "OutputParams"
    x_zero_point: ZeroPoint
    y_zero_point: ZeroPoint
    act_min: Annotated[int, Number("quantised clamp range", "-128", "127")]
    act_max: Annotated[int, Number("", "act_min", "127")]


@dataclass(frozen=True)
class AddFields(Struct):
    """What ADD needs beside OUTPUT, as TFLM derives it.

    The first input, the second (the addend) and the sum are each scaled.
    """

    CPP: ClassVar[str] = "AddParams"
    addend_zero_point: ZeroPoint = 0
    x_multiplier: Multiplier = 0
    x_shift: Shift = 0
    addend_multiplier: Multiplier = 0
    addend_shift: Shift = 0
    y_multiplier: Multiplier = 0
    y_shift: Shift = 0


@dataclass(frozen=True)
class StageFields(Struct):
    """One layer of a STREAM."""

    CPP: ClassVar[str] = "StreamStage"
    TERMS = terms(
        is_add="stage_kind == StageKind.ADD",
        is_conv="stage_kind == StageKind.CONV",
        most="out_c if stage_kind == StageKind.DEPTHWISE else 1",
        weights="out_c * k_h * k_w * (in_c - columns if is_conv else 1)",
    )
    RULES = (
        Rule(
            "in_c * multiplier",
            "in_c * multiplier",
            "1 if is_conv else out_c",
            "LARGEST if is_conv else out_c",
        ),
        Rule("weights", "weights", "1", "1 << 26"),
        Rule("elements of a stage", "out_h * out_w * out_c", "1", "1 << 26"),
        Rule("elements of a patch", "k_h * k_w * in_c", "1", "1 << 26"),
        Rule("out_h of an ADD", "out_h if is_add else in_h", "in_h", "in_h"),
        Rule("out_w of an ADD", "out_w if is_add else in_w", "in_w", "in_w"),
        Rule("k_h of an ADD", "k_h if is_add else 1", "1", "1"),
        Rule("stride_h of an ADD", "stride_h if is_add else 1", "1", "1"),
        Rule("pad_t of an ADD", "pad_t if is_add else 0", "0", "0"),
    )
    stage_kind: Annotated[int, Number("StageKind", "StageKind.CONV", "StageKind.ADD")]
    geometry: Annotated[Geometry, Number("of an ADD: a 1x1 window")]
    output: OutputFields
    multiplier: Annotated[int, Number("out_c / in_c of a depthwise stage, else 1", "1", "most")]
    source: Annotated[int, Number("the stage that it reads; -1: the op's input")]
    addend: Annotated[int, Number("the stage that an ADD adds to it; -1: the op's input")]
    ring_rows: Annotated[
        int, Number("rows of the output that are kept; all of the last stage's", "1", "out_h")
    ]
    constants: Annotated[
        int, Number("where its own begin among the op's, in bytes; 0 of an ADD")
    ] = 0
    add: Annotated[AddFields, Number("zeros unless the stage is an ADD")] = AddFields()
    mask_output: Annotated[
        int, Number("output: a bit per element, 1: strictly inside the clamp range; 0: none")
    ] = 0
    kept_output: Annotated[int, Number("output: some channels of all rows, or all; 0: none")] = 0
    kept_channels: Annotated[int, Number("how many; out_c: the rows lie there, not in a ring")] = 0
    kept_list: Annotated[int, Number("input: which channels, int16; 0 when it is all of them")] = 0
    weights_input: Annotated[int, Number("input; 0: they are among the constants")] = 0
    bias_input: Annotated[int, Number("likewise; -1: no bias")] = 0
    columns: Annotated[
        int,
        Number(
            "kept channels of a layer that trains in part, 0: the weights are whole",
            "0",
            "0 if is_add else (in_c if is_conv else out_c) - 1",
        ),
    ] = 0
    columns_input: Annotated[int, Number("input: the trained columns; 0: none")] = 0
    channels_input: Annotated[int, Number("input: the list of channels; 0: none")] = 0
    mask_mark: Annotated[int, Number("of the mask")] = NO_MARK
    kept_mark: Annotated[int, Number("of kept channels, where they are not all")] = NO_MARK

    @property
    def is_kept_whole(self) -> bool:
        """Whether all rows lie in an output of the op instead of a ring buffer."""
        return self.kept_output != 0 and self.kept_channels == self.geometry.out_c

    @property
    def trains(self) -> bool:
        """Whether the stage writes something for the backward pass only."""
        return self.mask_output != 0 or self.kept_list != 0


@dataclass(frozen=True)
class ProductAxis(Struct):
    """One axis of a tensor that PRODUCT_GRAD walks, with the strides in elements."""

    CPP: ClassVar[str] = "ProductAxis"
    size: Annotated[int, Number("", "1", "LARGEST - 1")] = 1
    q_stride: Annotated[
        int, Number("in the incoming gradient; 0: the same for all positions", "0")
    ] = 0
    x_stride: Annotated[int, Number("in the factor", "0")] = 0


@dataclass(frozen=True)
class MoveAxis(Struct):
    """One axis of the result of MOVE_GRAD.

    Position i holds what the incoming gradient has at o = (i - begin) / step when that is whole and
    in [0, count), else 0.
    """

    CPP: ClassVar[str] = "MoveAxis"
    size: Annotated[int, Number("", "1", "LARGEST - 1")] = 1
    begin: Annotated[int, Number("", "-(1 << 30)", "1 << 30")] = 0
    step: Annotated[int, Number("", "1", "1 << 30")] = 1
    count: Annotated[int, Number("", "1", "1 << 30")] = 1
    stride: Annotated[int, Number("elements in the incoming gradient per o; may be negative")] = 0


PARTS: tuple[type[Struct], ...] = (
    Geometry,
    MaskFields,
    OutputFields,
    AddFields,
    ProductAxis,
    MoveAxis,
    StageFields,
)
"""Structs whose limits name nothing outside them: one table of checks serves all ops."""
