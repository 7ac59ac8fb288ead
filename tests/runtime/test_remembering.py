"""A model that remembers earlier inputs: only what it is given is a step in time for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflm_train as tt
from tests import raw_model
from tests.single_op import activation, bias, variable, weights
from tests.steps import random_inputs
from tflm_train.model import Model, Op, Quantization, Tensor, load
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme

pytestmark = pytest.mark.interpreter

FRAMES = 3
RATE = 1e-3


def svdf() -> Model:
    """Filters over time and a layer that trains behind them, made by hand."""
    rng = np.random.default_rng(5)
    model = raw_model.empty_model({"SVDF": 3, "FULLY_CONNECTED": 4, "SOFTMAX": 2}, "svdf")
    features, times, dense = (weights(6, n, per_channel=False) for n in (5, 4, 6))
    for tensor in (features, times, dense):
        tensor.data = rng.integers(-127, 128, tensor.shape).astype(np.int8)
    x, filtered, logits = activation(1, 5), activation(1, 6), activation(1, 6, scale=1 / 8)
    probabilities = activation(1, 6, scale=1 / 256, zero_point=-128)
    state = variable(activation(1, 24, scale=1 / 16))
    shift = Tensor.constant("", np.zeros(6, np.int32))
    scale = np.float32(state.scale) * np.float32(times.scale)
    shift.quantization = Quantization(np.array([scale], np.float32), np.zeros(1, np.int64))
    options, soft = schema.SVDFOptionsT(), schema.SoftmaxOptionsT()
    options.rank, options.fusedActivationFunction, soft.beta = 1, 1, 1.0
    ops = [
        Op("SVDF", [x, features, times, shift, state], [filtered], options),
        Op("FULLY_CONNECTED", [filtered, dense, bias(6, dense, filtered)], [logits],
           schema.FullyConnectedOptionsT()),
        Op("SOFTMAX", [logits], [probabilities], soft),
    ]  # fmt: skip
    graph = model.graph
    tensors = {id(t): t for op in ops for t in [*op.inputs, *op.outputs] if t is not None}
    for number, tensor in enumerate(tensors.values()):
        tensor.name = f"t{number}"
        graph.add(tensor)
    graph.inputs, graph.outputs, graph.ops = [x], [probabilities], ops
    return Model(model.to_bytes(), "svdf")


MODELS = ("lstm", "svdf")


@pytest.fixture(params=MODELS)
def original(request: pytest.FixtureRequest) -> Model:
    if request.param == "svdf":
        return svdf()
    shared: Path = request.getfixturevalue("shared")
    return load(shared / "models" / "trained_lstm_int8.tflite")


@pytest.fixture
def model(original: Model) -> Model:
    return Model(rewrite(original, Scheme()).model_bytes, original.name)


@pytest.fixture
def with_latent(original: Model) -> Model:
    return Model(rewrite(original, Scheme(latent=True)).model_bytes, original.name)


def frames_of(model: Model) -> list[Any]:
    return random_inputs(model.graph, FRAMES)


def test_it_remembers(model: Model) -> None:
    """Or the tests below would see nothing."""
    x = frames_of(model)[0]
    interpreter = tt.Interpreter(model)
    assert np.any(interpreter.infer(x) != interpreter.infer(x))


@pytest.mark.parametrize("at", range(FRAMES))
def test_reaching_the_weights_is_no_step_in_time(model: Model, at: int) -> None:
    saved = tt.Interpreter(model).state()
    plain, reached = tt.Interpreter(model), tt.Interpreter(model)
    for number, x in enumerate(frames_of(model)):
        if number == at:
            assert reached.state() == saved and reached.step == 0
            reached.load_state(saved)
        np.testing.assert_array_equal(reached.infer(x), plain.infer(x))


def test_nor_is_putting_a_latent_in_its_place(with_latent: Model) -> None:
    model = with_latent
    from_samples, from_latents, after_state = (tt.Interpreter(model) for _ in range(3))
    after_state.state()  # the weights are there, and nothing has run
    for x in frames_of(model):
        loss = from_samples.train_step(x, 1, RATE)
        assert from_latents.train_from_latent(x, 1, RATE) == loss
        assert after_state.train_from_latent(x, 1, RATE) == loss
    assert from_latents.state() == from_samples.state() == after_state.state()


def test_a_training_step_is_the_inference_too(model: Model) -> None:
    """So a frame that is learned needs no inference of its own, which would count twice."""
    inferred, trained = tt.Interpreter(model), tt.Interpreter(model)
    factory = trained.state()
    for x in frames_of(model):
        trained.train_step(x, 1, RATE)
        np.testing.assert_array_equal(trained.output(), inferred.infer(x))
        trained.load_state(factory)


def test_a_reset_forgets_all(model: Model) -> None:
    interpreter = tt.Interpreter(model)
    first = [interpreter.infer(x) for x in frames_of(model)]
    interpreter.reset()
    interpreter.state()
    np.testing.assert_array_equal([interpreter.infer(x) for x in frames_of(model)], first)


def test_a_reset_leaves_other_interpreters_alone(model: Model) -> None:
    plain, other, reset = (tt.Interpreter(model) for _ in range(3))
    for x in frames_of(model):
        reset.train_step(x, 1, RATE)
        reset.reset()
        np.testing.assert_array_equal(other.infer(x), plain.infer(x))


def test_a_learned_frame_that_was_inferred_too_counts_twice(model: Model) -> None:
    """As the documentation says; or it could promise less."""
    once, twice = tt.Interpreter(model), tt.Interpreter(model)
    x = frames_of(model)[0]
    twice.infer(x)
    for interpreter in (once, twice):
        interpreter.train_step(x, 1, RATE)
    assert np.any(once.output() != twice.output())
