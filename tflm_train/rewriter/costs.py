"""Estimated instructions of forward layers on a Cortex-M7, to compare ways of running them.

All figures are fitted to the counts that `python -m benchmarks.stream_speed --cores m7` takes under
QEMU: of our kernels, and of TFLM's CMSIS-NN kernels (TFLM_LIB, TFLM_INCLUDE) for the same layers.
"""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.model import Op
from tflm_train.model.layers import Layer

# Per multiply-accumulate, per output; to collect what lies under a kernel larger than 1x1.
_BUILTIN_CONV, _BUILTIN_CONV_OUTPUT = 1.46, 38.0
_BUILTIN_PATCH_TAP, _BUILTIN_PATCH_ELEMENT = 77.0, 5.2
_BUILTIN_DEPTHWISE = 8.3
_BUILTIN_ADD = 81.0

_ADD = 45.0
_DEPTHWISE, _DEPTHWISE_OUTPUT = 3.0, 25.0
_CONV, _CONV_OUTPUT = 1.14, 22.0
_PATCH, _PATCH_TAP, _PATCH_ELEMENT = 70.0, 58.0, 2.0  # the taps' of a kernel larger than 1x1


def builtin_cost(op: Op) -> float:
    """Instructions of a builtin op; 0 for ops that are the same however layers run."""
    if op.name == "ADD":
        return _BUILTIN_ADD * op.output.size
    if op.name == "DEPTHWISE_CONV_2D":
        return _BUILTIN_DEPTHWISE * Layer(-1, op, -1).macs
    if op.name != "CONV_2D":
        return 0.0
    out_c, k_h, k_w, in_c = Layer(-1, op, -1).weights.shape
    taps = k_h * k_w
    depth = taps * in_c
    patch = _BUILTIN_PATCH_TAP * taps + _BUILTIN_PATCH_ELEMENT * depth if taps > 1 else 0.0
    per_output = _BUILTIN_CONV * depth + _BUILTIN_CONV_OUTPUT
    return op.output.size * (per_output + patch / out_c)


def stage_cost(stage: abi.StageFields) -> float:
    """Instructions of one stage of a STREAM."""
    g = stage.geometry
    outputs, taps = g.positions * g.out_c, g.k_h * g.k_w
    if stage.stage_kind == abi.StageKind.ADD:
        return _ADD * outputs
    if stage.stage_kind == abi.StageKind.DEPTHWISE:
        return outputs * (_DEPTHWISE * taps + _DEPTHWISE_OUTPUT)
    depth = taps * g.in_c
    patch = _PATCH + _PATCH_ELEMENT * depth + (_PATCH_TAP * taps if taps > 1 else 0)
    return outputs * (_CONV * depth + _CONV_OUTPUT) + g.positions * patch
