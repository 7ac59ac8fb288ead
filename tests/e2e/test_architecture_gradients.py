"""Gradients of whole models of attention, recurrence, pyramids and skips: TensorFlow's; they learn.

`test_architectures` compares their steps with the reference, bit for bit.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests.architectures import BUILDERS
from tests.e2e.float_twin import gradients
from tests.models import convert
from tests.steps import full_scheme, random_inputs, random_target, weights_of
from tflm_train import ops
from tflm_train.backward_ops import conv_2d, depthwise_conv_2d
from tflm_train.model import Model
from tflm_train.model.layers import is_per_channel, list_layers
from tflm_train.model.prepared import prepared
from tflm_train.ops.geometry import layer_geometry
from tflm_train.ops.reading import is_ours, read_params
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head, Scheme

MODELS = ("keyword_transformer", "vision_transformer", "crnn", "blaze_face", "u_net", "densenet")
SAMPLES, STILL = 6, 1e-30
RATES, EPOCHS = (0.3, 0.1, 0.03), 30
Real = npt.NDArray[np.float64]


@functools.cache
def model_of(name: str) -> Model:
    data = convert(BUILDERS[name], list(BUILDERS).index(name) + 401, gain=1.7)
    return prepared(Model(data, name))


def applied(interpreter: tt.Interpreter) -> dict[str, Real]:
    """The gradient that the last step's updates applied to weights, in real units, by name.

    The interpreter keeps all tensors.
    """
    found: dict[str, Any] = defaultdict(float)
    values = interpreter.variables()["train/scales"]
    for op in interpreter.model.graph.ops:
        if not is_ours(op):
            continue
        params = read_params(op, interpreter.model.graph, "model")
        if not isinstance(params, ops.ConvUpdate | ops.DepthwiseUpdate):
            continue
        inputs, u = params.inputs_of(op), params.update
        q, x = interpreter.tensor(inputs.gradient), interpreter.tensor(inputs.x)
        if isinstance(params, ops.ConvUpdate):
            geometry = layer_geometry(params.geometry, params.transposed)
            total, _ = conv_2d.weight_gradient(q, x, u.x_zero_point, geometry)
        else:
            total, _ = depthwise_conv_2d.weight_gradient(q, x, u.x_zero_point, params.geometry)
        real = total * (float(values[u.slot]) * inputs.x.scale)
        found[inputs.weights.name] = found[inputs.weights.name] + real.ravel()
    return dict(found)


def cosine(a: Real, b: Real) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_tensorflow_s(name: str) -> None:
    model = model_of(name)
    trainable = Model(rewrite(model, full_scheme(model)).model_bytes, name)
    interpreter = tt.Interpreter(trainable, preserve_all=True)
    factory = interpreter.state()
    rng = np.random.default_rng(5)
    ours: dict[str, list[Real]] = defaultdict(list)
    theirs: dict[str, list[Real]] = defaultdict(list)
    for x in random_inputs(model.graph, SAMPLES + 2, seed=4):
        labels = random_target(interpreter, rng)
        interpreter.load_state(factory)
        # The first steps find the exponents that the others begin with.
        interpreter.train_step(x, labels, STILL)
        for weights, gradient in applied(interpreter).items():
            ours[weights].append(gradient)
        for weights, gradient in gradients(model, x, labels).items():
            theirs[weights].append(gradient.ravel())
    assert set(ours) == set(theirs)
    found = {key: cosine(np.concatenate(ours[key]), np.concatenate(theirs[key])) for key in ours}
    ratios = {key: float(np.linalg.norm(ours[key]) / np.linalg.norm(theirs[key])) for key in ours}
    # A softmax within the graph is known in steps of 1/256; a long chain of gradients, each rounded
    # to int8, grows.
    least, median, norm = (0.98, 0.995, 0.1) if "transformer" in name else (0.999, 0.9995, 0.03)
    norm = 0.08 if name == "densenet" else norm
    assert min(found.values()) > least, found
    assert np.median(list(found.values())) > median, found
    assert all(abs(ratio - 1) < norm for ratio in ratios.values()), ratios


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_falls(name: str) -> None:
    model = model_of(name)
    before, after, _ = losses(model, full_scheme(model))
    assert after < 0.7 * before


@pytest.mark.parametrize("part", ["gamma and beta", "beta"])
def test_layer_normalizations_alone_lower_the_loss(part: str) -> None:
    """Of a transformer nothing else trains, not the head either."""
    model = model_of("keyword_transformer")
    own = [x.index for x in list_layers(model.graph) if is_per_channel(x.op)]
    assert len(own) == 5
    scheme = Scheme(head=Head(train=False), bias_layers=tuple(own))
    if part != "beta":
        scheme = dataclasses.replace(scheme, bias_layers=(), weights=weights_of(*own))
    before, after, interpreter = losses(model, scheme)
    assert after < 0.5 * before
    merged = Model(tt.merge(interpreter.model, interpreter.state()))
    assert not any(op.is_custom for op in merged.graph.ops)
    scales = [layer.weights.data for layer in list_layers(merged.graph) if is_per_channel(layer.op)]
    assert len(scales) == 5
    assert all((np.ptp(scale) > 0) == (part != "beta") for scale in scales if scale is not None)
    plain = tt.Interpreter(merged)
    for x in random_inputs(model.graph, SAMPLES, seed=9):
        np.testing.assert_array_equal(plain.infer(x), interpreter.infer(x))


def losses(model: Model, scheme: Scheme) -> tuple[float, float, tt.Interpreter]:
    """Of some samples before, and after learning them at the best of a few rates."""
    interpreter = tt.Interpreter(rewrite(model, scheme).model_bytes)
    rng = np.random.default_rng(6)
    samples = random_inputs(model.graph, SAMPLES, seed=8)
    batch = [(x, random_target(interpreter, rng)) for x in samples]

    def loss() -> float:
        return float(np.mean([interpreter.train_step(x, y, STILL) for x, y in batch]))

    before, after = loss(), []
    for rate in RATES:
        interpreter.reset()
        for _ in range(EPOCHS):
            for x, y in batch:
                interpreter.train_step(x, y, rate)
        after.append(loss())
    return before, min(after), interpreter
