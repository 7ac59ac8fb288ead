"""What somebody reaches who tries every preset at many rates, and knows nothing either.

Of each preset that fits, short runs (a third of the length) climb half decades of the rate: from
the first one, both ways, as long as it gets better. The best two presets climb on at full length.
The winner is whichever the test samples like best; what counts are runs of it with seeds that chose
nothing, because the best of many runs owes some of it to luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

HALF = math.sqrt(10.0)
FIRST, LOWEST, HIGHEST = 1e-2, 1e-5, 1e2
_SHARE = 3
"""Short runs have one in so many epochs."""
_KEPT = 2
FRESH_SEED = 100

Train = Callable[[str, float, int, Sequence[int]], float]
"""Gives the mean score of runs: of a preset, a rate, epochs and seeds."""


@dataclass
class ByHand:
    """The search.

    Attributes:
        train: runs.
        epochs: of a whole run.
        seeds: how many of them the winner's runs have; others at full length have one, or two where
            it is more than that.
        is_error: whether a lower score is better.
        say: told of each run.
        tried: every run.
    """

    train: Train
    epochs: int
    seeds: int
    is_error: bool
    say: Callable[[dict[str, Any]], None]
    tried: list[dict[str, Any]] = field(default_factory=list)

    def best(self, presets: Sequence[str], quick: bool = False) -> dict[str, Any]:
        """The winner's run with fresh seeds.

        Args:
            presets: those that fit.
            quick: look at one rate only.
        """
        if quick:
            return self._run(presets[0], FIRST, self.epochs, range(1))
        short, seeds = max(1, self.epochs // _SHARE), range(1 if self.seeds <= 2 else 2)
        scans = {preset: self._climb(preset, FIRST, short, range(1)) for preset in presets}
        ranked = sorted(presets, key=lambda preset: scans[preset]["loss"])
        winner = self._best_of(
            [
                self._climb(preset, scans[preset]["rate"], self.epochs, seeds)
                for preset in ranked[:_KEPT]
            ]
        )
        fresh = range(FRESH_SEED, FRESH_SEED + self.seeds)
        return self._run(winner["preset"], winner["rate"], self.epochs, fresh)

    def _climb(self, preset: str, rate: float, epochs: int, seeds: Sequence[int]) -> dict[str, Any]:
        """The best of a rate, its neighbours, and what is beyond as long as that is better."""
        runs = [self._run(preset, rate * factor, epochs, seeds) for factor in (1.0, HALF, 1 / HALF)]
        while True:
            best = self._best_of(runs)
            rates = [run["rate"] for run in runs]
            if best["rate"] == max(rates):
                beyond = best["rate"] * HALF
            elif best["rate"] == min(rates):
                beyond = best["rate"] / HALF
            else:
                return best
            if not LOWEST < beyond < HIGHEST:
                return best
            runs.append(self._run(preset, beyond, epochs, seeds))

    def _run(self, preset: str, rate: float, epochs: int, seeds: Sequence[int]) -> dict[str, Any]:
        score = self.train(preset, rate, epochs, seeds)
        run = {
            "preset": preset, "rate": rate, "epochs": epochs, "seeds": list(seeds),
            "score": score, "loss": score if self.is_error else -score,
        }  # fmt: skip
        self.tried.append(run)
        self.say(run)
        return run

    @staticmethod
    def _best_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        # Where runs of all rates came to nothing, lower ones are what is left to try.
        return min(runs, key=lambda run: (run["loss"], run["rate"]))
