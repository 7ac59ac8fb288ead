"""Models as TensorFlow's converter makes them of well-known architectures, every layer trained."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests.architectures import BUILDERS
from tests.models import convert
from tests.steps import (
    assert_follows_reference,
    assert_same_inference,
    full_scheme,
    random_inputs,
    train,
)
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.scheme.loss import Loss

# An autoencoder's target is its input.
LOSSES = {"autoencoder": Loss("mean_squared_error", "input")}
GAIN = 1.7
SAMPLES = 6


@functools.cache
def _pair(name: str) -> tuple[Model, Model]:
    seed = list(BUILDERS).index(name) + 201
    model = Model(convert(BUILDERS[name], seed, gain=GAIN), name)
    scheme = full_scheme(model, loss=LOSSES.get(name, Loss()))
    return model, Model(rewrite(model, scheme).model_bytes, name)


@pytest.fixture(params=BUILDERS)
def pair(request: pytest.FixtureRequest) -> tuple[Model, Model]:
    """The original and the rewritten model."""
    return _pair(request.param)


def test_inference_is_as_before(pair: tuple[Model, Model]) -> None:
    assert_same_inference(*pair, count=SAMPLES)


def test_a_step_is_the_reference_s(pair: tuple[Model, Model]) -> None:
    assert_follows_reference(pair[1], steps=1)


def test_litert_agrees_as_it_does_on_the_original(pair: tuple[Model, Model]) -> None:
    """LiteRT knows no training op: it runs what `merge` makes of the rewritten model."""
    model, rewritten = pair
    samples = random_inputs(model.graph, SAMPLES, seed=8)
    original = litert(model.source, samples)
    np.testing.assert_array_equal(litert(tt.merge(rewritten), samples), original)

    interpreter = tt.Interpreter(model)
    before = distance(original, [interpreter.infer(x) for x in samples])
    trained = tt.Interpreter(rewritten)
    train(trained, 2, rate=0.01)
    merged = litert(tt.merge(rewritten, trained.state()), samples)
    after = distance(merged, [trained.infer(x) for x in samples])
    assert after <= max(2 * before, 1)


def litert(model: bytes, samples: list[npt.NDArray[np.int8]]) -> npt.NDArray[Any]:
    """The first output for each sample."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    outputs = []
    for x in samples:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy())
    return np.stack(outputs)


def distance(a: npt.NDArray[Any], b: Any) -> int:
    """The largest difference, in steps of the output."""
    return int(np.abs(a.astype(np.int64) - np.stack(b).astype(np.int64)).max())
