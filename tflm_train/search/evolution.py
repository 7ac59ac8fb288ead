"""Searches without a solver: evolution, for who has no OR-tools, and random choices, to compare.

The evolutionary search is that of "On-Device Training Under 256KB Memory" (Lin et al., NeurIPS
2022): a population of choices, of which the better of a few random ones become parents; a child
takes each layer from one of two parents, or is a parent, and then changes in a layer or two. What
does not fit is ranked behind all that do, by how far it is beyond the budget, so that the
population finds its way back. Nothing tells how far from the optimum the best one is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tflm_train.rewriter.coins import COINS, Budget
from tflm_train.search.choices import Choice, Space
from tflm_train.search.objective import Objective
from tflm_train.search.optimum import Found
from tflm_train.search.true_costs import CostOf, Costs

_POPULATION = 24
_TOURNAMENT = 3
_CROSSOVER = 0.5
_MOST_REPEATS = 50
"""So many children in a row that are known already end a search."""


@dataclass
class _Heuristic:
    """What evolution and random search have in common.

    Attributes:
      space: What there is to choose from.
      objective: What it is worth.
      costs: What it costs.
      most_trials: So many choices are rewritten.
      seed: Of what is random.
      is_late: Asked between rewrites: whether to stop with what is known.
    """

    space: Space
    objective: Objective
    costs: CostOf
    most_trials: int = 200
    seed: int = 0
    is_late: Callable[[], bool] = lambda: False

    def best(self, budget: Budget, apart_from: tuple[Choice, ...] = (), distance: int = 1) -> Found:
        """A good choice within a budget; see `Optimizer.best`."""
        start, known = self.costs.count, dict[Choice, Costs]()
        best: Choice | None = None
        repeats = 0
        rng = random.Random(f"{self.seed} {budget} {apart_from}")
        choices = self._choices(rng, budget, known)
        while len(known) < self.most_trials and repeats < _MOST_REPEATS and not self.is_late():
            choice = next(choices)
            if choice in known:
                repeats += 1
                continue
            repeats = 0
            known[choice] = self.costs.of(choice)
            if not budget.allows(known[choice]):
                continue
            if any(choice.distance(other) < distance for other in apart_from):
                continue
            if best is None or self._rank(choice, known) > self._rank(best, known):
                best = choice
        trials = self.costs.count - start
        if best is None:
            return Found(None, 0.0, None, math.inf, False, trials)
        return Found(best, self.objective.value(best), known[best], math.inf, False, trials)

    def _rank(self, choice: Choice, known: dict[Choice, Costs]) -> tuple[float, int]:
        return self.objective.value(choice), -known[choice].arena

    def _choices(
        self, rng: random.Random, budget: Budget, known: dict[Choice, Costs]
    ) -> Iterator[Choice]:
        raise NotImplementedError

    def _random(self, rng: random.Random) -> Choice:
        depth = rng.choice(self.space.depths)
        share = rng.random()
        within = [x for x in self.space.ratios if self.space.depth_of[x] <= depth]
        chosen = {x: rng.choice(self.space.ratios[x]) for x in within if rng.random() < share}
        return Choice(depth, tuple(sorted(chosen.items())))


class RandomSearch(_Heuristic):
    """Random choices: a random depth, and a random share of the layers within it."""

    def _choices(
        self, rng: random.Random, budget: Budget, known: dict[Choice, Costs]
    ) -> Iterator[Choice]:
        while True:
            yield self._random(rng)


class Evolution(_Heuristic):
    """The evolutionary search."""

    def _choices(
        self, rng: random.Random, budget: Budget, known: dict[Choice, Costs]
    ) -> Iterator[Choice]:
        population: list[Choice] = [Choice()]
        yield population[0]
        while len(population) < _POPULATION:
            population.append(self._random(rng))
            yield population[-1]

        def fitness(choice: Choice) -> tuple[bool, float]:
            costs = known[choice]
            if budget.allows(costs):
                return True, self.objective.value(choice)
            return False, -max(getattr(costs, x) / getattr(budget, x) for x in COINS)

        while True:
            parents = [
                max(rng.sample(population, _TOURNAMENT), key=fitness)
                for _ in range(2 if rng.random() < _CROSSOVER else 1)
            ]
            child = self._changed(rng, self._crossed(rng, parents))
            is_new = child not in known
            yield child
            if is_new:
                population.append(child)
                population.remove(min(population, key=fitness))

    def _crossed(self, rng: random.Random, parents: list[Choice]) -> Choice:
        weights = [dict(parent.weights) for parent in parents]
        depth = rng.choice(parents).depth
        taken = {x: rng.choice(weights).get(x) for x in self.space.ratios}
        return self._within(depth, taken)

    def _changed(self, rng: random.Random, choice: Choice) -> Choice:
        weights: dict[int, float | None] = dict(choice.weights)
        depth = choice.depth
        for _ in range(rng.choice((1, 1, 2))):
            if rng.random() < 0.25:
                place = self.space.depths.index(depth) + rng.choice((-2, -1, 1, 2))
                depth = self.space.depths[min(max(place, 0), len(self.space.depths) - 1)]
                continue
            within = [x for x in self.space.ratios if self.space.depth_of[x] <= depth]
            if within:
                layer = rng.choice(within)
                weights[layer] = rng.choice((None, *self.space.ratios[layer]))
        return self._within(depth, weights)

    def _within(self, depth: int, weights: dict[int, float | None]) -> Choice:
        kept = [
            (layer, ratio)
            for layer, ratio in weights.items()
            if ratio is not None and self.space.depth_of[layer] <= depth
        ]
        return Choice(depth, tuple(sorted(kept)))
