"""CLAMP_MASK and CHANNEL_SAVE: what a step keeps of an activation until its gradient comes."""

from __future__ import annotations

from tflm_train import ops
from tflm_train.backward_ops.numerics import clamp_mask
from tflm_train.backward_ops.twin import Step, Twins
from tflm_train.graph import Op


def _clamp_mask(op: Op, params: ops.ClampMask, step: Step) -> None:
    activation = step.value(ops.ClampMask.inputs_of(op).activation)
    step.store(op.output, clamp_mask(activation, params.act_min, params.act_max))


def _channel_save(op: Op, params: ops.ChannelSave, step: Step) -> None:
    inputs = ops.ChannelSave.inputs_of(op)
    values = step.value(inputs.values).reshape(params.positions, params.channels)
    step.store(op.output, values[:, step.value(inputs.channels)])


TWINS: Twins = {ops.ClampMask: _clamp_mask, ops.ChannelSave: _channel_save}
