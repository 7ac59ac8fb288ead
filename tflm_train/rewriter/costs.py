"""Estimated instructions of forward layers on a Cortex-M7, to compare ways of running them.

Counted under QEMU, per multiply-accumulate. The builtin figures are CMSIS-NN's for pointwise
convolutions, other convolutions and depthwise layers; those of the STREAM are our kernels'.
"""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.model import Op
from tflm_train.model.layers import Layer

_POINTWISE, _CONV, _DEPTHWISE, _ADD = "pointwise", "conv", "depthwise", "add"
_BUILTIN = {_POINTWISE: 2.8, _CONV: 4.9, _DEPTHWISE: 8.0, _ADD: 25.0}
_STREAM = {_POINTWISE: 8.0, _CONV: 8.0, _DEPTHWISE: 14.0, _ADD: 60.0}


def builtin_cost(op: Op) -> float:
    """Instructions of a builtin op; 0 for ops that are the same however layers run."""
    if op.name == "ADD":
        return _BUILTIN[_ADD] * op.output.size
    if op.name == "DEPTHWISE_CONV_2D":
        return _BUILTIN[_DEPTHWISE] * Layer(-1, op, -1).macs
    if op.name != "CONV_2D":
        return 0.0
    layer = Layer(-1, op, -1)
    taps = layer.weights.shape[1] * layer.weights.shape[2]
    return _BUILTIN[_POINTWISE if taps == 1 else _CONV] * layer.macs


def stage_cost(stage: abi.StageFields) -> float:
    """Instructions of one stage of a STREAM."""
    g = stage.geometry
    outputs = g.positions * g.out_c
    if stage.stage_kind == abi.StageKind.ADD:
        return _STREAM[_ADD] * outputs
    if stage.stage_kind == abi.StageKind.DEPTHWISE:
        return _STREAM[_DEPTHWISE] * outputs * g.k_h * g.k_w
    kind = _POINTWISE if g.k_h * g.k_w == 1 else _CONV
    return _STREAM[kind] * outputs * g.k_h * g.k_w * g.in_c
