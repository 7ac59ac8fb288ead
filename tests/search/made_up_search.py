"""A search that nobody ran, for tests of what is made of it."""

from __future__ import annotations

import random

from tests.search.choices_of_digits import MadeUpCosts
from tflm_train.model import Model
from tflm_train.rewriter.coins import Budget
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.scheme.head import Head
from tflm_train.scheme.presets import preset_scheme
from tflm_train.search.choices import Choice, Space
from tflm_train.search.contenders import Contender
from tflm_train.search.contributions import Contributions, Gain
from tflm_train.search.fine_tune import FineTuned
from tflm_train.search.front import front
from tflm_train.search.objective import Objective
from tflm_train.search.optimum import Optimizer
from tflm_train.search.plan import Plan
from tflm_train.search.search import Outcome, Scored, Searched


def made_up_search(model: Model, budgets: int = 2, *, complete: bool = True) -> Searched:
    """Gains, costs and scores by chance, with the parts that a real search has."""
    rng = random.Random(0)
    space = Space.of(model, Head(10))
    contributions = _contributions(space, rng)
    costs = MadeUpCosts(space, rng)
    optimizer = Optimizer(space, Objective.of(contributions), costs, most_trials=20)
    least = costs.of(Choice()).arena
    outcomes = [
        _outcome(space, optimizer, Budget((2 + 2 * i) * least), rng, complete)
        for i in range(budgets)
    ]
    points = front(optimizer, [x.budget for x in outcomes], 4)
    plan = Plan(600, 3, len(space.layers), 1200)
    return Searched(space, contributions, tuple(outcomes), points, plan, costs.count, complete)


def _contributions(space: Space, rng: random.Random) -> Contributions:
    sum_, biases = 0.0, []
    for depth in space.depths[1:]:
        sum_ += rng.uniform(-0.005, 0.03)
        biases.append((depth, Gain(sum_, rng.uniform(0.004, 0.02), 3, 0.03)))
    weights = {}
    for layer, ratios in space.ratios.items():
        most = rng.uniform(-0.02, 0.12)
        for ratio in ratios:
            mean = most * ratio**0.4
            weights[layer, ratio] = Gain(mean, rng.uniform(0.004, 0.02), 3, 0.01)
    return Contributions(
        model="1" * 64,
        data="2" * 64,
        head=Head(10),
        metric=ACCURACY,
        base=0.61,
        noise=0.012,
        biases=tuple(biases),
        weights=weights,
        base_rate=0.1,
        steps=600,
        stopped=3,
        unfinished=0,
    )


def _outcome(
    space: Space, optimizer: Optimizer, budget: Budget, rng: random.Random, complete: bool
) -> Outcome:
    found = optimizer.best(budget)
    assert found.choice is not None and found.costs is not None
    contenders = [
        Contender("optimum", space.scheme(found.choice, 4), found.costs, found.gain),
        Contender("second best", space.scheme(Choice(2), 0), found.costs, 0.03),
        Contender("preset light", preset_scheme("light", space.model, Head(10)), found.costs),
        Contender("last 2 layers", space.scheme(Choice(1), 8), found.costs),
    ]
    ranked = []
    for place, contender in enumerate(contenders):
        mean = 0.9 - 0.03 * place
        runs = [_run(mean, rng, seed) for seed in range(3)]
        finals = tuple(runs) if complete and place < 3 else ()
        ranked.append(Scored(contender, runs[0], finals))
    return Outcome(budget, (found, found), tuple(ranked))


def _run(mean: float, rng: random.Random, seed: int) -> FineTuned:
    scores = tuple(float(rng.random() < mean) for _ in range(200))
    score = sum(scores) / len(scores)
    return FineTuned(f"{seed}{mean}", 0.03, score, scores, 1 - score, 0.3, ACCURACY, 1.0)
