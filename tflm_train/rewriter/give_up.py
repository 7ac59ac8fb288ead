"""What a scheme has to give up to fit: first what costs no accuracy, then as few layers as can be.

Other ways to run the forward layers cost none, smaller residuals next to none; both are taken
before any layer. RAM is saved by streaming, time by whichever form of a layer is fastest, flash by
builtin operators, whose code is not ours. Of the layers the fewest are given up that are enough:
the weights of any, and the biases of the earliest, whose gradients come the longest way.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from tflm_train.errors import SchemeError
from tflm_train.model import Model
from tflm_train.rewriter.coins import NO_LIMIT, Budget
from tflm_train.rewriter.costs import Costs
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Scheme, WeightUpdate, resolve
from tflm_train.scheme.presets import weight_bytes

_MOST_TRIALS = 64  # rewrites in search of fewer layers than the best known
_HEAD_SHARES = (1 / 2, 1 / 4, 1 / 8, 1 / 16)


@dataclass(frozen=True)
class Smaller:
    """A scheme that takes less, and what it gave up.

    Attributes:
      scheme: The scheme.
      way: How the forward layers run.
      weights: Layers whose weights were given up.
      biases: Layers whose biases were.
      head_share: The share of the head's input channels that still trains.
    """

    scheme: Scheme
    way: Way
    weights: tuple[int, ...] = ()
    biases: tuple[int, ...] = ()
    head_share: float = 1.0

    @property
    def given_up(self) -> int:
        """How many layers' weights and biases were given up."""
        return len(self.weights) + len(self.biases)

    @property
    def loss(self) -> tuple[float, int]:
        """What it gave up: less of the head is worse than any layers."""
        return -self.head_share, self.given_up

    def fits(self, trials: Trials, budget: Budget) -> bool:
        """Whether what it costs is within a budget."""
        return budget.allows(budget.spent(trials.costs(self.scheme, self.way)))


def at_no_loss(
    trials: Trials, scheme: Scheme, way: Way, budget: Budget = NO_LIMIT
) -> Iterator[Smaller]:
    """The scheme as it is, and then at no loss of accuracy.

    Args:
      trials: Rewrites of the model.
      scheme: What was asked for.
      way: How the forward layers were to run.
      budget: Which coins are limited.

    Yields:
      With less and less RAM; where flash or time are limited, in every way that may save them.
    """
    yield Smaller(scheme, way)
    smallest = way.smallest()
    if budget.is_ram_only:
        saves = smallest != way and trials.arena(scheme, smallest) < trials.arena(scheme, way)
        others, ways = ([smallest], [smallest]) if saves else ([], [way])
    else:
        ways = list(dict.fromkeys((way, smallest, way.fastest(), way.builtin())))
        others = ways[1:]
    for each in others:
        yield Smaller(scheme, each)
    for bits in (4, 0):
        if bits < scheme.residual_bits and bits in scheme.optimizer.residual_bits:
            for each in ways:
                yield Smaller(dataclasses.replace(scheme, residual_bits=bits), each)


def find_smaller(trials: Trials, scheme: Scheme, way: Way, budget: Budget) -> Smaller | None:
    """Of the schemes that fit the one that gives up least.

    Args:
      trials: Rewrites of the model.
      scheme: What was asked for.
      way: How the forward layers were to run.
      budget: What it may cost.

    Returns:
      The scheme; None where not even a part of the head fits.
    """
    tried = []
    for each in at_no_loss(trials, scheme, way, budget):
        if each.fits(trials, budget):
            return each
        tried.append(each)
    best: Smaller | None = None
    for start in _last_resorts(tried, budget):
        layers = Layers.of(trials.model, start)
        found = layers.fewest(trials, budget) or layers.part_of_head(trials, budget)
        if found is not None and (best is None or found.loss < best.loss):
            best = found
    return best


def least_of(trials: Trials, scheme: Scheme, way: Way, budget: Budget = NO_LIMIT) -> Costs:
    """The costs of what is left when all is given up that can be, in the way nearest to fitting."""
    left = []
    for start in _last_resorts(list(at_no_loss(trials, scheme, way, budget)), budget):
        layers = Layers.of(trials.model, start)
        share = 1.0 if layers.head_weights is None else _HEAD_SHARES[-1]
        weights = tuple(layers.weights)[: layers.most_weights]
        least = layers.without(weights, layers.most_biases, share)
        left.append(trials.costs(least.scheme, least.way))
    return min(left, key=budget.excess)


def _last_resorts(tried: list[Smaller], budget: Budget) -> list[Smaller]:
    """With what to begin to give up layers: the smallest residuals, in each way."""
    bits = tried[-1].scheme.residual_bits
    fewest = [each for each in tried if each.scheme.residual_bits == bits]
    return fewest[-1:] if budget.is_ram_only else fewest


@dataclass(frozen=True)
class Layers:
    """What can be given up of a scheme.

    Attributes:
      start: The scheme, with nothing given up yet.
      weights: Layers below the head whose weights train, the largest first.
      biases: Layers below the head whose biases the scheme names, the earliest first.
      head: The head's index.
      head_weights: What trains of its weights; None where they do not.
      head_bias: Whether the scheme names its bias.
    """

    start: Smaller
    weights: dict[int, WeightUpdate]
    biases: tuple[int, ...]
    head: int
    head_weights: WeightUpdate | None
    head_bias: bool

    @staticmethod
    def of(model: Model, start: Smaller) -> Layers:
        """Reads them off a scheme."""
        plan = resolve(start.scheme, model)
        head = plan.head.index
        try:
            named = resolve(dataclasses.replace(start.scheme, weights=()), model).biases
        except SchemeError:
            named = frozenset()
        sizes = {layer.index: weight_bytes(layer) for layer in plan.layers}
        updates = {i: dataclasses.replace(update, layer=i) for i, update in plan.weights.items()}
        head_weights = updates.pop(head, None)
        return Layers(
            start,
            dict(sorted(updates.items(), key=lambda item: (-sizes[item[0]], item[0]))),
            tuple(sorted(named - {head})),
            head,
            head_weights,
            head in named and head_weights is None,
        )

    @property
    def most_biases(self) -> int:
        """How many layers' biases can be given up: something has to train."""
        return max(0, len(self.biases) - (not self._head_trains))

    @property
    def most_weights(self) -> int:
        """How many layers' weights can be given up."""
        last = not self._head_trains and not self.biases
        return len(self.weights) - last

    @property
    def _head_trains(self) -> bool:
        return self.head_weights is not None or self.head_bias

    def without(self, weights: tuple[int, ...], biases: int, head_share: float = 1.0) -> Smaller:
        """The scheme without the weights of some layers and the biases of the earliest."""
        kept = [update for index, update in self.weights.items() if index not in weights]
        if self.head_weights is not None:
            share = self.head_weights if head_share == 1 else WeightUpdate(self.head, head_share)
            kept.append(share)
        scheme = dataclasses.replace(
            self.start.scheme,
            biases_last=0,
            bias_layers=(*self.biases[biases:], *([self.head] if self.head_bias else [])),
            weights=tuple(kept),
        )
        return Smaller(scheme, self.start.way, weights, self.biases[:biases], head_share)

    def fewest(self, trials: Trials, budget: Budget) -> Smaller | None:
        """The fewest layers to give up; None where giving up all of them is not enough."""
        best = self._good(trials, budget)
        if best is None:
            return None
        limit = trials.count + _MOST_TRIALS
        for count in range(1, best.given_up):
            for smaller in self._giving_up(count):
                if trials.count >= limit:
                    return best
                if smaller.fits(trials, budget):
                    return smaller
        return best

    def part_of_head(self, trials: Trials, budget: Budget) -> Smaller | None:
        """Nothing but a part of the head."""
        if self.head_weights is None:
            return None
        for share in _HEAD_SHARES:
            smaller = self.without(tuple(self.weights), self.most_biases, share)
            if smaller.fits(trials, budget):
                return smaller
        return None

    def _good(self, trials: Trials, budget: Budget) -> Smaller | None:
        """A small number of layers to give up, of which the weights are the largest."""
        order = tuple(self.weights)
        best: Smaller | None = None
        for count in range(self.most_weights + 1):
            most = self.most_biases
            if best is not None:
                most = min(most, best.given_up - count - 1)
            by_biases = [self.without(order[:count], biases) for biases in range(most + 1)]
            if by_biases and by_biases[-1].fits(trials, budget):
                place = bisect.bisect_left(by_biases, True, key=lambda s: s.fits(trials, budget))
                best = by_biases[place]
        return best

    def _giving_up(self, count: int) -> Iterator[Smaller]:
        """Every way to give up so many."""
        for in_weights in range(min(count, self.most_weights) + 1):
            if count - in_weights <= self.most_biases:
                for weights in itertools.combinations(self.weights, in_weights):
                    yield self.without(weights, count - in_weights)
