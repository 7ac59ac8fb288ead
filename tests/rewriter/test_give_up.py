"""What is advised against what exhaustive rewriting finds, on small networks and budgets."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import pytest

from tests.networks import load_network
from tests.steps import DIGITS
from tflm_train.model import Model, load
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.give_up import find_smaller
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Head, Scheme, WeightUpdate

WAY = Way(stream=Streaming.OFF, forward=Forward.BUILTIN)
BUDGETS = 5  # of each model
# Layers whose weights train, and of how many below the head the biases do.
CASES = {
    "digits": ((4, 7, 9), 4),
    "ds_cnn": ((4, 6, 8), 3),
    "mobilenet_v1": ((8, 10, 12), 4),
    "mobilenet_v2": ((10, 13, 16), 3),
    "resnet": ((5, 7), 4),
    "autoencoder": ((1, 3), 3),
    "headless": ((7, 10), 3),
    "kws_ref_model": ((6, 8), 3),
}


def model_of(name: str) -> Model:
    return load(DIGITS) if name in ("digits", "headless") else load_network(name)


def scheme_of(name: str) -> Scheme:
    layers, last = CASES[name]
    weights = tuple(map(WeightUpdate, layers))
    return Scheme(weights=weights, biases_last=last, head=Head(train=name != "headless"))


class Exhaustive:
    """Every scheme that gives up something, rewritten.

    Attributes:
      at_no_loss: Arenas of what gives up no layer, in the order in which it is to be tried.
      by_count: The smallest arena with so many layers given up.
    """

    def __init__(self, name: str) -> None:
        model, scheme = model_of(name), scheme_of(name)
        layers, last = CASES[name]
        small = WAY.smallest()
        self.at_no_loss = [WAY.rewrite(model, scheme).memory.minimum_bytes]
        for bits in (8, 4, 0):
            fewer = dataclasses.replace(scheme, residual_bits=bits)
            self.at_no_loss.append(small.rewrite(model, fewer).memory.minimum_bytes)
        bare = dataclasses.replace(scheme, residual_bits=0)
        self.by_count = {}
        for biases, count in itertools.product(range(last + 1), range(len(layers) + 1)):
            for weights in itertools.combinations(scheme.weights, len(layers) - count):
                if not weights and biases == last and not scheme.head.train:
                    continue
                smaller = dataclasses.replace(bare, weights=weights, biases_last=last - biases)
                arena = small.rewrite(model, smaller).memory.minimum_bytes
                known = self.by_count.get(count + biases, arena)
                self.by_count[count + biases] = min(known, arena)

    @staticmethod
    @functools.cache
    def of(name: str) -> Exhaustive:
        """Made once for each case."""
        return Exhaustive(name)

    def budgets(self) -> list[int]:
        """From what nearly all fits to what only the least does."""
        low, high = min(self.by_count.values()), self.at_no_loss[0]
        return [low + (high - 1 - low) * step // (BUDGETS - 1) for step in range(BUDGETS)]


@pytest.mark.parametrize("name", CASES)
def test_never_more_than_needed(name: str) -> None:
    model, scheme, all_of_them = model_of(name), scheme_of(name), Exhaustive.of(name)
    trials = Trials(model)
    for budget in all_of_them.budgets():
        found = find_smaller(trials, scheme, WAY, Budget(budget))
        assert found is not None
        assert found.way.rewrite(model, found.scheme).memory.minimum_bytes <= budget
        if any(arena <= budget for arena in all_of_them.at_no_loss):
            assert found.given_up == 0
            tried = [arena for arena in all_of_them.at_no_loss if arena > budget]
            assert trials.arena(found.scheme, found.way) == all_of_them.at_no_loss[len(tried)]
        else:
            fewest = min(n for n, arena in all_of_them.by_count.items() if arena <= budget)
            assert found.given_up == fewest
        assert found.head_share == 1


def test_what_does_not_fit() -> None:
    """Below the least that trains nothing is found, and above it always something."""
    model, scheme = model_of("digits"), scheme_of("digits")
    trials = Trials(model)
    least = min(Exhaustive.of("digits").by_count.values())
    below = find_smaller(trials, scheme, WAY, Budget(least - 1))
    assert below is not None and below.head_share < 1
    assert find_smaller(trials, scheme, WAY, Budget(3000)) is None
