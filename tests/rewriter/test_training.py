"""Rewritten models: inference as before, training as the numpy reference, sparse as full."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm_train as tt
from tests import steps
from tests.models import CONVERTED, TRAINABLE, converted_model
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head, Scheme

# Biases alone in some layers, weights in others, layers between them frozen.
SPARSE: dict[str, Scheme] = {
    "mobilenet": Scheme(bias_layers=(3, 4), weights=steps.weights_of(1, 5)),
    "resnet": Scheme(biases_last=2, weights=steps.weights_of(1)),
    "keyword": Scheme(bias_layers=(0,), weights=steps.weights_of(1, 3)),
    "branches": Scheme(bias_layers=(1, 3), weights=steps.weights_of(2)),
    "wide": Scheme(weights=steps.weights_of(0)),
    "opaque": Scheme(biases_last=1),
}

Converted = Callable[[str], Model]


def rewritten(model: Model, scheme: Scheme) -> Model:
    return Model(rewrite(model, scheme).model_bytes, model.name)


class TestInference:
    @pytest.mark.parametrize("name", TRAINABLE)
    def test_every_layer_trainable(self, converted: Converted, name: str) -> None:
        model = converted(name)
        steps.assert_same_inference(model, rewritten(model, steps.full_scheme(model)))

    @pytest.mark.parametrize("name", CONVERTED)
    def test_sparse(self, converted: Converted, name: str) -> None:
        model = converted(name)
        steps.assert_same_inference(model, rewritten(model, SPARSE[name]))

    @pytest.mark.interpreter
    def test_digits(self, digits: Model) -> None:
        steps.assert_same_inference(digits, rewritten(digits, steps.full_scheme(digits)))

    def test_firmware_that_knows_nothing_of_training(self, converted: Converted) -> None:
        """Sets input 0, invokes, reads output 0: the other inputs stay as TFLM made them."""
        model = converted("mobilenet")
        plain = tt.Interpreter(model)
        raw = tt.Interpreter(rewritten(model, SPARSE["mobilenet"]))._interpreter
        for x in steps.random_inputs(model.graph, 3):
            raw.set_input(x, 0)
            raw.invoke()
            np.testing.assert_array_equal(raw.get_output(0), plain.infer(x))
            assert raw.get_output(1)[0] == 0, "the loss is 0 when nothing trains"


@pytest.mark.parametrize("residual_bits", [8, 0])
class TestSteps:
    @pytest.mark.parametrize("classes", [None, 7])
    @pytest.mark.parametrize("name", TRAINABLE)
    def test_every_layer(
        self, converted: Converted, name: str, classes: int | None, residual_bits: int
    ) -> None:
        model = converted(name)
        head = Head(classes=classes)
        scheme = steps.full_scheme(model, head=head, residual_bits=residual_bits, seed=5)
        steps.assert_follows_reference(rewritten(model, scheme))

    @pytest.mark.parametrize("name", CONVERTED)
    def test_sparse(self, converted: Converted, name: str, residual_bits: int) -> None:
        scheme = _with(SPARSE[name], residual_bits=residual_bits, seed=2**32 - 1)
        steps.assert_follows_reference(rewritten(converted(name), scheme))

    @pytest.mark.interpreter
    @pytest.mark.parametrize("classes", [None, 4])
    def test_digits(self, digits: Model, classes: int | None, residual_bits: int) -> None:
        head = Head(classes=classes)
        scheme = steps.full_scheme(digits, head=head, residual_bits=residual_bits)
        steps.assert_follows_reference(rewritten(digits, scheme))

    def test_without_quantization_aware_scaling(
        self, converted: Converted, residual_bits: int
    ) -> None:
        model = converted("mobilenet")
        scheme = steps.full_scheme(model, qas=False, residual_bits=residual_bits)
        steps.assert_follows_reference(rewritten(model, scheme), rate=1e4)


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_trained_variable_moves(converted: Converted, name: str) -> None:
    """Guards the comparisons above: nothing they compare stands still."""
    model = converted(name)
    interpreter = tt.Interpreter(rewritten(model, steps.full_scheme(model)))
    before = interpreter.variables()
    for x in steps.random_inputs(model.graph, 3):
        interpreter.train_step(x, 1, steps.RATE)
    after = interpreter.variables()
    assert [k for k in before if np.array_equal(before[k], after[k])] == []


@functools.cache
def _first_step_of(name: str, residual_bits: int) -> dict[str, Any]:
    model = Model(converted_model(name))
    return _after_one_step(model, steps.full_scheme(model, residual_bits=residual_bits, seed=9))


def _after_one_step(model: Model, scheme: Scheme) -> dict[str, Any]:
    interpreter = tt.Interpreter(rewritten(model, scheme))
    interpreter.train_step(steps.random_inputs(model.graph, 1, seed=6)[0], 2, steps.RATE)
    return interpreter.variables()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_sparse_step_is_the_full_step_restricted(data: st.DataObject) -> None:
    """From the factory state, what trains does not change how far the others move.

    Activations are the same in the first step, gradients are computed with the weights before it,
    and their exponents are predicted from ranges that are still zero: so only the set of variables
    differs. (Later steps see other activations.)
    """
    name = data.draw(st.sampled_from(["mobilenet", "resnet", "branches"]))
    model = Model(converted_model(name))
    layers = list_layers(model.graph)
    indices = st.sets(st.integers(0, len(layers) - 2))
    weights, biases = data.draw(indices), data.draw(indices)
    head = Head(train=data.draw(st.booleans()) or not (weights | biases))
    residual_bits = data.draw(st.sampled_from([8, 0]))
    scheme = Scheme(
        head=head,
        weights=steps.weights_of(*sorted(weights)),
        bias_layers=tuple(sorted(biases)),
        residual_bits=residual_bits,
        seed=9,
    )
    if head.train:
        weights = weights | {len(layers) - 1}
    got = _after_one_step(model, scheme)
    expected_names = {layers[i].weights.name for i in weights}
    expected_names |= {layers[i].bias.name for i in weights | biases}  # type: ignore[union-attr]
    residuals = {f"update/{layers[i].name}/residual" for i in weights if residual_bits}
    # Where only the head trains, no exponent is predicted.
    below_the_head = (weights | biases) - {len(layers) - 1}
    own = {"train/scales", "train/ranges"} if below_the_head else {"train/scales"}
    assert set(got) == expected_names | residuals | own
    full = _first_step_of(name, residual_bits)
    steps.assert_same_variables(got, full, name, sorted(set(got) - own))


def _with(scheme: Scheme, **changes: Any) -> Scheme:
    return Scheme(**{**vars(scheme), **changes})
