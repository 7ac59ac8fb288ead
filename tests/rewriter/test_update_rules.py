"""Whole models under update rules other than plain SGD, against the reference and each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import tflm_train as tt
from tests.rewriter.test_stream_training import assert_learns_the_same
from tests.steps import (
    RATE,
    assert_follows_reference,
    full_scheme,
    random_inputs,
    weights_of,
)
from tflm_train.errors import SchemeError
from tflm_train.model import Model
from tflm_train.qas.update_rule import AccumulatedSgd, Sgd, UpdateRule
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme, WeightUpdate

Converted = Callable[[str], Model]
RULES: dict[str, UpdateRule] = {
    "decay": Sgd(weight_decay=0.1),
    "clip": Sgd(clip_norm=0.3),
    "accumulated": AccumulatedSgd(steps=3),
    "all": AccumulatedSgd(weight_decay=0.02, clip_norm=2.0, steps=2),
}
PARTS = Scheme(
    bias_layers=(3,), weights=(WeightUpdate(1, 0.5), WeightUpdate(4, 0.5), *weights_of(5))
)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["mobilenet", "resnet"])
def test_full_update(converted: Converted, name: str, rule: str) -> None:
    model = converted(name)
    scheme = full_scheme(model, optimizer=RULES[rule])
    assert_follows_reference(_rewritten(model, scheme), steps=5)


@pytest.mark.parametrize("rule", RULES)
def test_in_part(converted: Converted, rule: str) -> None:
    scheme = replace(PARTS, optimizer=RULES[rule])
    assert_follows_reference(_rewritten(converted("mobilenet"), scheme), steps=5)


@pytest.mark.parametrize("rule", RULES)
def test_streamed_models_learn_the_same(converted: Converted, rule: str) -> None:
    model, scheme = converted("mobilenet"), replace(PARTS, optimizer=RULES[rule])
    streamed = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO)
    assert_learns_the_same(model, rewrite(model, scheme).model_bytes, streamed.model_bytes)


@pytest.mark.parametrize("residual_bits", [4, 0])
@pytest.mark.parametrize("rule", ["decay", "clip"])
def test_without_a_residual(converted: Converted, rule: str, residual_bits: int) -> None:
    scheme = replace(PARTS, optimizer=RULES[rule], residual_bits=residual_bits, seed=3)
    assert_follows_reference(_rewritten(converted("mobilenet"), scheme), steps=4)


def test_weights_stand_still_between_the_steps(converted: Converted) -> None:
    model = converted("keyword")
    interpreter = tt.Interpreter(
        _rewritten(model, full_scheme(model, optimizer=AccumulatedSgd(steps=3)))
    )
    trained = [n for n in interpreter.variables() if "gathered" in n]
    assert len(trained) == 10  # of weights and bias of five layers
    factory = {n: v.copy() for n, v in interpreter.variables().items()}
    moved = []
    for x in random_inputs(model.graph, 6):
        before = interpreter.variables()
        interpreter.train_step(x, 1, RATE)
        after = interpreter.variables()
        kinds = {n for n in after if not np.array_equal(before[n], after[n])}
        moved.append(any(n for n in kinds if not n.startswith(("train/", "update/"))))
    assert moved == [False, False, True, False, False, True]
    assert not any(interpreter.variables()[n].any() for n in trained), "all steps were made"
    assert any(factory[n].any() for n in factory)


def test_decay_shrinks_the_weights(converted: Converted) -> None:
    model = converted("keyword")
    norms = {}
    for name, rule in {"plain": Sgd(), "decayed": Sgd(weight_decay=5.0)}.items():
        interpreter = tt.Interpreter(_rewritten(model, full_scheme(model, optimizer=rule)))
        for x in random_inputs(model.graph, 20):
            interpreter.train_step(x, 1, 0.01)
        values = interpreter.variables()
        weights = [v for n, v in values.items() if v.dtype == np.int8 and "/residual" not in n]
        norms[name] = sum(float((w.astype(float) ** 2).sum()) for w in weights)
    assert norms["decayed"] < 0.5 * norms["plain"]


def test_a_small_residual_leaves_no_room_for_accumulation() -> None:
    text = "version: 1\nresidual_bits: 0\noptimizer: {gradient_accumulation_steps: 4}\n"
    with pytest.raises(SchemeError, match=r"line 2: residual_bits: accumulated steps need"):
        Scheme.parse(text)


def _rewritten(model: Model, scheme: Scheme) -> Model:
    return Model(rewrite(model, scheme).model_bytes, model.name)
