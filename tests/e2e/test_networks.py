"""What the README claims, on whole networks in the real interpreter, of whatever generation.

Five small trained ones come with the tests (`tests.networks`); where the shared folder is, its real
models go through the same.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

import tflm_train as tt
from tests.memory.test_memory_report import assert_predicted
from tests.networks import CONVOLUTIONAL, NETWORKS, load_network
from tests.steps import (
    assert_follows_reference,
    assert_same_inference,
    assert_same_variables,
    full_scheme,
    random_inputs,
    weights_of,
)
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming, optimize
from tflm_train.runtime.model_data import model_inputs, targets
from tflm_train.runtime.training import evaluate, train
from tflm_train.runtime.training_record import TrainingRecord
from tflm_train.scheme import Head, Scheme

pytestmark = pytest.mark.interpreter

SCHEMES = {name: network.scheme for name, network in NETWORKS.items()} | {
    name: Scheme(biases_last=last, weights=weights_of(*layers))
    for name, last, layers in (
        ("kws_ref_model", 8, (0, 1, 2, 3, 4, 6, 8)),
        ("mbv2-w0.35", 25, (27, 48)),
        ("mbv2-w0.35.nopad", 25, (27, 48)),
        ("mcunet-5fps", 22, (21, 22, 24)),
        ("mcunet-5fps.nopad", 22, (21, 24, 27, 30, 36, 39)),
        ("person_detect", 10, (20,)),
        ("pretrainedResnet_quant", 9, (0, 2, 4, 6, 8)),
        ("proxyless-w0.3", 25, (36,)),
        ("proxyless-w0.3.nopad", 25, (36, 39)),
        ("str_ww_ref_model", 8, (1, 3, 5)),
        ("vww_96_int8", 10, (20, 22)),
    )
}
LEAST_GAIN = 0.25
"""Of the accuracy on changed digits, in two epochs of 300."""


@pytest.mark.parametrize("name", SCHEMES)
def test_inference_equals_the_original_s(name: str) -> None:
    model = load_network(name)
    assert_same_inference(model, Model(rewrite(model, SCHEMES[name]).model_bytes))


@pytest.mark.parametrize("residual_bits", [8, 0])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_equals_the_reference(name: str, residual_bits: int) -> None:
    model = load_network(name)
    loss = NETWORKS[name].scheme.loss
    scheme = full_scheme(model, loss=loss, residual_bits=residual_bits, seed=2)
    new = Model(rewrite(model, scheme).model_bytes)
    assert_follows_reference(new, steps=1, rate=2e-3)


@pytest.mark.parametrize("residual_bits", [8, 0])
@pytest.mark.parametrize("classes", [None, 10])
@pytest.mark.parametrize("name", ["ds_cnn", "kws_ref_model"])
def test_a_step_with_a_fresh_head(name: str, classes: int | None, residual_bits: int) -> None:
    model = load_network(name)
    scheme = full_scheme(model, head=Head(classes=classes), residual_bits=residual_bits, seed=2)
    new = Model(rewrite(model, scheme).model_bytes)
    # Two: a fresh head hands no gradient on before its weights have moved.
    assert_follows_reference(new, steps=2, rate=2e-3)


@functools.cache
def trained(name: str) -> tuple[Model, tt.Interpreter, TrainingRecord]:
    """The rewritten network after two epochs on digits that were changed in one way."""
    network = NETWORKS[name]
    new = Model(rewrite(load_network(name), network.scheme).model_bytes, name)
    interpreter = tt.Interpreter(new)
    record = train(interpreter, network.dataset(), epochs=2, learning_rate=network.rate)
    return new, interpreter, record


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_it_learns(name: str) -> None:
    record = trained(name)[2]
    assert record.metric == "accuracy"
    assert record.test_accuracy >= record.test_accuracy_before + LEAST_GAIN


def test_an_autoencoder_learns() -> None:
    record = trained("autoencoder")[2]
    assert record.metric == "mean_squared_error"
    assert record.test_accuracy < 0.75 * record.test_accuracy_before


@pytest.mark.parametrize("name", NETWORKS)
def test_a_state_brings_back_what_was_learnt(name: str) -> None:
    new, interpreter, record = trained(name)
    other = tt.Interpreter(new)
    other.load_state(interpreter.state())
    assert other.state() == interpreter.state()
    data = NETWORKS[name].dataset()
    x_test = model_inputs(other, data.x_test, "x_test")
    y_test = targets(other, data, "test", x_test)
    assert evaluate(other, x_test, y_test) == record.test_accuracy
    other.reset()
    assert evaluate(other, x_test, y_test) == record.test_accuracy_before


@pytest.mark.parametrize("name", NETWORKS)
def test_a_merged_network_answers_as_the_trained_one(name: str) -> None:
    new, interpreter, _ = trained(name)
    merged = tt.Interpreter(tt.merge(new, interpreter.state()))
    assert not merged.is_trainable
    for x in random_inputs(new.graph, 20, seed=5):
        np.testing.assert_array_equal(merged.infer(x), interpreter.infer(x))


@pytest.mark.parametrize("residual_bits", [8, 0])
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_streams_save_memory_and_change_no_bit(name: str, residual_bits: int) -> None:
    model, network = load_network(name), NETWORKS[name]
    scheme = dataclasses.replace(network.scheme, residual_bits=residual_bits)
    plain = rewrite(model, scheme)
    streamed = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO)
    assert streamed.memory.total_bytes < plain.memory.total_bytes
    assert_predicted(Model(streamed.model_bytes))
    one, other = tt.Interpreter(plain.model_bytes), tt.Interpreter(streamed.model_bytes)
    data = network.dataset()
    x = model_inputs(one, data.x_train[:20], "x_train")
    for sample, label in zip(x, data.y_train[:20], strict=True):
        loss = one.train_step(sample, int(label), network.rate)
        assert other.train_step(sample, int(label), network.rate) == loss
        np.testing.assert_array_equal(one.output(), other.output())
    assert_same_variables(other.variables(), one.variables(), "after 20 steps")


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_optimized_inference_saves_memory_and_changes_no_bit(name: str) -> None:
    model = load_network(name)
    result = optimize(model)
    assert result.after.total_bytes < result.before.total_bytes
    one, other = tt.Interpreter(model), tt.Interpreter(result.model_bytes)
    for x in random_inputs(model.graph, 20, seed=2):
        np.testing.assert_array_equal(one.infer(x), other.infer(x))
