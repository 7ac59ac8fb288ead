"""The best choices over budgets: what each kilobyte buys."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tflm_train.rewriter.coins import Budget
from tflm_train.search.choices import Choice
from tflm_train.search.optimum import Finder
from tflm_train.search.true_costs import Costs

_POINTS = 8
_TRIALS = 40


@dataclass(frozen=True)
class FrontPoint:
    """The best choice under one limit of the arena.

    Attributes:
      arena: The limit, in bytes.
      choice: The choice.
      gain: Its summed contributions.
      costs: What it costs.
      proved: Whether nothing better fits.
    """

    arena: int
    choice: Choice
    gain: float
    costs: Costs
    proved: bool


def front(
    optimizer: Finder, budgets: Iterable[Budget], points: int = _POINTS
) -> tuple[FrontPoint, ...]:
    """Best choices at limits of the arena between the least that trains and the largest asked for.

    Args:
      optimizer: Finds them.
      budgets: What was asked for; their limits are among those of the front.
      points: How many others.

    Returns:
      By ascending limit; of limits with the same choice the smallest.
    """
    asked = list(budgets)
    finite = [b.arena for b in asked if b.arena < math.inf]
    if not finite:
        return ()
    least = optimizer.costs.of(Choice()).arena
    most = max(finite)
    if least > most:
        return ()
    between = [least * (most / least) ** (i / points) for i in range(points + 1)]
    limits = sorted({int(x) // 16 * 16 for x in [*between, *finite] if x >= least})
    found: dict[Choice, FrontPoint] = {}
    usual, optimizer.most_trials = optimizer.most_trials, _TRIALS
    try:
        for limit in limits:
            best = optimizer.best(Budget(limit, asked[0].flash, asked[0].step_ms))
            if best.choice is not None and best.costs is not None:
                point = FrontPoint(limit, best.choice, best.gain, best.costs, best.proved)
                found.setdefault(best.choice, point)
    finally:
        optimizer.most_trials = usual
    return tuple(found.values())
