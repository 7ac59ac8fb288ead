"""How much of the arena a model takes on a microcontroller, to the byte."""

from tflm_train.memory.kernel_case import KernelSet
from tflm_train.memory.report import MemoryReport, memory_report

__all__ = ["KernelSet", "MemoryReport", "memory_report"]
