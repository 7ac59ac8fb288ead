"""The parameters of the training custom ops, byte for byte as `spec/op_params.h` has them.

`docs/NUMERICS.md`, section 4, is the specification; a test compares this file with the C++ structs.
Every field is 4 bytes, little endian, after an 8-byte header (kind, version, size).
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tflm_train.backward_ops.geometry import Geometry
from tflm_train.backward_ops.loss import LossKind, TargetKind
from tflm_train.backward_ops.numerics import MaskKind as MaskKind
from tflm_train.graph import TRAINING_OP_PREFIX

VERSION = 1
OP_PREFIX = TRAINING_OP_PREFIX
EXTRA_INPUTS = ("train/label", "train/learning_rate")
"""What a rewrite adds after the original inputs; a model that learns its input has no label."""
EXTRA_OUTPUTS = ("train/loss", "train/state")
"""What it adds after the original outputs."""
STATE_MAGIC = 0x4E525454
STATE_WORDS = 16
BLOB_MAGIC = 0x56535454
BLOB_VERSION = 1
BLOB_HEADER = struct.Struct("<IHHQIIII")
"""magic, version, header bytes, fingerprint, step, seed, payload bytes, CRC-32."""

_HEADER = struct.Struct("<HHI")


class StateWord(enum.IntEnum):
    """Index of each field in the int32 `train/state` tensor."""

    MAGIC = 0
    VERSION = 1
    TRAINING = 2
    STEP = 3
    SEED = 4
    LEARNING_RATE = 5
    FINGERPRINT_LO = 6
    FINGERPRINT_HI = 7
    VARIABLE_COUNT = 10
    PAYLOAD_BYTES = 11


@dataclass(frozen=True)
class MaskFields:
    """The clamp mask a gradient is written through."""

    mask_kind: int = MaskKind.NONE
    act_min: int = -128
    act_max: int = 127


@dataclass(frozen=True)
class UpdateFields:
    """What a weight update needs beside the geometry."""

    slot: int
    layer: int
    x_zero_point: int
    residual_bits: int
    gain_shift: int
    tap_y0: int
    tap_y1: int
    tap_x0: int
    tap_x1: int
    row_channels: int


@dataclass(frozen=True)
class OutputFields:
    """Quantization of a forward layer's input and output."""

    x_zero_point: int
    y_zero_point: int
    act_min: int
    act_max: int


@dataclass(frozen=True)
class AddFields:
    """The requantization of an ADD: of its first input, its second (the addend) and the sum."""

    addend_zero_point: int = 0
    x_multiplier: int = 0
    x_shift: int = 0
    addend_multiplier: int = 0
    addend_shift: int = 0
    y_multiplier: int = 0
    y_shift: int = 0


class StageKind(enum.IntEnum):
    """What a stage of a STREAM computes."""

    CONV = 0
    DEPTHWISE = 1
    ADD = 2


STREAM_INPUT = -1
"""As a stage's source or addend: the op's input."""

MAX_STREAM_STAGES = 64


@dataclass(frozen=True)
class StageFields:
    """One layer of a STREAM; `docs/NUMERICS.md` says what the fields mean."""

    stage_kind: int
    geometry: Geometry
    output: OutputFields
    multiplier: int
    source: int
    addend: int
    ring_rows: int
    constants: int = 0
    add: AddFields = AddFields()
    mask_output: int = 0
    kept_output: int = 0
    kept_channels: int = 0
    kept_list: int = 0
    weights_input: int = 0
    bias_input: int = 0
    columns: int = 0
    columns_input: int = 0
    channels_input: int = 0

    @property
    def is_kept_whole(self) -> bool:
        """Whether all rows lie in an output of the op instead of a ring buffer."""
        return self.kept_output != 0 and self.kept_channels == self.geometry.out_c

    @property
    def trains(self) -> bool:
        """Whether the stage writes something for the backward pass only."""
        return self.mask_output != 0 or self.kept_list != 0


class FactorKind(enum.IntEnum):
    """What PRODUCT_GRAD multiplies the incoming gradient by."""

    CONSTANT = 0
    ACTIVATION = 1
    TABLE = 2
    SIGN = 3


@dataclass(frozen=True)
class ProductAxis:
    """An axis that PRODUCT_GRAD walks; strides in elements, 0 along a broadcast axis."""

    size: int = 1
    q_stride: int = 0
    x_stride: int = 0


@dataclass(frozen=True)
class MoveAxis:
    """An axis of MOVE_GRAD's result: position `i` is `o = (i - begin) / step` of the gradient."""

    size: int = 1
    begin: int = 0
    step: int = 1
    count: int = 1
    stride: int = 0


def _unsigned(**kwargs: Any) -> Any:
    return field(metadata={"format": "I"}, **kwargs)


@dataclass(frozen=True)
class OpParams:
    """Base of all parameter structs."""

    KIND: ClassVar[int]
    OP: ClassVar[str]

    def pack(self) -> bytes:
        """The struct's bytes: a custom op's custom_options."""
        layout = _layout(type(self), self._repeats())
        values: list[Any] = []
        _collect(self, values)
        size = _HEADER.size + layout.size
        return _HEADER.pack(self.KIND, VERSION, size) + layout.pack(*values)

    def _repeats(self) -> int:
        """How often the struct's repeated part follows its fixed one."""
        return 1

    @property
    def custom_name(self) -> str:
        """The name the op is registered under."""
        return OP_PREFIX + self.OP


@dataclass(frozen=True)
class RestoreParams(OpParams):
    """Copies factory values into the variables; owns the state tensor."""

    KIND = 1
    OP = "RESTORE"
    fingerprint_lo: int = _unsigned()
    fingerprint_hi: int = _unsigned()
    seed: int = _unsigned()
    variable_count: int = _unsigned()


@dataclass(frozen=True)
class LossParams(OpParams):
    """A loss and its gradient."""

    KIND = 2
    OP = "LOSS"
    classes: int
    zero_point: int
    scale: float
    slot: int
    loss_kind: int = LossKind.SOFTMAX_CROSS_ENTROPY
    target_kind: int = TargetKind.INDEX
    keep: float = 1.0
    spread: float = 0.0
    target_scale: float = 1.0
    target_zero_point: int = 0


@dataclass(frozen=True)
class ClampMaskParams(OpParams):
    """One bit per element: not clamped by the fused activation."""

    KIND = 3
    OP = "CLAMP_MASK"
    size: int
    act_min: int
    act_max: int


@dataclass(frozen=True)
class ConvInputGradParams(OpParams):
    """Input gradient of CONV_2D and FULLY_CONNECTED."""

    KIND = 4
    OP = "CONV_INPUT_GRAD"
    geometry: Geometry
    mask: MaskFields
    slot_in: int
    slot_out: int
    slot_addend: int
    unit_scale: float
    group: int
    group_shift: int
    kept: int
    transposed: int = 0


@dataclass(frozen=True)
class DepthwiseInputGradParams(OpParams):
    """Input gradient of DEPTHWISE_CONV_2D."""

    KIND = 5
    OP = "DEPTHWISE_INPUT_GRAD"
    geometry: Geometry
    mask: MaskFields
    slot_in: int
    slot_out: int
    slot_addend: int
    unit_scale: float
    multiplier: int
    kept: int


@dataclass(frozen=True)
class PoolGradParams(OpParams):
    """Input gradient of AVERAGE_POOL_2D and spatial MEAN."""

    KIND = 6
    OP = "POOL_GRAD"
    geometry: Geometry
    mask: MaskFields
    slot_in: int
    slot_out: int
    uniform: int
    count: int


@dataclass(frozen=True)
class AccumulateParams(OpParams):
    """Sum of up to four gradients of one tensor."""

    KIND = 8
    OP = "ACCUMULATE"
    size: int
    mask: MaskFields
    count: int
    slot_in0: int
    slot_in1: int
    slot_in2: int
    slot_in3: int
    slot_out: int


@dataclass(frozen=True)
class ConvUpdateParams(OpParams):
    """Weight gradient and update in place, CONV_2D and FULLY_CONNECTED."""

    KIND = 9
    OP = "CONV_UPDATE"
    geometry: Geometry
    update: UpdateFields
    transposed: int = 0


@dataclass(frozen=True)
class DepthwiseUpdateParams(OpParams):
    """Weight gradient and update in place, DEPTHWISE_CONV_2D."""

    KIND = 10
    OP = "DEPTHWISE_UPDATE"
    geometry: Geometry
    update: UpdateFields
    multiplier: int


@dataclass(frozen=True)
class BiasUpdateParams(OpParams):
    """Bias gradient and update in place."""

    KIND = 11
    OP = "BIAS_UPDATE"
    positions: int
    channels: int
    slot: int


@dataclass(frozen=True)
class ChannelSaveParams(OpParams):
    """Keeps only the trained channels of an activation."""

    KIND = 12
    OP = "CHANNEL_SAVE"
    positions: int
    channels: int
    kept: int


@dataclass(frozen=True)
class SplitConvParams(OpParams):
    """Forward CONV_2D or FULLY_CONNECTED whose weights are a constant rest and trained columns."""

    KIND = 13
    OP = "SPLIT_CONV"
    geometry: Geometry
    output: OutputFields
    kept: int


@dataclass(frozen=True)
class SplitDepthwiseParams(OpParams):
    """Forward DEPTHWISE_CONV_2D of which some channels' weights train."""

    KIND = 14
    OP = "SPLIT_DEPTHWISE"
    geometry: Geometry
    output: OutputFields
    kept: int
    multiplier: int


@dataclass(frozen=True)
class StreamParams(OpParams):
    """A run of forward layers a few rows at a time; as many stages as the header's size says."""

    KIND = 50
    OP = "STREAM"
    stages: tuple[StageFields, ...]

    def _repeats(self) -> int:
        return len(self.stages)


@dataclass(frozen=True)
class ProductGradParams(OpParams):
    """Sum over broadcast axes of the gradient times a factor."""

    KIND = 20
    OP = "PRODUCT_GRAD"
    kept0: ProductAxis
    kept1: ProductAxis
    kept2: ProductAxis
    kept3: ProductAxis
    reduced0: ProductAxis
    reduced1: ProductAxis
    reduced2: ProductAxis
    q_size: int
    x_size: int
    factor_kind: int
    factor: int
    mask: MaskFields
    slot_in: int
    slot_out: int
    slot_addend: int
    unit_scale: float


@dataclass(frozen=True)
class MoveGradParams(OpParams):
    """Input gradient of an op that only moves elements."""

    KIND = 21
    OP = "MOVE_GRAD"
    axis0: MoveAxis
    axis1: MoveAxis
    axis2: MoveAxis
    axis3: MoveAxis
    axis4: MoveAxis
    offset: int
    q_size: int
    mask: MaskFields
    slot_in: int
    slot_out: int
    divisor: int


@dataclass(frozen=True)
class MaxPoolGradParams(OpParams):
    """Input gradient of MAX_POOL_2D and spatial REDUCE_MAX."""

    KIND = 22
    OP = "MAX_POOL_GRAD"
    geometry: Geometry
    mask: MaskFields
    slot_in: int
    slot_out: int


@dataclass(frozen=True)
class ResizeGradParams(OpParams):
    """Input gradient of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""

    KIND = 23
    OP = "RESIZE_GRAD"
    in_h: int
    in_w: int
    channels: int
    out_h: int
    out_w: int
    mask: MaskFields
    slot_in: int
    slot_out: int
    slot_addend: int


@dataclass(frozen=True)
class L2NormGradParams(OpParams):
    """Input gradient of L2_NORMALIZATION of one vector."""

    KIND = 24
    OP = "L2_NORM_GRAD"
    size: int
    x_zero_point: int
    x_scale: float
    mask: MaskFields
    slot_in: int
    slot_out: int


ALL_PARAMS: tuple[type[OpParams], ...] = (
    RestoreParams,
    LossParams,
    ClampMaskParams,
    ConvInputGradParams,
    DepthwiseInputGradParams,
    PoolGradParams,
    AccumulateParams,
    ConvUpdateParams,
    DepthwiseUpdateParams,
    BiasUpdateParams,
    ChannelSaveParams,
    SplitConvParams,
    SplitDepthwiseParams,
    StreamParams,
    ProductGradParams,
    MoveGradParams,
    MaxPoolGradParams,
    ResizeGradParams,
    L2NormGradParams,
)


def unpack(data: bytes, name: str | None = None) -> OpParams:
    """Reads a struct back.

    Args:
      data: custom_options of one of our ops.
      name: The op's name, when it is to be checked.

    Returns:
      The parameters.

    Raises:
      ValueError: Unknown kind, version or size, or another op's.
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"custom_options of {len(data)} bytes hold no header")
    kind, version, size = _HEADER.unpack_from(data)
    cls = next((c for c in ALL_PARAMS if kind == c.KIND), None)
    if cls is None or version != VERSION:
        raise ValueError(f"unknown training op kind {kind}, version {version}")
    if name not in (None, OP_PREFIX + cls.OP):
        raise ValueError(f"its custom_options are those of {OP_PREFIX}{cls.OP}")
    repeats = _repeats_of(cls, len(data))
    layout = _layout(cls, repeats)
    if size != len(data) or size != _HEADER.size + layout.size:
        raise ValueError(f"{cls.OP}: {len(data)} bytes, expected {_HEADER.size + layout.size}")
    values = list(layout.unpack_from(data, _HEADER.size))
    built = _build(cls, values)
    assert isinstance(built, OpParams)
    return built


def field_offsets(cls: type[OpParams]) -> list[tuple[str, int]]:
    """(name, byte offset) of every 4-byte field, in the struct's order; a repeated part once."""
    names: list[str] = []

    def visit(node: Any) -> None:
        for f in dataclasses.fields(node):
            nested = _nested(f)
            if nested is None:
                names.append(f.name)
            else:
                visit(nested)

    visit(cls)
    return [(name, _HEADER.size + 4 * i) for i, name in enumerate(names)]


_NESTED: dict[str, type[Any]] = {
    "Geometry": Geometry,
    "MaskFields": MaskFields,
    "UpdateFields": UpdateFields,
    "OutputFields": OutputFields,
    "AddFields": AddFields,
    "ProductAxis": ProductAxis,
    "MoveAxis": MoveAxis,
}
_REPEATED: dict[str, type[Any]] = {"tuple[StageFields, ...]": StageFields}


def _nested(f: dataclasses.Field[Any]) -> type[Any] | None:
    """The struct that a field, or every element of a repeated field, is."""
    return _NESTED.get(str(f.type)) or _REPEATED.get(str(f.type))


def _repeats_of(cls: type[Any], size: int) -> int:
    """How often the repeated part of a struct of `size` bytes fits in, at least once."""
    once = _layout(cls).size
    repeated = _layout(cls, 2).size - once
    return 1 if repeated == 0 else max(1, (size - _HEADER.size - once) // repeated + 1)


def _layout(cls: type[Any], repeats: int = 1) -> struct.Struct:
    def codes(node: type[Any]) -> str:
        out = ""
        for f in dataclasses.fields(node):
            nested = _nested(f)
            if nested is not None:
                out += codes(nested) * (repeats if str(f.type) in _REPEATED else 1)
            else:
                out += f.metadata.get("format", "f" if f.type == "float" else "i")
        return out

    return struct.Struct("<" + codes(cls))


def _collect(node: Any, values: list[Any]) -> None:
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if isinstance(value, tuple):
            for element in value:
                _collect(element, values)
        elif dataclasses.is_dataclass(value):
            _collect(value, values)
        else:
            values.append(value)


def _build(cls: type[Any], values: list[Any]) -> Any:
    kwargs: dict[str, Any] = {}
    for f in dataclasses.fields(cls):
        nested = _nested(f)
        if nested is None:
            kwargs[f.name] = values.pop(0)
        elif str(f.type) in _REPEATED:
            # The repeated part is the last one.
            kwargs[f.name] = ()
            while values:
                kwargs[f.name] += (_build(nested, values),)
        else:
            kwargs[f.name] = _build(nested, values)
    return cls(**kwargs)
