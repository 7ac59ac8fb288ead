"""Emits a run of layers as one STREAM op.

TFLM keeps 12 bytes of RAM for every tensor, constant or not. So the constants of all stages lie in
one tensor; only what trains, and weights that the backward pass reads as well, are inputs of their
own.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tflm_train.model import Graph, Op, Tensor
from tflm_train.model.layers import Layer
from tflm_train.ops import (
    STREAM_INPUT,
    OutputFields,
    StageFields,
    StageKind,
    Stream,
    StreamInputs,
    StreamOutputs,
)
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.target import align
from tflm_train.ops.tensors import place_of
from tflm_train.rewriter.origins import origins_of
from tflm_train.rewriter.split_layers import layer_multipliers, quantize_multiplier
from tflm_train.rewriter.stream import Run, Taps, split_params
from tflm_train.rewriter.training_graph import TrainOp

_ALIGNMENT = 16
_NO_BIAS = -1
_GATE_WEIGHT = 64


def make_stream(graph: Graph, run: Run, source: Tensor | None = None) -> TrainOp:
    """Makes the op of a run; its constants are added to the graph.

    Args:
      graph: Still with the ops of the run.
      run: What to make an op of.
      source: `train/source` for a frozen run; None for one that always runs.

    Returns:
      The op.
    """
    constants = bytearray()
    own: list[Tensor] = []
    stages: list[StageFields] = []
    for op, taps, stage in zip(run.layers, run.taps, run.stages, strict=True):
        if stage.stage_kind != StageKind.ADD:
            stage = _with_constants(graph, op, taps, stage, constants, own)
        stages.append(stage)
    # One without a meaning where there are none: inputs that are left out may get lost.
    data = np.frombuffer(bytes(constants or b"\0"), np.int8)
    name = f"constants/{run.layers[0].output.short_name}"
    first_list = _place(own)
    own += run.lists
    for index, stage in enumerate(stages):
        if stage.kept_list != 0:
            at = first_list + stage.kept_list - 1
            stages[index] = dataclasses.replace(stage, kept_list=at)
    if run.state is not None:
        own.append(run.state)
    if source is not None:
        assert run.state is None, "what is frozen keeps nothing for the backward pass"
        own.append(source)
    inputs = StreamInputs(
        x=run.source, constants=graph.add(Tensor.constant(name, data)), own=tuple(own)
    )
    last, *saved = run.outputs
    op = TrainOp.make(Stream(tuple(stages)), inputs, StreamOutputs(y=last, saved=tuple(saved)))
    op.origins = origins_of(run)
    return op


def make_gate(graph: Graph, x: Tensor, y: Tensor, source: Tensor) -> TrainOp:
    """Makes a STREAM that copies a tensor, and does not where the source is the latent.

    It is a depthwise layer of one tap whose weights of 64 a multiplier of 1/64 takes back, exactly.

    Args:
      graph: Its constants are added to it.
      x: int8, of any shape.
      y: A tensor of the same size and quantization.
      source: `train/source`.

    Returns:
      The op.
    """
    channels = math.gcd(x.size, _ALIGNMENT)
    multiplier, shift = quantize_multiplier(1 / _GATE_WEIGHT)
    geometry = Geometry.from_options((1, x.size // channels, channels), channels, (1, 1))
    stage = StageFields(
        StageKind.DEPTHWISE,
        geometry,
        OutputFields(x.zero_point, x.zero_point, -128, 127),
        1,
        STREAM_INPUT,
        STREAM_INPUT,
        ring_rows=1,
        bias_input=_NO_BIAS,
    )
    constants = bytearray()
    _append(constants, np.repeat(np.array([multiplier, shift], np.int32), channels).tobytes())
    _append(constants, np.full(channels, _GATE_WEIGHT, np.int8).tobytes())
    data = np.frombuffer(bytes(constants), np.int8)
    name = f"constants/{y.short_name}"
    inputs = StreamInputs(x=x, constants=graph.add(Tensor.constant(name, data)), own=(source,))
    op = TrainOp.make(Stream((stage,)), inputs, StreamOutputs(y=y, saved=()))
    op.origins = ()
    return op


def _place(own: list[Tensor]) -> int:
    """Where the next tensor of a stage's own will be among the op's inputs."""
    return place_of(StreamInputs, "own") + len(own)


def _with_constants(
    graph: Graph,
    op: Op,
    taps: Taps | None,
    stage: StageFields,
    constants: bytearray,
    own: list[Tensor],
) -> StageFields:
    """Appends a stage's constants and the tensors that stay inputs; the stage then names them."""
    start = len(constants)
    split = split_params(op)
    if split is None:
        layer = Layer(-1, op, -1)
        requantization, bias = np.stack(layer_multipliers(layer)), layer.bias
        weights, trained = layer.weights, []
    else:
        parts = split.inputs_of(op)
        assert parts.multipliers.data is not None and parts.shifts.data is not None
        requantization, bias = np.stack([parts.multipliers.data, parts.shifts.data]), parts.bias
        weights, trained = parts.weights, [parts.columns, parts.channels]
    _append(constants, requantization.tobytes())
    if bias is None:
        stage = dataclasses.replace(stage, bias_input=_NO_BIAS)
    elif bias.data is None:
        stage = dataclasses.replace(stage, bias_input=_place(own))
        own.append(bias)
    else:
        _append(constants, bias.data.tobytes())
    if weights.data is None or (taps is None and len(graph.consumers(weights)) > 1):
        stage = dataclasses.replace(stage, weights_input=_place(own))
        own.append(weights)
    elif taps is None:
        _append(constants, weights.data.tobytes())
    else:
        y0, y1, x0, x1 = taps
        _append(constants, weights.data[:, y0:y1, x0:x1].tobytes())
    if stage.columns > 0:
        at = _place(own)
        stage = dataclasses.replace(stage, columns_input=at, channels_input=at + 1)
        own += trained
    return dataclasses.replace(stage, constants=start)


def _append(constants: bytearray, part: bytes) -> None:
    constants += part
    constants += bytes(align(len(constants), _ALIGNMENT) - len(constants))
