"""Emits a run of layers as one STREAM op.

TFLM keeps 12 bytes of RAM for every tensor, constant or not. So the constants of all stages lie in
one tensor; only what trains, and weights that the backward pass reads as well, are inputs of their
own.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_train import kernel_abi as abi
from tflm_train.model import Graph, Op, Tensor
from tflm_train.model.layers import Layer
from tflm_train.ops.target import align
from tflm_train.rewriter.split_layers import layer_multipliers
from tflm_train.rewriter.stream import Run, Taps, split_params
from tflm_train.rewriter.training_graph import TrainOp

_ALIGNMENT = 16
_NO_BIAS = -1


def make_stream(graph: Graph, run: Run) -> TrainOp:
    """Makes the op of a run; its constants are added to the graph.

    Args:
      graph: Still with the ops of the run.
      run: What to make an op of.

    Returns:
      The op.
    """
    constants = bytearray()
    inputs: list[Tensor | None] = [run.source, None]
    stages: list[abi.StageFields] = []
    for op, taps, stage in zip(run.layers, run.taps, run.stages, strict=True):
        if stage.stage_kind != abi.StageKind.ADD:
            stage = _with_constants(graph, op, taps, stage, constants, inputs)
        stages.append(stage)
    # One without a meaning where there are none: inputs that are left out may get lost.
    data = np.frombuffer(bytes(constants or b"\0"), np.int8)
    name = f"constants/{run.layers[0].output.short_name}"
    inputs[1] = graph.add(Tensor.constant(name, data))
    first_list = len(inputs)
    inputs += run.lists
    for index, stage in enumerate(stages):
        if stage.kept_list != 0:
            at = first_list + stage.kept_list - 1
            stages[index] = dataclasses.replace(stage, kept_list=at)
    if run.state is not None:
        inputs.append(run.state)
    return TrainOp.make(abi.StreamParams(tuple(stages)), inputs, list(run.outputs))


def _with_constants(
    graph: Graph,
    op: Op,
    taps: Taps | None,
    stage: abi.StageFields,
    constants: bytearray,
    inputs: list[Tensor | None],
) -> abi.StageFields:
    """Appends a stage's constants and the tensors that stay inputs; the stage then names them."""
    start = len(constants)
    weights = op.inputs[1]
    assert weights is not None
    if split_params(op) is None:
        layer = Layer(-1, op, -1)
        requantization, bias = np.stack(layer_multipliers(layer)), layer.bias
    else:
        wanted = (abi.SplitInput.MULTIPLIERS, abi.SplitInput.SHIFTS, abi.SplitInput.BIAS)
        multipliers, shifts, bias = (op.optional_input(i) for i in wanted)
        assert multipliers is not None and shifts is not None
        assert multipliers.data is not None and shifts.data is not None
        requantization = np.stack([multipliers.data, shifts.data])
    _append(constants, requantization.tobytes())
    if bias is None:
        stage = dataclasses.replace(stage, bias_input=_NO_BIAS)
    elif bias.data is None:
        stage = dataclasses.replace(stage, bias_input=len(inputs))
        inputs.append(bias)
    else:
        _append(constants, bias.data.tobytes())
    if weights.data is None or (taps is None and len(graph.consumers(weights)) > 1):
        stage = dataclasses.replace(stage, weights_input=len(inputs))
        inputs.append(weights)
    elif taps is None:
        _append(constants, weights.data.tobytes())
    else:
        y0, y1, x0, x1 = taps
        _append(constants, weights.data[:, y0:y1, x0:x1].tobytes())
    if stage.columns > 0:
        at = len(inputs)
        stage = dataclasses.replace(stage, columns_input=at, channels_input=at + 1)
        inputs += [op.inputs[abi.SplitInput.COLUMNS], op.inputs[abi.SplitInput.CHANNELS]]
    return dataclasses.replace(stage, constants=start)


def _append(constants: bytearray, part: bytes) -> None:
    constants += part
    constants += bytes(align(len(constants), _ALIGNMENT) - len(constants))
