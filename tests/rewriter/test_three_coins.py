"""Budgets of RAM, flash and time: what fits passes, what lacks is said, enough is given up."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re

import pytest

from tests.networks import load_network
from tflm_train.cost.cores import Core
from tflm_train.errors import BudgetError
from tflm_train.rewriter.budget import fitting_way
from tflm_train.rewriter.choose_preset import choose_preset
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.costs import Costs
from tflm_train.rewriter.give_up import find_smaller
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Scheme, WeightUpdate

WAY = Way(core=Core.M4)
LAYERS, BIASES = (8, 10, 12), 4
SCHEME = Scheme(weights=tuple(map(WeightUpdate, LAYERS)), biases_last=BIASES)
CLOCK = 64_000_000


@pytest.fixture(scope="module")
def trials() -> Trials:
    return Trials(load_network("mobilenet_v1"))


def time_of(costs: Costs) -> float:
    return costs.step.milliseconds(CLOCK)


def test_each_coin_is_checked(trials: Trials) -> None:
    costs = trials.costs(SCHEME, WAY)
    enough = Budget(costs.arena_bytes, costs.flash_bytes, time_of(costs), CLOCK)
    assert fitting_way(trials.model, SCHEME, WAY, enough) == WAY
    for field, words in (
        ("arena", "more than the budget of"),
        ("flash", "bytes of flash, 1 more than the budget of"),
        ("step_ms", r"ms a step on m4 at 64 MHz \(estimated\)"),
    ):
        short = dataclasses.replace(enough, **{field: getattr(enough, field) - 1})
        assert not short.allows(short.spent(costs)) and short.excess(costs) > 0
        with pytest.raises(BudgetError) as caught:
            fitting_way(trials.model, SCHEME, WAY, short)
        message = str(caught.value)
        assert re.search(words, message) and "\n" not in message
        assert re.search(r"to fit, give up(, one after the other)?: .* then\)$", message)
        # Of the others nothing is said to be lacking.
        assert len(list(short.lacks(costs))) == 1


def exhaustive(trials: Trials) -> dict[int, list[Costs]]:
    """What is left by how much is given up, with the smallest residuals, in each way."""
    found: dict[int, list[Costs]] = {}
    bare = dataclasses.replace(SCHEME, residual_bits=0)
    for biases, count in itertools.product(range(BIASES + 1), range(len(LAYERS) + 1)):
        for weights in itertools.combinations(bare.weights, len(LAYERS) - count):
            scheme = dataclasses.replace(bare, weights=weights, biases_last=BIASES - biases)
            for way in (WAY, WAY.smallest(), WAY.fastest(), WAY.builtin()):
                found.setdefault(biases + count, []).append(trials.costs(scheme, way))
    return found


def test_never_more_than_needed(trials: Trials) -> None:
    everything = exhaustive(trials)
    first = trials.costs(SCHEME, WAY)
    for share in (0.95, 0.8, 0.6):
        for budget in (
            Budget(flash=round(share * first.flash_bytes), clock=CLOCK),
            Budget(step_ms=share * time_of(first), clock=CLOCK),
            Budget(first.arena_bytes, math.inf, share * time_of(first), CLOCK),
        ):
            found = find_smaller(trials, SCHEME, WAY, budget)
            fewest = min(
                (
                    n
                    for n, each in everything.items()
                    if any(budget.allows(budget.spent(x)) for x in each)
                ),
                default=None,
            )
            if fewest is None:
                assert found is None or found.head_share < 1
                continue
            assert found is not None and found.fits(trials, budget)
            assert found.given_up <= fewest


def test_what_nothing_helps(trials: Trials) -> None:
    for budget, words in (
        (Budget(flash=1000, clock=CLOCK), "of flash, of which the model as it is takes"),
        (Budget(step_ms=0.5, clock=CLOCK), "an inference of the model as it is"),
    ):
        with pytest.raises(BudgetError, match=words):
            fitting_way(trials.model, SCHEME, WAY, budget)


def test_presets(trials: Trials) -> None:
    _, free = choose_preset(trials.model, Budget(1 << 20, clock=CLOCK), WAY)
    chosen_trial = next(t for t in reversed(free.tried) if t.fits)
    for budget in (
        Budget(1 << 20, flash=chosen_trial.flash_bytes - 8192, clock=CLOCK),
        Budget(1 << 20, step_ms=0.8 * chosen_trial.step_ms, clock=CLOCK),
    ):
        smaller, choice = choose_preset(trials.model, budget, WAY)
        assert smaller.fits(trials, budget)
        # It is not the trial that was the best without these limits.
        assert any(not trial.fits for trial in choice.tried)
        limits = (choice.flash_budget or math.inf, choice.step_ms_budget or math.inf)
        assert limits == (budget.flash, budget.step_ms)
