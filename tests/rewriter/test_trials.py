"""Trials know again what earlier ones found out, and find the same as a rewrite by itself."""

from __future__ import annotations

import dataclasses
import math

import pytest

from tests.networks import load_network
from tflm_train.cost.cores import Core
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Head, Scheme, WeightUpdate

SCHEMES = (
    Scheme(),
    Scheme(biases_last=3),
    Scheme(weights=(WeightUpdate(8, 0.25), WeightUpdate(10)), biases_last=4),
    Scheme(weights=(WeightUpdate(10, 0.5),), biases_last=2, residual_bits=0),
    Scheme(weights=(WeightUpdate(8, 0.25),), biases_last=6, residual_bits=4),
    Scheme(biases_last=5, head=Head(classes=3)),
)


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_the_same_as_a_rewrite(name: str) -> None:
    model = load_network(name)
    trials = Trials(model)
    for core in (Core.M7, Core.M55):
        for limit in (1.0, math.inf):
            way = Way(core.kernels, core=core, max_slowdown=limit)
            for scheme in (*SCHEMES, *(dataclasses.replace(s, latent=True) for s in SCHEMES[:2])):
                known, alone = trials.costs(scheme, way), way.rewrite(model, scheme)
                assert known.memory.minimum_bytes == alone.memory.minimum_bytes
                assert known.memory.total_bytes == alone.memory.total_bytes
                assert known.flash == alone.flash
                assert known.flash.model_bytes == len(alone.model_bytes)
                assert known.step == alone.step


def test_one_rewrite_each() -> None:
    trials = Trials(load_network("mobilenet_v1"))
    first = trials.costs(SCHEMES[1], Way())
    assert trials.costs(SCHEMES[1], Way()) is first
    assert trials.arena(SCHEMES[1], Way()) == first.arena_bytes
    assert trials.count == 1
