"""Estimated instructions of forward layers on a Cortex-M7, to compare ways of running them.

The STREAM's figures are fitted to counts of our kernels under QEMU (`benchmarks.instructions`);
those of the builtin ops, per multiply-accumulate, to CMSIS-NN's counts for the whole of mbv2-w0.35
(74.0 million) and person_detect (22.7 million); ADD's is a guess.
"""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.model import Op
from tflm_train.model.layers import Layer

_BUILTIN_POINTWISE, _BUILTIN_CONV, _BUILTIN_DEPTHWISE = 2.4, 5.4, 8.0
_BUILTIN_ADD = 40.0

_ADD = 63.0
_DEPTHWISE, _DEPTHWISE_OUTPUT = 3.4, 52.0  # per multiply-accumulate, per output
_CONV, _CONV_OUTPUT = 1.75, 50.0
_PATCH_TAP, _PATCH_ELEMENT = 45.0, 1.2  # to collect what lies under the kernel


def builtin_cost(op: Op) -> float:
    """Instructions of a builtin op; 0 for ops that are the same however layers run."""
    if op.name == "ADD":
        return _BUILTIN_ADD * op.output.size
    if op.name == "DEPTHWISE_CONV_2D":
        return _BUILTIN_DEPTHWISE * Layer(-1, op, -1).macs
    if op.name != "CONV_2D":
        return 0.0
    layer = Layer(-1, op, -1)
    is_pointwise = layer.weights.shape[1] * layer.weights.shape[2] == 1
    return (_BUILTIN_POINTWISE if is_pointwise else _BUILTIN_CONV) * layer.macs


def stage_cost(stage: abi.StageFields) -> float:
    """Instructions of one stage of a STREAM."""
    g = stage.geometry
    outputs, taps = g.positions * g.out_c, g.k_h * g.k_w
    if stage.stage_kind == abi.StageKind.ADD:
        return _ADD * outputs
    if stage.stage_kind == abi.StageKind.DEPTHWISE:
        return outputs * (_DEPTHWISE * taps + _DEPTHWISE_OUTPUT)
    depth = taps * g.in_c
    patch = _PATCH_ELEMENT * depth + (_PATCH_TAP * taps if taps > 1 else 0)
    return outputs * (_CONV * depth + _CONV_OUTPUT) + g.positions * patch
