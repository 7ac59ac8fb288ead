"""The budget of a rewrite in three coins: RAM, flash and the time of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tflm_train.cost.boards import DEFAULT_CLOCK, show_clock
from tflm_train.rewriter.costs import Costs


@dataclass(frozen=True)
class Budget:
    """What a rewrite may cost; None: as much as it wants.

    Attributes:
      ram: Bytes of the arena.
      flash: Bytes of the model and of the kernels that it needs.
      step_ms: Milliseconds of a training step.
      clock: Hz of the core that the time is estimated for.
    """

    ram: int | None = None
    flash: int | None = None
    step_ms: float | None = None
    clock: int = DEFAULT_CLOCK

    @property
    def is_ram_only(self) -> bool:
        """Whether neither flash nor time is limited."""
        return self.flash is None and self.step_ms is None

    @property
    def limits_anything(self) -> bool:
        """Whether there is a limit at all."""
        return self.ram is not None or not self.is_ram_only

    def allows(self, costs: Costs) -> bool:
        """Whether all of it is enough."""
        return not any(self.lacks(costs))

    def lacks(self, costs: Costs) -> Iterator[str]:
        """What is not enough and by how much, a phrase for each coin."""
        arena, flash = costs.memory, costs.flash
        if self.ram is not None and costs.arena_bytes > self.ram:
            parts = arena.arena().parts().items()
            listed = ", ".join(f"{label} {size:,}" for label, size in parts if size)
            yield (
                f"needs {costs.arena_bytes:,} bytes of arena (Cortex-M, {arena.kernels} kernels), "
                f"{costs.arena_bytes - self.ram:,} more than the budget of {self.ram:,}: {listed}"
            )
        if self.flash is not None and costs.flash_bytes > self.flash:
            yield (
                f"needs {costs.flash_bytes:,} bytes of flash, {costs.flash_bytes - self.flash:,} "
                f"more than the budget of {self.flash:,}: model {flash.model_bytes:,}, our kernels "
                f"{flash.kernel_bytes:,}"
            )
        time = costs.step.milliseconds(self.clock)
        if self.step_ms is not None and time > self.step_ms:
            yield (
                f"takes {time:,.0f} ms a step on {costs.step.core} at {show_clock(self.clock)} "
                f"(estimated), {time - self.step_ms:,.0f} more than the limit of {self.step_ms:,g}"
            )

    def shown(self, costs: Costs) -> str:
        """What the limited coins come to: `1,234 bytes, 5,678 of flash, 90 ms`."""
        words = [f"{costs.arena_bytes:,} bytes"]
        if self.flash is not None:
            words.append(f"{costs.flash_bytes:,} of flash")
        if self.step_ms is not None:
            words.append(f"{costs.step.milliseconds(self.clock):,.0f} ms")
        return ", ".join(words)

    def excess(self, costs: Costs) -> float:
        """By which share the coin that lacks most is exceeded; 0 where all is enough."""
        shares = [0.0]
        if self.ram is not None:
            shares.append(costs.arena_bytes / self.ram - 1)
        if self.flash is not None:
            shares.append(costs.flash_bytes / self.flash - 1)
        if self.step_ms is not None:
            shares.append(costs.step.milliseconds(self.clock) / self.step_ms - 1)
        return max(shares)


NO_LIMIT = Budget()
