"""What a rewrite may cost, in three coins: RAM, flash and the time of a training step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tflm_train.cost.boards import DEFAULT_CLOCK, show_clock
from tflm_train.rewriter.costs import Costs

COINS = ("arena", "flash", "step_ms")


class Amounts(Protocol):
    """An amount of each coin."""

    @property
    def arena(self) -> float:
        """Bytes of the arena."""
        ...

    @property
    def flash(self) -> float:
        """Bytes of the model and of the kernels that it needs."""
        ...

    @property
    def step_ms(self) -> float:
        """Estimated milliseconds of a training step."""
        ...


class _Spent(NamedTuple):
    """`Amounts` of a rewrite."""

    arena: int
    flash: int
    step_ms: float


@dataclass(frozen=True)
class Budget:
    """The most of each coin (`Amounts`); infinite where there is no limit.

    Attributes:
      arena: Bytes of the arena.
      flash: Bytes of the model and of the kernels that it needs.
      step_ms: Milliseconds of a training step.
      clock: Hz of the core that the time is estimated for.
    """

    arena: float = math.inf
    flash: float = math.inf
    step_ms: float = math.inf
    clock: int = DEFAULT_CLOCK

    @property
    def is_ram_only(self) -> bool:
        """Whether neither flash nor time is limited."""
        return math.isinf(self.flash) and math.isinf(self.step_ms)

    @property
    def limits_anything(self) -> bool:
        """Whether there is a limit at all."""
        return not (math.isinf(self.arena) and self.is_ram_only)

    def allows(self, amounts: Amounts) -> bool:
        """Whether all of it is enough."""
        return not self.exceeded(amounts)

    def exceeded(self, amounts: Amounts) -> tuple[str, ...]:
        """The coins that are not enough."""
        return tuple(coin for coin in COINS if getattr(amounts, coin) > getattr(self, coin))

    def spent(self, costs: Costs) -> Amounts:
        """What a rewrite costs."""
        step_ms = costs.step.milliseconds(self.clock)
        return _Spent(costs.arena_bytes, costs.flash_bytes, step_ms)

    def lacks(self, costs: Costs) -> Iterator[str]:
        """What is not enough and by how much, a phrase for each coin."""
        arena, flash, spent = costs.memory, costs.flash, self.spent(costs)
        exceeded = self.exceeded(spent)
        if "arena" in exceeded:
            parts = arena.arena().parts().items()
            listed = ", ".join(f"{label} {size:,}" for label, size in parts if size)
            yield (
                f"needs {costs.arena_bytes:,} bytes of arena (Cortex-M, {arena.kernels} kernels), "
                f"{spent.arena - self.arena:,} more than the budget of {self.arena:,}: {listed}"
            )
        if "flash" in exceeded:
            yield (
                f"needs {spent.flash:,} bytes of flash, {spent.flash - self.flash:,} "
                f"more than the budget of {self.flash:,}: model {flash.model_bytes:,}, our kernels "
                f"{flash.kernel_bytes:,}"
            )
        if "step_ms" in exceeded:
            time = spent.step_ms
            yield (
                f"takes {time:,.0f} ms a step on {costs.step.core} at {show_clock(self.clock)} "
                f"(estimated), {time - self.step_ms:,.0f} more than the limit of {self.step_ms:,g}"
            )

    def shown(self, costs: Costs) -> str:
        """What the limited coins come to: `1,234 bytes, 5,678 of flash, 90 ms`."""
        spent = self.spent(costs)
        words = [f"{spent.arena:,} bytes"]
        if self.flash < math.inf:
            words.append(f"{spent.flash:,} of flash")
        if self.step_ms < math.inf:
            words.append(f"{spent.step_ms:,.0f} ms")
        return ", ".join(words)

    def excess(self, costs: Costs) -> float:
        """By which share the coin that lacks most is exceeded; 0 where all is enough."""
        spent = self.spent(costs)
        shares = [getattr(spent, coin) / getattr(self, coin) - 1 for coin in COINS]
        return float(max(0.0, *shares))


NO_LIMIT = Budget()
