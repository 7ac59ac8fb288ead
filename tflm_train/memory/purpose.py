"""What a planned buffer is for, as pictures of the arena tell buffers apart."""

from __future__ import annotations

import enum

from tflm_train.memory.extra import MASK_PREFIX
from tflm_train.memory.planner import Buffer, BufferKind
from tflm_train.memory.report import MemoryReport


class Purpose(enum.StrEnum):
    """What a buffer is for, in words."""

    FORWARD = "forward"
    KEPT = "kept for backward"
    MASK = "clamp masks"
    GRADIENT = "gradients"
    SCRATCH = "scratch"


def purpose_of(buffer: Buffer, report: MemoryReport) -> Purpose:
    """What a buffer of a report is for."""
    if buffer.kind is BufferKind.SCRATCH:
        return Purpose.SCRATCH
    loss = report.first_training_op
    if loss is None or buffer.last - 1 <= loss:
        return Purpose.FORWARD
    if buffer.first - 1 >= loss:
        return Purpose.GRADIENT
    return Purpose.MASK if buffer.name.startswith(MASK_PREFIX) else Purpose.KEPT
