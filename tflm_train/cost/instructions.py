"""Estimated instructions of forward layers on a Cortex-M7, to compare ways of running them.

All figures are fitted to the counts that `python -m benchmarks.stream_speed --cores m7` takes under
QEMU: those of our kernels here, those of TFLM's CMSIS-NN kernels in the operators' rows.
"""

from __future__ import annotations

from tflm_train.graph import Op
from tflm_train.ops import StageFields, StageKind
from tflm_train.ops.builtin import builtin_of

# Per multiply-accumulate, per output; to collect what lies under a kernel larger than 1x1.
_ADD = 45.0
_DEPTHWISE, _DEPTHWISE_OUTPUT = 3.0, 25.0
_CONV, _CONV_OUTPUT = 1.14, 22.0
_PATCH, _PATCH_TAP, _PATCH_ELEMENT = 70.0, 58.0, 2.0  # the taps' of a kernel larger than 1x1


def builtin_cost(op: Op) -> float:
    """Instructions of a builtin op; 0 for ops that are the same however layers run."""
    row = builtin_of(op)
    return 0.0 if row is None or row.instructions is None else row.instructions(op)


def stage_cost(stage: StageFields) -> float:
    """Instructions of one stage of a STREAM."""
    g = stage.geometry
    outputs, taps = g.positions * g.out_c, g.k_h * g.k_w
    if stage.stage_kind == StageKind.ADD:
        return _ADD * outputs
    if stage.stage_kind == StageKind.DEPTHWISE:
        return outputs * (_DEPTHWISE * taps + _DEPTHWISE_OUTPUT)
    depth = taps * g.in_c
    patch = _PATCH + _PATCH_ELEMENT * depth + (_PATCH_TAP * taps if taps > 1 else 0)
    return outputs * (_CONV * depth + _CONV_OUTPUT) + g.positions * patch
