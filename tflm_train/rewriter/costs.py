"""What a rewritten model costs, in three coins: RAM, flash and time."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.cost.estimate import StepCost, step_cost
from tflm_train.cost.flash import Flash, flash_bytes
from tflm_train.memory import MemoryReport
from tflm_train.model import Model
from tflm_train.rewriter.optimize import Choice


@dataclass(frozen=True)
class Costs:
    """What a model costs.

    Attributes:
      memory: Its arena.
      flash: Its file and the kernels that it needs.
      step: The estimated time of a training step.
    """

    memory: MemoryReport
    flash: Flash
    step: StepCost

    @property
    def arena_bytes(self) -> int:
        """The smallest arena that is enough."""
        return self.memory.minimum_bytes

    @property
    def flash_bytes(self) -> int:
        """All of what is counted of its flash."""
        return self.flash.total_bytes

    @property
    def cycles(self) -> int:
        """Of a training step, on the core that was chosen."""
        return self.step.cycles


def costs_of(model: Model, data: bytes, memory: MemoryReport, choice: Choice) -> Costs:
    """What a rewritten model costs.

    Args:
      model: With its ops in execution order.
      data: Its file.
      memory: Its arena.
      choice: For which core and kernels it was made.

    Returns:
      The costs.
    """
    ops = model.graph.ops
    flash = flash_bytes(len(data), ops, choice.timed_core)
    return Costs(memory, flash, step_cost(ops, choice.timed_core, choice.kernels))
