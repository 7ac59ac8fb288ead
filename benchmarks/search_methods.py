"""The exact search against evolution and random choices, at equal numbers of rewrites.

    python -m benchmarks.search_methods [--only NAME ...] [--seeds 0 1 2] [--save FILE]

Every method is asked for the choice of the largest sum of gains within a budget of the arena, and
learns what a choice costs by rewriting the model. The exact search takes as many rewrites as it
needs; evolution and random search then get as many, and five times as many. Gains are drawn by
seed, with the shape that analyses have: biases bring more the more of them train, a layer's weights
bring something that grows slowly with the ratio, some layers bring nothing. Budgets lie at a third
and at two thirds between what the head alone and what everything takes (of logarithms).
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from dataclasses import dataclass, field
from typing import Any

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import KWS
from tests.networks import FOLDER
from tflm_train.model import Model, load
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.search.choices import Choice, Space
from tflm_train.search.contributions import Gain
from tflm_train.search.evolution import Evolution, RandomSearch
from tflm_train.search.objective import Objective
from tflm_train.search.optimum import Optimizer
from tflm_train.search.true_costs import Costs, Measure, TrueCosts

NETWORKS = ("kws", "ds_cnn", "mobilenet_v2")
SHARES = (1 / 3, 2 / 3)
TIMES = (1, 5)
RESIDUAL_BITS = 0
COLUMNS = (
    Column("network", "network"),
    Column("budget, KB", "budget_kb", "{:.1f}"),
    Column("cases", "cases"),
    Column("rewrites, exact", "rewrites", "{:.1f}"),
    Column("proved", "proved"),
    Column("evolution", "evolution_1", "{:.1%}"),
    Column("random", "random_1", "{:.1%}"),
    Column("evolution, 5 times", "evolution_5", "{:.1%}"),
    Column("random, 5 times", "random_5", "{:.1%}"),
)


@dataclass
class Counted:
    """Costs that are rewritten once for all methods, and counted for each.

    Attributes:
      true: What knows them.
      asked: What one method has asked for.
    """

    true: TrueCosts
    asked: set[Choice] = field(default_factory=set)

    @property
    def space(self) -> Space:
        return self.true.space

    @property
    def residual_bits(self) -> int:
        return self.true.residual_bits

    @property
    def count(self) -> int:
        return len(self.asked)

    def of(self, choice: Choice) -> Costs:
        self.asked.add(choice)
        return self.true.of(choice)

    def floors(self, depth: int) -> Any:
        return self.true.floors(depth)


def network(name: str) -> Model:
    return KWS.model() if name == "kws" else load(FOLDER / f"{name}.tflite")


def drawn_gains(space: Space, seed: int) -> Objective:
    """Gains of the shape that analyses have."""
    rng = random.Random(seed)
    nothing = Gain(0.0, 0.0, 1, 0.1)
    biases, total = {0: nothing}, 0.0
    for depth in space.depths[1:]:
        total += max(0.0, rng.gauss(0.01, 0.01))
        biases[depth] = Gain(total, 0.0, 1, 0.1)
    weights = {}
    for layer, ratios in space.ratios.items():
        most = max(-0.01, rng.gauss(0.03, 0.04))
        for ratio in ratios:
            weights[layer, ratio] = Gain(most * ratio**0.4 + rng.gauss(0, 0.002), 0.0, 1, 0.1)
    return Objective(biases, weights)


def measure(name: str, seeds: list[int]) -> list[dict[str, Any]]:
    """All methods on one network.

    Returns:
        A row for each budget.
    """
    model = network(name)
    space = Space.of(model)
    true = TrueCosts(space, Measure(Trials(model), Way().smallest()), RESIDUAL_BITS)
    everything = Choice(space.depths[-1], tuple(sorted((x, 1.0) for x in space.ratios)))
    least, most = (true.of(x).arena for x in (Choice(), everything))
    rows = []
    for share in SHARES:
        budget = Budget(int(least * (most / least) ** share))
        rewrites, proved = [], 0
        reached: dict[str, list[float]] = {}
        for seed in seeds:
            objective = drawn_gains(space, seed)
            exact = Optimizer(space, objective, Counted(true)).best(budget)
            print(name, seed, exact.trials, exact.proved, file=sys.stderr, flush=True)
            rewrites.append(exact.trials)
            proved += exact.proved
            for times in TIMES:
                for label, method in (("evolution", Evolution), ("random", RandomSearch)):
                    finder = method(space, objective, Counted(true), times * exact.trials, seed)
                    found = finder.best(budget)
                    reached.setdefault(f"{label}_{times}", []).append(found.gain / exact.gain)
        rows.append(
            {
                "network": name,
                "budget_kb": budget.arena / 1024,
                "cases": len(seeds),
                "rewrites": statistics.fmean(rewrites),
                "proved": proved,
                **{key: statistics.fmean(values) for key, values in reached.items()},
                "by_seed": reached,
            }
        )
    return rows


def main() -> None:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in arguments.only:
        if name == "kws" and not KWS.is_available:
            continue
        rows += measure(name, arguments.seeds)
        publish(
            "search_methods", {"rows": rows}, argparse.Namespace(json=False, save=arguments.save)
        )
    publish("search_methods", {"rows": rows}, arguments)
    if not arguments.json:
        show("Share of the exact optimum, at equal numbers of rewrites", COLUMNS, rows)


if __name__ == "__main__":
    main()
