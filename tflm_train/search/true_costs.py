"""What choices really cost: each is rewritten, and measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from tflm_train.cost.boards import DEFAULT_CLOCK
from tflm_train.errors import SchemeError, UnsupportedError
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Scheme
from tflm_train.search.choices import Choice, Space
from tflm_train.search.floors import Floors, floors_of


@dataclass(frozen=True)
class Costs:
    """What a choice costs.

    Attributes:
      arena: The smallest arena that is enough, in bytes.
      flash: Bytes of flash, kernels included.
      step_ms: Estimated milliseconds of a training step.
      tail: Of the arena, what is not planned: variables and structures, in bytes.
    """

    arena: int
    flash: int
    step_ms: float
    tail: int

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
class Measure:
    """Costs of any scheme, by rewriting the model.

    Attributes:
      trials: The model's rewrites.
      way: How the forward layers run.
      clock: Of the core, in Hz.
      count: How many schemes were measured.
    """

    trials: Trials
    way: Way
    clock: int = DEFAULT_CLOCK
    count: int = 0
    _known: dict[Scheme, Costs | None] = field(default_factory=dict)

    def of(self, scheme: Scheme) -> Costs | None:
        """What a scheme costs; None where the model cannot be rewritten so."""
        if scheme not in self._known:
            self.count += 1
            try:
                self._known[scheme] = self._measure(scheme)
            except (SchemeError, UnsupportedError):
                self._known[scheme] = None
        return self._known[scheme]

    def _measure(self, scheme: Scheme) -> Costs:
        found = self.trials.costs(scheme, self.way)
        arena = found.arena_bytes
        milliseconds = found.step.milliseconds(self.clock)
        return Costs(arena, found.flash_bytes, milliseconds, arena - found.memory.plan.bytes)


@dataclass
class TrueCosts:
    """Costs of choices, by rewriting the model.

    Attributes:
      space: What there is to choose from.
      measure: What schemes cost.
      residual_bits: Extra bits kept for each trained weight.
    """

    space: Space
    measure: Measure
    residual_bits: int = 8
    _floors: dict[int, Floors] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many schemes were measured."""
        return self.measure.count

    def of(self, choice: Choice) -> Costs:
        """What a choice costs."""
        found = self.measure.of(self.space.scheme(choice, self.residual_bits))
        assert found is not None  # It has only what can train.
        return found

    def floors(self, depth: int) -> Floors:
        """Bounds of the arena of all choices of a depth (`floors.py`)."""
        if depth not in self._floors:
            scheme = self.space.scheme(Choice(depth), self.residual_bits)
            self._floors[depth] = floors_of(self.space.model, scheme, self.measure.way)
        return self._floors[depth]
