"""Makes one STREAM op of a run of forward layers.

The op works row by row: every layer keeps, in a ring buffer, just those rows of its output that a
later layer still needs, and computes each row once. Weights, biases and requantization constants
are read from flash. A run of a single layer is worth having too: it needs no RAM per channel, and
takes over a PAD that TFLite's SAME cannot express.

Two things come for nothing. Rows and columns of a kernel that hold zeros only (PAD-free forms of
models pad their kernels that way) are left out. And the output may be written over those rows of
the input that nobody reads any more, where the input is not needed otherwise.

What training needs of a layer is written in the same pass: its clamp mask, some of its channels, or
all of them, in an output of the op that takes the place of the ring.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tflm_train.backward_ops.fused_activation import clamp_of, why_not_activation
from tflm_train.backward_ops.rules import RULES
from tflm_train.graph import Op, Tensor
from tflm_train.ops import (
    MAX_STREAM_STAGES,
    STREAM_INPUT,
    AddFields,
    ChannelSave,
    ClampMask,
    OutputFields,
    SplitConv,
    SplitDepthwise,
    StageFields,
    StageKind,
    Stream,
)
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.geometry import Geometry
from tflm_train.rewriter.choose_variables import trainable_taps
from tflm_train.rewriter.fold_pad import is_spatial_pad, is_windowed, padded_geometry
from tflm_train.rewriter.split_layers import quantize_multiplier
from tflm_train.rewriter.stream_rows import plan_rows
from tflm_train.rewriter.training_graph import TrainOp

_ADD_LEFT_SHIFT = 20  # TFLM's, for int8
Taps = tuple[int, int, int, int]
"""The part of a kernel that is computed with: (y0, y1, x0, x1)."""


def can_stream(op: Op) -> bool:
    """Whether an op can be (part of) a stage."""
    if saving_params(op) is not None or is_spatial_pad(op):
        return True
    kind = stage_kind(op)
    if kind is None:
        return False
    if kind is StageKind.ADD:
        return _is_plain_add(op)
    if split_params(op) is not None:
        return len(op.input.shape) == len(op.output.shape) == 4
    bias = op.optional_input(2)
    if bias is not None and bias.type_name != "INT32":
        return False
    return RULES[op.name].why_not(op) is None


def stage_kind(op: Op) -> StageKind | None:
    """What stage computes an op; None where nothing does."""
    split = split_params(op)
    if split is not None:
        depthwise = isinstance(split, SplitDepthwise)
        return StageKind.DEPTHWISE if depthwise else StageKind.CONV
    row = builtin_of(op)
    return None if row is None else row.stage


def split_params(op: Op) -> SplitConv | SplitDepthwise | None:
    """The parameters of a layer that trains in part; None for other ops."""
    if isinstance(op, TrainOp) and isinstance(op.params, SplitConv | SplitDepthwise):
        return op.params
    return None


def saving_params(op: Op) -> ClampMask | ChannelSave | None:
    """The parameters of an op that only saves something of an activation; None for other ops."""
    if isinstance(op, TrainOp) and isinstance(op.params, ClampMask | ChannelSave):
        return op.params
    return None


@dataclass(frozen=True)
class Run:
    """Consecutive ops that can be one STREAM.

    Attributes:
      ops: The ops, among them PADs, clamp masks and channel saves.
      source: The only activation they read from outside.
      stages: What the STREAM computes, but for where the constants lie; `kept_list` counts the
        lists from 1.
      outputs: What it writes: the last stage's output, then masks and kept channels.
      lists: The channel lists that it reads.
      state: The state tensor where something is written for training only.
      taps: Of each layer the part of its kernel that is not zero; None: all of it.
      lead: How many bytes before the input the output must begin at least, to overwrite nothing but
        rows that are not read any more.
    """

    ops: tuple[Op, ...]
    source: Tensor
    stages: tuple[StageFields, ...]
    outputs: tuple[Tensor, ...]
    lists: tuple[Tensor, ...]
    state: Tensor | None
    taps: tuple[Taps | None, ...]
    lead: int

    @property
    def params(self) -> Stream:
        """The op's parameters."""
        return Stream(self.stages)

    @property
    def layers(self) -> list[Op]:
        """The ops that become stages."""
        return _layers(self.ops)

    @property
    def output(self) -> Tensor:
        """The last stage's output."""
        return self.outputs[0]


def nonzero_taps(ops: Sequence[Op]) -> dict[int, Taps]:
    """The part of each constant kernel that is not zero, by the op's id: (y0, y1, x0, x1).

    One that several layers share stays whole, so that they go on sharing it.
    """
    taps = {}
    uses = Counter(id(op.optional_input(1)) for op in ops)
    for op in ops:
        weights = op.optional_input(1)
        if is_windowed(op) and weights is not None and weights.data is not None:
            whole = (0, weights.shape[1], 0, weights.shape[2])
            taps[id(op)] = whole if uses[id(weights)] > 1 else trainable_taps(weights.data)
    return taps


class LayerFacts:
    """What many runs want to know of the same layers, found once.

    Attributes:
      taps: `nonzero_taps` of the layers.
    """

    def __init__(self, taps: Mapping[int, Taps]) -> None:
        """Knows nothing yet but the taps."""
        self.taps = taps
        self._pads: dict[int, bool] = {}
        self._stages: dict[int, _Fixed] = {}
        self._shapes: dict[tuple[int, int], tuple[Geometry, Taps | None]] = {}

    def is_pad(self, op: Op) -> bool:
        """`is_spatial_pad`."""
        if id(op) not in self._pads:
            self._pads[id(op)] = is_spatial_pad(op)
        return self._pads[id(op)]

    def stage(self, op: Op) -> _Fixed:
        """What the stage of a layer is in whichever run."""
        if id(op) not in self._stages:
            self._stages[id(op)] = _fixed(op)
        return self._stages[id(op)]

    def shape(self, op: Op, pad: Op | None) -> tuple[Geometry, Taps | None]:
        """Its geometry, behind a PAD that is part of the run, and what is used of its kernel."""
        key = (id(op), id(pad))
        if key not in self._shapes:
            whole = _geometry(op, pad)
            used = _used_taps(self.taps.get(id(op)), whole)
            self._shapes[key] = (_trimmed(whole, used), used)
        return self._shapes[key]


def find_run(
    ops: Sequence[Op], used_outside: set[int], facts: LayerFacts | None = None
) -> Run | None:
    """Describes a run of ops as one STREAM.

    Args:
      ops: Consecutive ops of which each satisfies `can_stream`.
      used_outside: Ids of the tensors that other ops or the model's outputs need.
      facts: What is known of the ops from other runs; None: nothing.

    Returns:
      The run; None where the ops read more than one activation, pass on a padded one, end in a PAD,
      or save of an activation what a STREAM cannot.
    """
    facts = LayerFacts(nonzero_taps(_layers(ops))) if facts is None else facts
    padding = [op for op in ops if facts.is_pad(op)]
    layers = [op for op in ops if not facts.is_pad(op) and saving_params(op) is None]
    if not layers or facts.is_pad(ops[-1]) or len(layers) > MAX_STREAM_STAGES:
        return None
    if any(id(op.output) in used_outside for op in padding):
        return None
    saved = _find_saved(layers, ops, used_outside)
    if saved is None:
        return None
    pads = {id(op.output): op for op in padding}
    made = {id(op.output): i for i, op in enumerate(layers)}
    sources: list[tuple[Tensor, ...]] = []
    for op in layers:
        pad = pads.get(id(op.input)) if pads and is_windowed(op) else None
        first = op.input if pad is None else pad.input
        second = op.inputs[1] if facts.stage(op).kind is StageKind.ADD else None
        sources.append((first,) if second is None else (first, second))
    if any(id(t) in pads for read in sources for t in read):
        return None  # an ADD or another PAD reads it
    outside = {id(t): t for read in sources for t in read if id(t) not in made}
    if len(outside) != 1:
        return None
    source = next(iter(outside.values()))
    shaped = [facts.shape(op, pads.get(id(op.input))) for op in layers]
    geometries, used = [geometry for geometry, _ in shaped], [taps for _, taps in shaped]
    indices = [tuple(made.get(id(t), STREAM_INPUT) for t in read) for read in sources]
    complete = [s != _Saved() for s in saved]
    reader = next(i for i, read in enumerate(indices) if STREAM_INPUT in read)
    plan = plan_rows(geometries, indices, complete, source.nbytes // geometries[reader].in_h)
    stages: list[StageFields] = []
    outputs = [layers[-1].output]
    lists: list[Tensor] = []
    for op, geometry, read, ring, kept in zip(
        layers, geometries, indices, plan.rings, saved, strict=True
    ):
        stage = _stage(facts.stage(op), geometry, read, ring)
        stages.append(_with_saved(stage, kept, op, outputs, lists))
    saving = [op for op in ops if isinstance(op, TrainOp) and saving_params(op) is not None]
    state = saving[0].params.inputs_of(saving[0]).state if saving else None
    return Run(
        tuple(ops),
        source,
        tuple(stages),
        tuple(outputs),
        tuple(lists),
        state,
        tuple(used),
        plan.lead,
    )


@dataclass(frozen=True)
class _Saved:
    """What is kept of a layer's output.

    Attributes:
      mask: The op that makes its clamp mask.
      channels: The op that copies some channels.
      is_whole: Whether all of it is needed outside.
    """

    mask: TrainOp | None = None
    channels: TrainOp | None = None
    is_whole: bool = False


def _find_saved(layers: list[Op], ops: Sequence[Op], used_outside: set[int]) -> list[_Saved] | None:
    saved = {
        id(op.output): _Saved(is_whole=op is not layers[-1] and id(op.output) in used_outside)
        for op in layers
    }
    for op in ops:
        if saving_params(op) is None:
            continue
        assert isinstance(op, TrainOp)
        before = saved.get(id(op.input))
        is_mask = isinstance(op.params, ClampMask)
        if before is None or (before.mask if is_mask else before.channels or before.is_whole):
            return None
        if isinstance(op.params, ChannelSave) and op.params.channels != op.input.shape[-1]:
            return None  # a FULLY_CONNECTED takes all elements for channels
        saved[id(op.input)] = (
            dataclasses.replace(before, mask=op)
            if is_mask
            else dataclasses.replace(before, channels=op)
        )
    return [saved[id(op.output)] for op in layers]


def _with_saved(
    stage: StageFields,
    saved: _Saved,
    op: Op,
    outputs: list[Tensor],
    lists: list[Tensor],
) -> StageFields:
    """The stage with its further outputs, which are appended, as are channel lists."""
    if saved.mask is not None:
        clamp = saved.mask.params
        assert isinstance(clamp, ClampMask)
        assert (clamp.act_min, clamp.act_max) == (stage.output.act_min, stage.output.act_max)
        outputs.append(saved.mask.output)
        stage = dataclasses.replace(stage, mask_output=len(outputs) - 1, mask_mark=clamp.mark_out)
    if saved.is_whole:
        outputs.append(op.output)
        stage = dataclasses.replace(
            stage,
            ring_rows=stage.geometry.out_h,
            kept_output=len(outputs) - 1,
            kept_channels=stage.geometry.out_c,
        )
    if saved.channels is not None:
        save = saved.channels.params
        assert isinstance(save, ChannelSave)
        outputs.append(saved.channels.output)
        lists.append(save.inputs_of(saved.channels).channels)
        stage = dataclasses.replace(
            stage,
            kept_output=len(outputs) - 1,
            kept_channels=save.kept,
            kept_list=len(lists),
            kept_mark=save.mark_out,
        )
    return stage


def _layers(ops: Sequence[Op]) -> list[Op]:
    return [op for op in ops if not is_spatial_pad(op) and saving_params(op) is None]


def _geometry(op: Op, pad: Op | None) -> Geometry:
    split = split_params(op)
    if split is not None:
        return split.geometry
    if stage_kind(op) is not StageKind.ADD:
        return padded_geometry(op, pad)
    _, height, width, channels = op.output.shape
    return Geometry.from_options((height, width, channels), channels, (1, 1))


def _used_taps(taps: Taps | None, geometry: Geometry) -> Taps | None:
    """What to keep of a kernel: leading zeros stay where there is no padding to take them from."""
    if taps is None:
        return None
    y0, y1, x0, x1 = taps
    y0 = min(y0, geometry.pad_t // geometry.dil_h)
    x0 = min(x0, geometry.pad_l // geometry.dil_w)
    used = (y0, y1, x0, x1)
    return None if used == (0, geometry.k_h, 0, geometry.k_w) else used


def _trimmed(geometry: Geometry, taps: Taps | None) -> Geometry:
    if taps is None:
        return geometry
    y0, y1, x0, x1 = taps
    return dataclasses.replace(
        geometry,
        k_h=y1 - y0,
        k_w=x1 - x0,
        pad_t=geometry.pad_t - y0 * geometry.dil_h,
        pad_l=geometry.pad_l - x0 * geometry.dil_w,
    )


@dataclass(frozen=True)
class _Fixed:
    """What a stage is in whichever run."""

    kind: StageKind
    output: OutputFields
    columns: int
    add: AddFields


def _fixed(op: Op) -> _Fixed:
    split, kind = split_params(op), stage_kind(op)
    assert kind is not None
    if split is not None:
        return _Fixed(kind, split.output, split.kept, AddFields())
    clamp = clamp_of(op)
    act_min, act_max = (-128, 127) if clamp is None else (clamp.act_min, clamp.act_max)
    output = OutputFields(op.input.zero_point, op.output.zero_point, act_min, act_max)
    return _Fixed(kind, output, 0, _add_fields(op) if kind is StageKind.ADD else AddFields())


def _stage(fixed: _Fixed, geometry: Geometry, read: tuple[int, ...], ring: int) -> StageFields:
    is_depthwise = fixed.kind is StageKind.DEPTHWISE
    return StageFields(
        fixed.kind,
        geometry,
        fixed.output,
        geometry.out_c // geometry.in_c if is_depthwise else 1,
        read[0],
        read[1] if fixed.kind is StageKind.ADD else STREAM_INPUT,
        ring,
        add=fixed.add,
        columns=fixed.columns,
    )


def _is_plain_add(op: Op) -> bool:
    tensors = [*op.inputs, op.output]
    for t in tensors:
        if t is None or t.type_name != "INT8" or t.quantization is None or t.data is not None:
            return False
        if t.shape != op.output.shape or len(t.shape) != 4 or t.shape[0] != 1:
            return False
    return why_not_activation(op) is None and all(real < 1 for real in _add_scales(op))


def _add_scales(op: Op) -> tuple[float, float, float]:
    """TFLM's `CalculateOpDataAdd`: what scales the first input, the second and the sum."""
    second = op.inputs[1]
    assert second is not None
    twice_max = 2 * max(op.input.scale, second.scale)
    total = twice_max / ((1 << _ADD_LEFT_SHIFT) * op.output.scale)
    return op.input.scale / twice_max, second.scale / twice_max, total


def _add_fields(op: Op) -> AddFields:
    second = op.inputs[1]
    assert second is not None
    scaled = [number for real in _add_scales(op) for number in quantize_multiplier(real)]
    return AddFields(second.zero_point, *scaled)
