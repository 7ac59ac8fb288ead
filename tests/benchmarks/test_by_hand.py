"""The search by hand that a newcomer is compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.by_hand import FRESH_SEED, ByHand

BEST = {"small": 0.3, "large": 3e-4, "middling": 0.02, "hopeless": 1.0}
HEIGHT = {"small": 0.7, "large": 0.95, "middling": 0.9, "hopeless": 0.2}


def accuracy(preset: str, rate: float, epochs: int, seeds: Sequence[int]) -> float:
    """A hill over the rate's logarithm; far above it the model knows nothing."""
    apart = math.log10(rate / BEST[preset])
    return 0.1 if apart > 1 else HEIGHT[preset] - 0.1 * apart**2


def test_the_best_preset_is_found_wherever_its_rate_is() -> None:
    search = ByHand(accuracy, 3, 2, False, lambda run: None)
    best = search.best(list(BEST))
    assert best["preset"] == "large" and abs(math.log10(best["rate"] / 3e-4)) < 0.3
    assert best["seeds"] == [FRESH_SEED, FRESH_SEED + 1]
    whole = {run["preset"] for run in search.tried if run["epochs"] == 3}
    assert whole == {"large", "middling"}
    assert {run["preset"] for run in search.tried} == set(BEST)


def test_the_lowest_error_wins() -> None:
    def error(*run: object) -> float:
        return 1 - accuracy(*run)  # type: ignore[arg-type]

    best = ByHand(error, 1, 1, True, lambda run: None).best(list(BEST))
    assert best["preset"] == "large"
