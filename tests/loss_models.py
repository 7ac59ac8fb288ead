"""Small converter-made models for the losses and heads: what they end in, and how many ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.models import Layers, convert


def _tagger(layers: Any) -> Any:
    """Several yes-or-no labels: ends in LOGISTIC."""
    x = inputs = layers.Input((6, 6, 2), batch_size=1)
    x = layers.Conv2D(6, 3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return inputs, layers.Dense(4, activation="sigmoid")(x)


def _detector(layers: Any) -> Any:
    """One yes-or-no label."""
    x = inputs = layers.Input((6,), batch_size=1)
    x = layers.Dense(8, activation="relu")(x)
    return inputs, layers.Dense(1, activation="sigmoid")(x)


def _regression(layers: Any) -> Any:
    """Three values."""
    x = inputs = layers.Input((6,), batch_size=1)
    x = layers.Dense(8, activation="relu")(x)
    return inputs, layers.Dense(3)(x)


def _autoencoder(layers: Any) -> Any:
    x = inputs = layers.Input((24,), batch_size=1)
    x = layers.Dense(6, activation="relu")(x)
    return inputs, layers.Dense(24)(x)


def _two_outputs(layers: Any) -> Any:
    """A class and a box from one body."""
    x = inputs = layers.Input((6, 6, 2), batch_size=1)
    x = layers.Conv2D(6, 3, activation="relu")(x)
    x = layers.Flatten()(x)
    return inputs, [layers.Softmax()(layers.Dense(3)(x)), layers.Dense(4)(x)]


def _two_inputs(layers: Any) -> Any:
    left, right = layers.Input((6,), batch_size=1), layers.Input((6,), batch_size=1)
    sides = [layers.Dense(8, activation="relu")(side) for side in (left, right)]
    x = layers.Add()(sides)
    return [left, right], layers.Dense(3)(x)


def _segmenter(layers: Any) -> Any:
    """A class for each cell of a map: ends in SOFTMAX, as detectors of centroids do."""
    x = inputs = layers.Input((8, 10, 2), batch_size=1)
    x = layers.Conv2D(12, 2, strides=2, activation="relu")(x)
    x = layers.Conv2D(12, 1, activation="relu")(x)
    return inputs, layers.Softmax()(layers.Conv2D(3, 1)(x))


_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "tagger": _tagger,
    "detector": _detector,
    "regression": _regression,
    "autoencoder": _autoencoder,
    "two_outputs": _two_outputs,
    "two_inputs": _two_inputs,
    "segmenter": _segmenter,
}


def other_model(kind: str, name: str = "regression") -> bytes:
    """One of the models not in full int8: `float_ends`, `hybrid` or `float`."""
    import tensorflow as tf

    keras = tf.keras
    keras.utils.set_random_seed(1)
    inputs, outputs = _BUILDERS[name](Layers(keras))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(inputs, outputs))
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float_ends":
        rng = np.random.default_rng(7)

        def calibration() -> Any:
            for _ in range(12):
                yield [rng.uniform(-1, 1, inputs.shape).astype(np.float32)]

        converter.representative_dataset = calibration
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


@functools.cache
def loss_model(name: str) -> bytes:
    """The bytes of one of the models, with int8 inputs and outputs."""
    return convert(_BUILDERS[name], list(_BUILDERS).index(name) + 201)
