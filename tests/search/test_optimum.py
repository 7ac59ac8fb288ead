"""The optimum is the one that trying everything finds."""

from __future__ import annotations

import random

import pytest

from tests.search.choices_of_digits import (
    MadeUpCosts,
    digits_space,
    every_choice,
    random_objective,
)
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.search.choices import Choice, Space
from tflm_train.search.evolution import Evolution, RandomSearch
from tflm_train.search.objective import Objective
from tflm_train.search.optimum import Optimizer
from tflm_train.search.true_costs import Measure, TrueCosts


def best_of_all(
    space: Space, objective: Objective, costs: MadeUpCosts, budget: Budget
) -> float | None:
    values = [objective.value(x) for x in every_choice(space) if budget.allows(costs.true(x))]
    return max(values, default=None)


@pytest.mark.parametrize("seed", range(8))
def test_made_up_costs(seed: int) -> None:
    rng = random.Random(seed)
    space = digits_space(4)
    objective, costs = random_objective(space, rng), MadeUpCosts(space, rng)
    arenas = sorted(costs.true(x).arena for x in every_choice(space))
    flashes = sorted(costs.true(x).flash for x in every_choice(space))
    times = sorted(costs.true(x).step_ms for x in every_choice(space))
    optimizer = Optimizer(space, objective, costs)
    for share in (0.05, 0.3, 0.7):
        place = int(share * len(arenas))
        for budget in (
            Budget(arenas[place]),
            Budget(arenas[-1], flashes[place]),
            Budget(step_ms=times[place]),
        ):
            found = optimizer.best(budget)
            expected = best_of_all(space, objective, costs, budget)
            assert found.proved and found.choice is not None and expected is not None
            assert found.gain == pytest.approx(expected, abs=1e-5)
            assert budget.allows(costs.true(found.choice))
    assert costs.count < len(arenas)


@pytest.mark.parametrize("residual_bits", [8, 0])
def test_true_costs(residual_bits: int) -> None:
    space = digits_space(4, (0.5, 1.0))
    every = list(every_choice(space))
    measure = Measure(Trials(space.model), Way().smallest())
    true = TrueCosts(space, measure, residual_bits)
    arenas = {x: true.of(x).arena for x in every}
    for seed in range(6):
        objective = random_objective(space, random.Random(seed))
        fresh = TrueCosts(space, _Known(measure), residual_bits)
        optimizer = Optimizer(space, objective, fresh)
        for share in (0.2, 0.5, 0.8):
            limit = sorted(arenas.values())[int(share * len(every))]
            found = optimizer.best(Budget(limit))
            best = max(objective.value(x) for x in every if arenas[x] <= limit)
            assert found.proved
            assert found.gain == pytest.approx(best, abs=1e-5)
        assert fresh.count < len(every) / 2


class _Known(Measure):
    """Counts from zero, but does not rewrite again what another one has."""

    def __init__(self, other: Measure) -> None:
        super().__init__(other.trials, other.way)


def test_nothing_fits() -> None:
    space = digits_space(2)
    costs = MadeUpCosts(space, random.Random(0))
    found = Optimizer(space, random_objective(space, random.Random(0)), costs).best(Budget(10))
    assert found.choice is None and found.proved


def test_different_ones_differ() -> None:
    space = digits_space(4)
    costs = MadeUpCosts(space, random.Random(0))
    optimizer = Optimizer(space, random_objective(space, random.Random(0)), costs)
    budget = Budget(costs.true(Choice(4)).arena + 2000)
    first = optimizer.best(budget)
    assert first.choice is not None
    second = optimizer.best(budget, (first.choice,), 2)
    assert second.choice is not None
    assert second.choice.distance(first.choice) >= 2 and second.gain <= first.gain


def test_a_limit_of_trials_leaves_something_that_fits() -> None:
    space = digits_space(4)
    costs = MadeUpCosts(space, random.Random(3))
    arenas = sorted(costs.true(x).arena for x in every_choice(space))
    budget = Budget(arenas[len(arenas) // 3])
    objective = random_objective(space, random.Random(3))
    found = Optimizer(space, objective, costs, most_trials=1).best(budget)
    assert found.choice is not None and budget.allows(costs.true(found.choice))
    assert found.bound >= found.gain


@pytest.mark.parametrize("method", [Evolution, RandomSearch])
def test_heuristics_find_what_fits(method: type[Evolution] | type[RandomSearch]) -> None:
    space = digits_space(4)
    rng = random.Random(1)
    objective, costs = random_objective(space, rng), MadeUpCosts(space, rng)
    arenas = sorted(costs.true(x).arena for x in every_choice(space))
    budget = Budget(arenas[len(arenas) // 2])
    found = method(space, objective, costs, most_trials=100, seed=1).best(budget)
    assert found.choice is not None and budget.allows(costs.true(found.choice))
    assert found.trials <= 100 and not found.proved
    again = method(space, objective, costs, most_trials=100, seed=1).best(budget)
    assert again.choice == found.choice


def test_evolution_comes_close_to_the_optimum() -> None:
    shares = []
    for seed in range(8):
        rng = random.Random(seed)
        space = digits_space(4)
        objective, costs = random_objective(space, rng), MadeUpCosts(space, rng)
        arenas = sorted(costs.true(x).arena for x in every_choice(space))
        budget = Budget(arenas[len(arenas) // 2])
        best = Optimizer(space, objective, costs).best(budget).gain
        found = Evolution(space, objective, costs, most_trials=150).best(budget).gain
        assert found <= best + 1e-5
        shares.append(found / best)
    assert sum(shares) / len(shares) > 0.9
