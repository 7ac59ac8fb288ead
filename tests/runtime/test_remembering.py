"""A model that remembers earlier inputs: only what it is given is a step in time for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import random_inputs
from tflm_train.model import Model, load
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme

pytestmark = pytest.mark.interpreter

FRAMES = 3
RATE = 1e-3


def lstm(shared: Path, latent: bool = False) -> Model:
    original = load(shared / "models" / "trained_lstm_int8.tflite")
    return Model(rewrite(original, Scheme(latent=latent)).model_bytes, "lstm")


def frames_of(model: Model) -> list[Any]:
    return random_inputs(model.graph, FRAMES)


def test_it_remembers(shared: Path) -> None:
    """Or the tests below would see nothing."""
    model = lstm(shared)
    x = frames_of(model)[0]
    interpreter = tt.Interpreter(model)
    assert np.any(interpreter.infer(x) != interpreter.infer(x))


@pytest.mark.parametrize("at", range(FRAMES))
def test_reaching_the_weights_is_no_step_in_time(shared: Path, at: int) -> None:
    model = lstm(shared)
    saved = tt.Interpreter(model).state()
    plain, reached = tt.Interpreter(model), tt.Interpreter(model)
    for number, x in enumerate(frames_of(model)):
        if number == at:
            assert reached.state() == saved and reached.step == 0
            reached.load_state(saved)
        np.testing.assert_array_equal(reached.infer(x), plain.infer(x))


def test_nor_is_putting_a_latent_in_its_place(shared: Path) -> None:
    model = lstm(shared, latent=True)
    from_samples, from_latents, after_state = (tt.Interpreter(model) for _ in range(3))
    after_state.state()  # the weights are there, and nothing has run
    for x in frames_of(model):
        loss = from_samples.train_step(x, 1, RATE)
        assert from_latents.train_from_latent(x, 1, RATE) == loss
        assert after_state.train_from_latent(x, 1, RATE) == loss
    assert from_latents.state() == from_samples.state() == after_state.state()


def test_a_training_step_is_the_inference_too(shared: Path) -> None:
    """So a frame that is learned needs no inference of its own, which would count twice."""
    model = lstm(shared)
    inferred, trained = tt.Interpreter(model), tt.Interpreter(model)
    factory = trained.state()
    for x in frames_of(model):
        trained.train_step(x, 1, RATE)
        np.testing.assert_array_equal(trained.output(), inferred.infer(x))
        trained.load_state(factory)


def test_a_reset_forgets_all(shared: Path) -> None:
    model = lstm(shared)
    interpreter = tt.Interpreter(model)
    first = [interpreter.infer(x) for x in frames_of(model)]
    interpreter.reset()
    interpreter.state()
    np.testing.assert_array_equal([interpreter.infer(x) for x in frames_of(model)], first)
