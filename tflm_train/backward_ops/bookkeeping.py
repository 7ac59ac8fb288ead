"""The ops around the gradients.

RESTORE and FINISH begin and end a step; CLAMP_MASK and CHANNEL_SAVE keep of an activation what its
gradient will need.
"""

from __future__ import annotations

from tflm_train import ops
from tflm_train.backward_ops.kernel import Kernel, Kernels, Step
from tflm_train.backward_ops.numerics import clamp_mask
from tflm_train.graph import Op


def _clamp_mask(op: Op, params: ops.ClampMask, step: Step) -> None:
    activation = step.value(ops.ClampMask.inputs_of(op).activation)
    step.store(op.output, clamp_mask(activation, params.act_min, params.act_max))


def _channel_save(op: Op, params: ops.ChannelSave, step: Step) -> None:
    inputs = ops.ChannelSave.inputs_of(op)
    values = step.value(inputs.values).reshape(params.positions, params.channels)
    step.store(op.output, values[:, step.value(inputs.channels)])


KERNELS: Kernels = {
    # Where the handle is; VariableTable: a header and one entry per variable.
    ops.Restore: Kernel(persistent=lambda params: ("P", "Pi", *(("Pi",),) * params.variable_count)),
    ops.ClampMask: Kernel(_clamp_mask),
    ops.ChannelSave: Kernel(_channel_save),
    ops.Finish: Kernel(),
}
