"""The ops that take the place of forward layers; they run whether training or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tflm_train.graph import Tensor
from tflm_train.ops.declaration import TrainingOp, terms
from tflm_train.ops.fields import Number
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.structs import OutputFields, StageFields
from tflm_train.ops.tensors import Role, Spec, Tensors
from tflm_train.ops.training.common import CONV_PARTS, DEPTHWISE_PARTS, WHOLE_GROUPS, WINDOWED


@dataclass(frozen=True, kw_only=True)
class SplitInputs(Tensors):
    """Of SPLIT_CONV and SPLIT_DEPTHWISE."""

    x: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "size", label="input")]
    weights: Annotated[Tensor, Spec(Role.WEIGHTS, "INT8", "weights", label="constant weights")]
    columns: Annotated[Tensor, Spec(Role.WEIGHTS, "INT8", "columns")]
    channels: Annotated[
        Tensor,
        Spec(
            Role.CONSTANT,
            "INT16",
            "listed",
            high="channels - 1",
            ascending="first_run",
        ),
    ]
    bias: Annotated[Tensor | None, Spec(Role.WEIGHTS, "INT32", "out_c", present="FREE")]
    multipliers: Annotated[Tensor, Spec(Role.CONSTANT, "INT32", "out_c", high="LARGEST")]
    shifts: Annotated[Tensor, Spec(Role.CONSTANT, "INT32", "out_c", low="-31", high="30")]


@dataclass(frozen=True, kw_only=True)
class LayerOutputs(Tensors):
    """Of SPLIT_CONV and SPLIT_DEPTHWISE."""

    y: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "q_size", label="output")]


@dataclass(frozen=True)
class SplitConv(TrainingOp[SplitInputs, LayerOutputs], kind=13):
    """Forward CONV_2D or FULLY_CONNECTED whose weights are a constant rest and trained columns."""

    TERMS = terms(WINDOWED, CONV_PARTS)
    geometry: Geometry
    output: OutputFields
    kept: Annotated[int, Number("input channels that train", "1", "in_c - 1")]


@dataclass(frozen=True)
class SplitDepthwise(TrainingOp[SplitInputs, LayerOutputs], kind=14):
    """Forward DEPTHWISE_CONV_2D of which some channels' weights train."""

    TERMS = terms(WINDOWED, DEPTHWISE_PARTS)
    RULES = (WHOLE_GROUPS,)
    geometry: Geometry
    output: OutputFields
    kept: Annotated[int, Number("output channels that train", "1", "out_c - 1")]
    multiplier: Annotated[int, Number("out_c / in_c", "1", "out_c")]


@dataclass(frozen=True, kw_only=True)
class StreamInputs(Tensors):
    """Of STREAM.

    `own` are tensors that the stages name: of each its bias, weights, columns and channels where
    they are tensors of their own, then the channel lists of the stages; then the state where a
    stage has a mask or a list.
    """

    x: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", label="input")]
    constants: Annotated[Tensor, Spec(Role.FACTORS, "INT8")]
    own: Annotated[tuple[Tensor, ...], Spec(Role.WEIGHTS, "", present="")]


@dataclass(frozen=True, kw_only=True)
class StreamOutputs(Tensors):
    """Of STREAM: the last stage's output, then of each stage its mask and kept channels."""

    y: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", label="output")]
    saved: Annotated[tuple[Tensor, ...], Spec(Role.RESULT, "", present="")]


@dataclass(frozen=True)
class Stream(TrainingOp[StreamInputs, StreamOutputs], kind=50):
    """A run of forward layers a few rows at a time; as many stages as the header's size says."""

    stages: tuple[StageFields, ...]
