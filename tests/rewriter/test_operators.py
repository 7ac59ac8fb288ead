"""Converter-made models of every operator: inference as before, training as the reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_train as tt
from tests.models import OPERATORS
from tests.operator_models import HOLDS
from tests.steps import (
    RATE,
    assert_follows_reference,
    assert_same_inference,
    full_scheme,
    random_inputs,
)
from tflm_train.backward_ops.rules import RULES
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme

Converted = Callable[[str], Model]


@pytest.fixture(params=OPERATORS)
def model(request: pytest.FixtureRequest, converted: Converted) -> Model:
    return converted(request.param)


def rewritten(model: Model, **changes: int) -> Model:
    return Model(rewrite(model, full_scheme(model, **changes)).model_bytes, model.name)


def test_the_converter_kept_the_operators(model: Model) -> None:
    assert HOLDS[model.name] <= {op.name for op in model.graph.ops}


def test_inference(model: Model) -> None:
    assert_same_inference(model, rewritten(model), count=8)


def test_steps(model: Model) -> None:
    assert_follows_reference(rewritten(model))


def test_everything_moves(model: Model) -> None:
    """Guards the comparison: no gradient of it is zero."""
    interpreter = tt.Interpreter(rewritten(model))
    before = interpreter.variables()
    scales = []
    for x in random_inputs(model.graph, 3):
        interpreter.train_step(x, 1, RATE)
        scales.append(interpreter.variables()["train/scales"])
    after = interpreter.variables()
    for layer in list_layers(model.graph):
        # A small step shows in the low bits only.
        names = (layer.weights.name, f"update/{layer.name}/residual")
        assert any(not np.array_equal(before[n], after[n]) for n in names), layer
    # Steps of that size may end the learning at once: the loss is 0 then.
    assert (np.max(scales, axis=0) > 0).all()


def test_the_first_layer_alone(model: Model) -> None:
    """Activations that only the gradient needs stay alive without an update that reads them."""
    scheme = Scheme(bias_layers=(0,))
    new = Model(rewrite(model, scheme).model_bytes, model.name)
    assert_same_inference(model, new, count=3)
    assert_follows_reference(new, steps=2)


def test_every_rule_is_met() -> None:
    """Each operator with a rule is in one of the models, or shares its rule with one that is."""
    held = set().union(*HOLDS.values())
    elsewhere = {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "PAD", "RESHAPE"),
        # The converter writes these as PAD or as RESHAPE.
        *("PADV2", "SQUEEZE", "EXPAND_DIMS"),
        # Functions of one element, as ELU is.
        *("COS", "EXP", "LOG", "SIN", "SQRT"),
    }
    assert set(RULES) - elsewhere <= held
