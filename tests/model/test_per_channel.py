"""Scales and biases of channels that are operators train as layers, which are not there before."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.models import convert
from tests.steps import (
    assert_follows_reference,
    assert_same_inference,
    full_scheme,
    random_inputs,
    train,
    weights_of,
)
from tflm_train.model import Model
from tflm_train.model.layer_norm import layer_norms
from tflm_train.model.layers import is_per_channel, list_layers
from tflm_train.model.per_channel import channel_layers, drop_channel_layers, with_channel_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.presets import preset_scheme
from tflm_train.scheme.select import select_channels

RATE = 0.3


def normalization(layers: Any) -> Any:
    """Of batches, with a scale and a mean of its own for each channel."""
    import tensorflow as tf

    def uniform(low: float, high: float) -> Any:
        return tf.keras.initializers.RandomUniform(low, high)

    return layers.BatchNormalization(
        gamma_initializer=uniform(0.5, 2),
        beta_initializer=uniform(-0.5, 0.5),
        moving_mean_initializer=uniform(-0.2, 0.2),
    )


def _behind_relu(layers: Any) -> Any:
    """MUL and ADD; what prepares the input before, what scales the logits behind the head."""
    x = inputs = layers.Input((8, 8, 3), batch_size=1)
    x = normalization(layers)(layers.MaxPooling2D(2)(x))
    x = layers.ReLU()(layers.Conv2D(6, 3, padding="same", activation="relu")(x))
    x = normalization(layers)(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = normalization(layers)(x)
    x = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return inputs, normalization(layers)(x)


def _clamped(layers: Any) -> Any:
    """A clamp behind the ADD, and behind a MUL alone; a scale that a branch reads as well."""
    import tensorflow as tf

    x = inputs = layers.Input((8, 8, 3), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = branch = layers.MaxPooling2D(2)(x)
    x = layers.ReLU()(normalization(layers)(x))
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = scaled = layers.Lambda(lambda a: a * tf.constant([0.5, 1, 2, -1, 1, 3.0]))(x)
    x = layers.Lambda(lambda a: 0.7 - a)(layers.Add()([x, branch]))
    x = layers.Concatenate()([layers.Conv2D(6, 1)(x), scaled])
    return inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(x))


def _rows(layers: Any) -> Any:
    """Tensors of three axes and of two."""
    x = inputs = layers.Input((12, 4), batch_size=1)
    x = layers.Conv1D(8, 3, padding="same", activation="relu")(x)
    x = layers.Conv1D(6, 3)(normalization(layers)(layers.MaxPooling1D(2)(x)))
    x = layers.Flatten()(x)
    x = layers.Dense(6)(normalization(layers)(layers.ReLU()(layers.Dense(6, activation="relu")(x))))
    return inputs, layers.Dense(4)(x)


def _layer_norms(layers: Any) -> Any:
    """With gamma and beta, without beta, in one product, by the root mean square."""
    import tensorflow as tf

    def uniform(low: float, high: float) -> Any:
        return tf.keras.initializers.RandomUniform(low, high)

    gamma = tf.constant([0.5, 1, 2, 1.5, 1, 0.7, 1.2, 1.0])

    def in_one_product(x: Any) -> Any:
        mean = tf.reduce_mean(x, -1, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), -1, keepdims=True)
        return (x - mean) * (tf.math.rsqrt(variance + 1e-3) * gamma) + (gamma - 1)

    def by_root(x: Any) -> Any:
        return x * (tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + 1e-3) * gamma)

    x = inputs = layers.Input((6, 5), batch_size=1)
    x = layers.Dense(8)(x)
    x = layers.LayerNormalization(
        gamma_initializer=uniform(0.5, 2), beta_initializer=uniform(-0.5, 0.5)
    )(x)
    x = layers.LayerNormalization(center=False)(layers.Dense(8)(x))
    for function in (in_one_product, by_root):
        x = layers.Lambda(function)(layers.Dense(8)(x))
    return inputs, layers.Dense(4)(layers.GlobalAveragePooling1D()(layers.Dense(6)(x)))


BUILDERS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "behind_relu": (_behind_relu, 2),
    "clamped": (_clamped, 2),
    "rows": (_rows, 2),
    "layer_norms": (_layer_norms, 4),
}


@functools.cache
def _data(name: str) -> bytes:
    return convert(BUILDERS[name][0], 51, gain=1.5)


@pytest.fixture(params=BUILDERS)
def model(request: pytest.FixtureRequest) -> Model:
    return Model(_data(request.param), request.param)


def indices(model: Model) -> list[int]:
    """Those of the layers for channels."""
    return [x.index for x in list_layers(model.graph) if is_per_channel(x.op)]


def names_of(model: Model) -> list[tuple[str, list[str | None], list[str]]]:
    return [
        (op.name, [t and t.name for t in op.inputs], [t.name for t in op.outputs])
        for op in model.graph.ops
    ]


def test_layers_are_where_constants_scale_channels(model: Model) -> None:
    made = with_channel_layers(model)
    assert len(indices(made)) == len(channel_layers(made.graph)) == BUILDERS[model.name][1]
    assert with_channel_layers(made) is made
    for layer in list_layers(made.graph)[:1] + list_layers(made.graph)[-1:]:
        assert not is_per_channel(layer.op)
    dropped = Model(made.source, model.name)
    drop_channel_layers(dropped.graph)
    assert names_of(dropped) == names_of(model)
    assert len(dropped.graph.tensors) == len(model.graph.tensors)
    before, after = tt.Interpreter(model), tt.Interpreter(made)
    for x in random_inputs(model.graph, 20):
        assert np.array_equal(before.infer(x), after.infer(x))


def test_a_layer_normalization_has_one_behind_its_last_operator() -> None:
    graph = with_channel_layers(Model(_data("layer_norms"))).graph
    norms = list(layer_norms(graph))
    assert [(norm.last.name, len(norm.inner)) for norm in norms] == [
        *(("ADD", 1), ("ADD", 0)),
        *(("MUL", 0), ("MUL", 0)),
    ]
    for norm in norms:
        (reader,) = graph.consumers(norm.last.output)
        if reader.name == "ADD":  # beta, behind one product
            (reader,) = graph.consumers(reader.output)
        assert reader.name == "RESHAPE"
        (layer,) = graph.consumers(reader.output)
        assert is_per_channel(layer)


def schemes(model: Model) -> list[Scheme]:
    made = with_channel_layers(model)
    own, whole = indices(made), full_scheme(model)
    half = tuple(WeightUpdate(index, 0.5) for index in own)
    return [
        whole,
        Scheme(weights=tuple(map(WeightUpdate, own))),
        dataclasses.replace(whole, weights=half, residual_bits=0),
        Scheme(bias_layers=tuple(own)),
    ]


def test_steps_are_the_reference_s_and_those_of_streams(model: Model) -> None:
    for scheme in schemes(model):
        plain = Model(rewrite(model, scheme).model_bytes, model.name)
        assert_same_inference(model, plain, count=6)
        assert_follows_reference(plain, rate=RATE)
        streamed = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO).model_bytes
        one, other = tt.Interpreter(plain), tt.Interpreter(streamed)
        assert train(one, 4, rate=RATE) == train(other, 4, rate=RATE)
        assert one.state() == other.state()


def test_a_part_takes_the_steps_of_the_whole(model: Model) -> None:
    layer = list_layers(with_channel_layers(model).graph)[indices(with_channel_layers(model))[-1]]
    update = WeightUpdate(layer.index, 0.5)
    stepped = []
    for scheme in (Scheme(weights=weights_of(layer.index)), Scheme(weights=(update,))):
        interpreter = tt.Interpreter(rewrite(model, scheme).model_bytes)
        train(interpreter, 1, rate=10)
        merged = Model(tt.merge(interpreter.model, interpreter.state()))
        (same,) = (x for x in list_layers(merged.graph) if x.name == layer.name)
        assert same.weights.data is not None
        stepped.append(same.weights.data.ravel())
    whole, part = stepped
    kept = select_channels(update, layer, 0)
    others = np.setdiff1d(np.arange(whole.size), kept)
    assert 0 < kept.size < whole.size and np.array_equal(part[kept], whole[kept])
    assert np.all(part[others] == layer.weights.data.ravel()[others])
    assert np.any(whole != layer.weights.data.ravel())


def test_what_does_not_train_is_as_it_was(model: Model) -> None:
    result = rewrite(model, Scheme())
    new = Model(result.model_bytes, "new")
    kept = [op.name for op in new.graph.ops if not op.is_custom]
    assert kept == [op.name for op in model.graph.ops]
    assert not result.report.warnings


def test_they_are_described(model: Model) -> None:
    found = inspect_model(model)
    names = [layer.name for layer in found.layers if "/channels" in layer.name]
    assert len(names) == BUILDERS[model.name][1]
    assert all(layer.trainable for layer in found.layers)
    assert sum(found.ops.values()) == len(model.graph.ops)
    assert any("train as layers of their own" in note for note in found.notes)


def test_a_trained_one_stays_one_layer(model: Model) -> None:
    made = with_channel_layers(model)
    trainable = tt.Interpreter(rewrite(model, schemes(model)[1]).model_bytes)
    for x in random_inputs(model.graph, 6):
        trainable.train_step(x, 1, 0.3)
    merged = Model(tt.merge(trainable.model, trainable.state()), model.name)
    assert len(list_layers(with_channel_layers(merged).graph)) == len(list_layers(made.graph))
    plain = tt.Interpreter(merged)
    for x in random_inputs(model.graph, 6, seed=1):
        assert np.array_equal(plain.infer(x), trainable.infer(x))


def test_presets_take_biases_along_and_scales_last(model: Model) -> None:
    own = set(indices(with_channel_layers(model)))
    for preset in ("biases", "light", "medium"):
        scheme = preset_scheme(preset, model)
        assert own <= set(scheme.bias_layers)
        assert not own & {update.layer for update in scheme.weights}
    assert own <= {update.layer for update in preset_scheme("full", model).weights}
