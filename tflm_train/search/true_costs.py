"""What choices really cost: each is rewritten, and measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from tflm_train.rewriter.trials import Trials, Way
from tflm_train.search.choices import Choice, Space
from tflm_train.search.floors import Floors, floors_of


@dataclass(frozen=True)
class Budget:
    """The most that a choice may cost; infinite where there is no limit.

    Attributes:
      arena: Bytes of RAM.
      flash: Bytes of flash.
      step_ms: Milliseconds of a training step.
    """

    arena: float = math.inf
    flash: float = math.inf
    step_ms: float = math.inf

    def allows(self, costs: Costs) -> bool:
        """Whether costs are within it."""
        return not self.exceeded(costs)

    def exceeded(self, costs: Costs) -> tuple[str, ...]:
        """The names of the costs that are beyond it."""
        return tuple(x for x in COINS if getattr(costs, x) > getattr(self, x))


COINS = ("arena", "flash", "step_ms")
"""The fields of costs and budgets."""


@dataclass(frozen=True)
class Costs:
    """What a choice costs.

    Attributes:
      arena: The smallest arena that is enough, in bytes.
      flash: Bytes of flash, kernels included; 0 where nobody asked.
      step_ms: Estimated milliseconds of a training step; 0 where nobody asked.
      tail: Of the arena, what is not planned: variables and structures, in bytes.
    """

    arena: int
    flash: int = 0
    step_ms: float = 0.0
    tail: int = 0

    @property
    def head(self) -> int:
        """Of the arena, what is planned, in bytes."""
        return self.arena - self.tail


class CostOf(Protocol):
    """Measures choices, each once.

    Attributes:
      space: What there is to choose from.
      residual_bits: Extra bits kept for each trained weight.
    """

    space: Space
    residual_bits: int

    @property
    def count(self) -> int:
        """How many were measured."""
        ...

    def floors(self, depth: int) -> Floors:
        """Bounds of the arena of all choices of a depth (`floors.py`)."""
        ...

    def of(self, choice: Choice) -> Costs:
        """What a choice costs."""
        ...


@dataclass
class TrueCosts:
    """Costs by rewriting the model.

    Attributes:
      space: What there is to choose from.
      trials: The model's rewrites.
      way: How the forward layers run.
      residual_bits: Extra bits kept for each trained weight.
      count: How many choices were measured.
    """

    space: Space
    trials: Trials
    way: Way
    residual_bits: int = 8
    count: int = 0
    _known: dict[Choice, Costs] = field(default_factory=dict)
    _floors: dict[int, Floors] = field(default_factory=dict)

    def floors(self, depth: int) -> Floors:
        """Bounds of the arena of all choices of a depth (`floors.py`)."""
        if depth not in self._floors:
            scheme = self.space.scheme(Choice(depth), self.residual_bits)
            self._floors[depth] = floors_of(self.space.model, scheme, self.way)
        return self._floors[depth]

    def of(self, choice: Choice) -> Costs:
        """What a choice costs."""
        if choice not in self._known:
            self.count += 1
            self._known[choice] = self._measure(choice)
        return self._known[choice]

    def _measure(self, choice: Choice) -> Costs:
        memory = self.trials.memory(self.space.scheme(choice, self.residual_bits), self.way)
        arena = memory.minimum_bytes
        return Costs(arena, tail=arena - memory.plan.bytes)
