"""How much of the arena a model takes on a microcontroller, to the byte."""

from tflm_train.memory.report import MemoryReport, memory_report
from tflm_train.ops.builtin import KernelSet

__all__ = ["KernelSet", "MemoryReport", "memory_report"]
