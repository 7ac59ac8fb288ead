"""STREAM: the memory that a run of forward layers works in."""

from __future__ import annotations

from tflm_train import ops
from tflm_train.backward_ops.kernel import HALF_WORD, WORD, Kernel, Kernels
from tflm_train.ops.target import align


def _stream_scratch(params: ops.Stream) -> int:
    """Progress and ring offset of each stage, the widest stage's sums, all ring buffers."""
    stages = params.stages
    progress = 3 * WORD * len(stages)
    sums = max(map(_stage_sums, stages))
    rings = sum(
        s.ring_rows * s.geometry.out_w * s.geometry.out_c
        for s in stages[:-1]
        if not s.is_kept_whole
    )
    return progress + align(sums, WORD) + rings


def _stage_sums(stage: ops.StageFields) -> int:
    g = stage.geometry
    if stage.stage_kind == ops.StageKind.CONV:
        return 2 * HALF_WORD * g.k_h * g.k_w * g.in_c
    return WORD * g.out_c if stage.stage_kind == ops.StageKind.DEPTHWISE else 0


KERNELS: Kernels = {ops.Stream: Kernel(scratch=_stream_scratch)}
