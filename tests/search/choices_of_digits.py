"""What tests of the search share: a small model's choices, gains and costs that are made up."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.steps import DIGITS
from tflm_train.model import load
from tflm_train.search.choices import Choice, Space
from tflm_train.search.contributions import Gain
from tflm_train.search.objective import Objective
from tflm_train.search.true_costs import Costs


def digits_space(depth: int, ratios: tuple[float, ...] = (0.25, 1.0)) -> Space:
    """The last layers of the demonstration's model."""
    space = Space.of(load(DIGITS), ratios=ratios)
    items = [x for x in space.items if space.depth_of[x[0]] <= depth]
    return space.limited(range(depth + 1), items)


def every_choice(space: Space) -> Iterator[Choice]:
    """All of them."""
    for depth in space.depths:
        layers = [x for x in space.ratios if space.depth_of[x] <= depth]
        for ratios in itertools.product(*((None, *space.ratios[x]) for x in layers)):
            pairs = zip(layers, ratios, strict=True)
            yield Choice(depth, tuple(sorted((x, r) for x, r in pairs if r is not None)))


def random_objective(space: Space, rng: random.Random) -> Objective:
    """Gains that grow with the ratio, with noise, some below zero."""
    biases, weights, sum_ = {0: Gain(0, 0, 1, 0.1)}, {}, 0.0
    for depth in space.depths[1:]:
        sum_ += rng.uniform(-0.01, 0.05)
        biases[depth] = Gain(sum_, 0.01, 1, 0.1)
    for layer, ratios in space.ratios.items():
        most = rng.uniform(-0.05, 0.2)
        for ratio in ratios:
            mean = most * ratio**0.4 + rng.gauss(0, 0.01)
            weights[layer, ratio] = Gain(mean, 0.01, 1, 0.1)
    return Objective(biases, weights)


@dataclass
class MadeUpCosts:
    """Costs as of an arena: the largest over times of sums, and a tail; sometimes less for more.

    Attributes:
      space: What there is to choose from.
      rng: Draws what lives when.
      residual_bits: As of real ones.
      count: How many choices were measured.
    """

    space: Space
    rng: random.Random
    residual_bits: int = 0
    count: int = 0
    _known: dict[Choice, Costs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = range(5)
        self._own = {x: [self.rng.randrange(2000) for _ in times] for x in self.space.items}
        self._depth = {k: [300 * k + self.rng.randrange(500) for _ in times] for k in range(99)}

    def of(self, choice: Choice) -> Costs:
        if choice not in self._known:
            self.count += 1
            self._known[choice] = self.true(choice)
        return self._known[choice]

    def true(self, choice: Choice) -> Costs:
        """The same, not counted."""
        tail = 500 + 40 * choice.depth + sum(map(self.space.trained_weights, choice.weights))
        kept = sum(map(self.space.kept_input, choice.weights))
        deepest = max(self._depth[k][t] for k in range(choice.depth + 1) for t in range(5))
        head = max(
            deepest + kept,
            *(
                self._depth[choice.depth][t] + sum(self._own[x][t] for x in choice.weights)
                for t in range(5)
            ),
        )
        time = choice.depth + sum(self._own[x][0] for x in choice.weights) / 100
        return Costs(tail + head, 1000 + 7 * head, time, tail)

    def floors(self, depth: int) -> dict[int, int]:
        return {0: max(self._depth[depth])}
