"""Small int8 models made by TensorFlow's converter: random weights, random calibration, seeded.

They hold every operator and option that the rewriter differentiates. TensorFlow is imported only
when one is made, because the tests of the older interpreter generation run without it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.operator_models import BUILDERS
from tests.tied_models import BUILDERS as TIED_BUILDERS

CALIBRATION_SAMPLES = 12
_TIED_GAIN = 1.5


def _mobilenet(layers: Any) -> Any:
    """Inverted bottleneck, depthwise SAME and VALID, strides, depth multiplier 2, ADD, MEAN."""
    x = inputs = layers.Input((15, 12, 3), batch_size=1)
    x = stem = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu6")(x)
    x = layers.Conv2D(8, 1)(x)
    x = layers.Add()([stem, x])
    x = layers.DepthwiseConv2D(3, padding="valid", activation="relu6")(x)
    x = layers.DepthwiseConv2D((3, 2), strides=2, padding="same", activation="relu6")(x)
    x = layers.Conv2D(12, 1, activation="relu6")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return inputs, layers.Softmax()(layers.Dense(5)(x))


def _resnet(layers: Any) -> Any:
    """ADD with fused RELU, overlapping pool, PAD before a VALID stride, dilation, logits out."""
    x = inputs = layers.Input((13, 11, 3), batch_size=1)
    x = stem = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, padding="same")(x)
    x = layers.ReLU()(layers.Add()([stem, x]))
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = layers.ZeroPadding2D(((1, 0), (0, 1)))(x)
    x = layers.Conv2D(8, 3, strides=2, padding="valid", activation="relu")(x)
    x = layers.Conv2D(8, 2, dilation_rate=2, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D((3, 3), padding="valid")(x)
    return inputs, layers.Dense(6)(layers.Flatten()(x))


def _keyword(layers: Any) -> Any:
    """One input channel, a 10x4 kernel, a row that no pool covers, RESHAPE, FULLY_CONNECTED."""
    x = inputs = layers.Input((25, 10, 1), batch_size=1)
    x = layers.Conv2D(8, (10, 4), strides=2, padding="same", activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D((6, 5))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Dense(12, activation="relu")(x)
    return inputs, layers.Softmax()(layers.Dense(4)(x))


def _branches(layers: Any) -> Any:
    """A tensor with four consumers, and a tensor added to itself."""
    x = inputs = layers.Input((8, 8, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu6")(x)
    left = layers.Conv2D(6, 1, activation="relu")(x)
    middle = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    right = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    pooled = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    x = layers.Add()([layers.Add()([left, middle]), layers.Add()([right, pooled])])
    x = layers.Conv2D(6, 1, activation="relu")(x)
    x = layers.Add()([x, x])
    x = layers.GlobalAveragePooling2D()(x)
    return inputs, layers.Dense(3)(x)


def _wide(layers: Any) -> Any:
    """out_c * k_h * k_w = 1152 > 1048: the input gradient is summed in groups."""
    x = inputs = layers.Input((6, 6, 3), batch_size=1)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(128, 3, strides=2, padding="same", activation="relu6")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return inputs, layers.Dense(3)(x)


def _opaque(layers: Any) -> Any:
    """SPACE_TO_DEPTH, which has no gradient rule, between layers 1 and 2; a convolutional head."""
    import tensorflow as tf

    x = inputs = layers.Input((8, 8, 2), batch_size=1)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.Lambda(lambda t: tf.nn.space_to_depth(t, 2))(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D(4)(x)
    x = layers.Conv2D(5, 1)(x)
    return inputs, layers.Softmax()(layers.Reshape((5,))(x))


_BUILDERS: dict[str, Callable[[Any], Any]] = {
    "mobilenet": _mobilenet,
    "resnet": _resnet,
    "keyword": _keyword,
    "branches": _branches,
    "wide": _wide,
    "opaque": _opaque,
}
# One scale for a layer's whole filter instead of one per output channel.
_PER_TENSOR = ("branches",)

CONVERTED = tuple(_BUILDERS)
"""All models made by the converter."""
TRAINABLE = tuple(name for name in CONVERTED if name != "opaque")
"""Those of which every layer can train."""
OPERATORS = tuple(BUILDERS)
"""Those that hold the rest of the operators; every layer of them can train."""
TIED = tuple(TIED_BUILDERS)
"""Those in which a layer runs several times; every layer of them can train."""


@functools.cache
def converted_model(name: str) -> bytes:
    """The bytes of one of `CONVERTED`, `OPERATORS` or `TIED`, with int8 input and output."""
    if name in BUILDERS:
        return convert(BUILDERS[name], OPERATORS.index(name) + 101)
    if name in TIED_BUILDERS:
        return convert(TIED_BUILDERS[name], TIED.index(name) + 301, gain=_TIED_GAIN)
    return convert(_BUILDERS[name], CONVERTED.index(name) + 1, per_tensor=name in _PER_TENSOR)


def convert(
    builder: Callable[[Any], Any],
    seed: int,
    *,
    per_tensor: bool = False,
    gain: float = 1.0,
    activations: str = "int8",
) -> bytes:
    """Makes a Keras model with random weights and converts it, calibrated on random inputs.

    Args:
      builder: Gives its input and output.
      seed: Of the weights.
      per_tensor: One scale for each filter.
      gain: Multiplies all kernels: Keras' initial ones let the signal of a deep model die out.
      activations: int8, or int16 beside weights of int8.
    """
    import tensorflow as tf

    tf.keras.utils.set_random_seed(seed)
    inputs, outputs = builder(Layers(tf.keras))
    model = tf.keras.Model(inputs, outputs)
    rng = np.random.default_rng(7)
    for variable in model.trainable_variables:
        if "bias" in variable.path:
            variable.assign(rng.normal(0, 0.1, variable.shape))
        if "kernel" in variable.path:
            variable.assign(variable * gain)

    def calibration() -> Any:
        for _ in range(CALIBRATION_SAMPLES):
            yield [rng.uniform(-1, 1, i.shape).astype(np.float32) for i in model.inputs]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    wide = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    ops = "TFLITE_BUILTINS_INT8" if activations == "int8" else wide
    converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, ops)]
    converter.inference_input_type = tf.dtypes.as_dtype(activations)
    converter.inference_output_type = tf.dtypes.as_dtype(activations)
    converter._experimental_disable_per_channel = per_tensor
    return bytes(converter.convert())


class Layers:
    """`keras.layers` with `Input` beside them."""

    def __init__(self, keras: Any) -> None:
        self._keras = keras

    def __getattr__(self, name: str) -> Any:
        return self._keras.Input if name == "Input" else getattr(self._keras.layers, name)
