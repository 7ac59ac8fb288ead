"""Small models for the operators beyond convolutions, pools and sums: one family each.

`BUILDERS` take `keras.layers` (see tests/models.py) and return input and output; `HOLDS` names the
operators that the converter must have kept, so that a newer one cannot quietly empty a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _head(layers: Any, x: Any, classes: int = 4) -> Any:
    return layers.Dense(classes)(layers.GlobalAveragePooling2D()(x))


def _squeeze_excite(layers: Any) -> Any:
    """A gate of one value per channel, swish, and a gate of one value per pixel."""
    x = inputs = layers.Input((8, 6, 3), batch_size=1)
    x = layers.Conv2D(6, 3, strides=2, padding="same")(x)
    x = layers.Multiply()([x, layers.Activation("sigmoid")(x)])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(3, 1, activation="relu")(gate)
    gate = layers.Conv2D(6, 1, activation="sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Conv2D(8, 3, padding="same", activation="relu6")(x)
    pixels = layers.Conv2D(1, 1, activation="tanh")(x)
    x = layers.Multiply()([pixels, x])
    return inputs, _head(layers, x)


def _activations(layers: Any) -> Any:
    """Each elementwise function between convolutions."""
    import tensorflow as tf

    def hard_swish(a: Any) -> Any:
        return a * tf.nn.relu6(a + 3) * (1 / 6)

    x = inputs = layers.Input((8, 8, 2), batch_size=1)
    for activation in (
        layers.Activation("tanh"),
        layers.Lambda(hard_swish),
        layers.LeakyReLU(0.3),
        layers.PReLU("random_normal", shared_axes=[1, 2]),
        layers.Activation("sigmoid"),
    ):
        x = activation(layers.Conv2D(6, 3, padding="same")(x))
    return inputs, _head(layers, x)


def _clamps(layers: Any) -> Any:
    """RELU and RELU6 as operators of their own, RELU_N1_TO_1 fused, fused clamps after MUL, SUB."""
    import tensorflow as tf

    x = inputs = layers.Input((8, 8, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same")(x)
    y = layers.Conv2D(6, 3, padding="same")(x)
    # Two consumers keep the clamps from being fused into the convolution.
    x = layers.Concatenate()([layers.ReLU()(y), layers.ReLU(6.0)(y), y])
    x = layers.Conv2D(6, 1)(x)
    x = layers.Lambda(lambda a: tf.maximum(-1.0, tf.minimum(a, 1.0)))(x)
    z = layers.Conv2D(6, 1)(x)
    x = layers.ReLU()(layers.Multiply()([x, z]))
    x = layers.ReLU(6.0)(layers.Subtract()([z, x]))
    return inputs, _head(layers, layers.Conv2D(6, 1)(x))


def _broadcasts(layers: Any) -> Any:
    """ADD, SUB and MUL whose operands are broadcast, by constants and by activations."""
    import tensorflow as tf

    x = inputs = layers.Input((6, 5, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    mean = layers.Conv2D(6, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Conv2D(6, 1)(layers.Subtract()([x, mean]))
    line = layers.Conv2D(6, (6, 1))(x)
    x = layers.Add()([x, line])
    x = layers.Lambda(lambda a: 0.7 - a * tf.constant([0.5, 1, 2, -1, 1, 3.0]))(x)
    plane = layers.Conv2D(1, 1)(x)
    x = layers.Subtract()([plane, x])
    return inputs, _head(layers, layers.Conv2D(6, 1)(x))


def _pieces(layers: Any) -> Any:
    """Concatenations, splits, slices of both signs, transposes, PACK and UNPACK."""
    import tensorflow as tf

    x = inputs = layers.Input((8, 6, 3), batch_size=1)
    x = stem = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    a, b, c = layers.Lambda(lambda t: tf.split(t, 3, axis=3))(x)
    c = layers.Conv2D(4, 3, padding="same", activation="relu")(c)
    c = layers.Activation("sigmoid")(c)
    x = layers.Concatenate()([a, c, b, stem])
    x = layers.Conv2D(6, 1, activation="relu")(x)
    x = layers.Lambda(lambda t: t[:, 1:7:2, ::-1, 1:5])(x)
    x = layers.Conv2D(6, 1, activation="relu")(layers.Permute((2, 1, 3))(x))
    top, bottom = layers.Lambda(lambda t: tf.split(t, [2, 4], axis=1))(x)
    x = layers.Concatenate(axis=1)([bottom, top])
    x = layers.Conv2D(6, 1, activation="relu")(x)
    rows = layers.Lambda(lambda t: tf.unstack(t, axis=2))(x)
    x = layers.Lambda(lambda t: tf.stack(t, axis=1))([rows[i] for i in (2, 0, 1, 2)])
    x = layers.Lambda(lambda t: tf.slice(t, [0, 0, 1, 0], [1, 2, 4, 6]))(x)
    return inputs, _head(layers, layers.Conv2D(6, 1)(x))


def _max_pools(layers: Any) -> Any:
    """Overlapping and disjoint windows, SAME and VALID, and the maximum of a whole image."""
    x = inputs = layers.Input((13, 11, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.Conv2D(6, 3, padding="same")(x)
    x = layers.ReLU(6.0)(layers.MaxPooling2D(2)(x))
    x = layers.Conv2D(8, 3, padding="same")(x)
    return inputs, layers.Dense(4)(layers.GlobalMaxPooling2D()(x))


def _upsampling(layers: Any) -> Any:
    """Transposed convolutions, SAME and VALID, and both kinds of resizing, of each convention."""
    import tensorflow as tf

    old = tf.compat.v1.image
    x = inputs = layers.Input((8, 8, 2), batch_size=1)
    x = layers.Conv2D(6, 3, strides=4, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Lambda(lambda t: tf.image.resize(t, (7, 4), method="nearest"))(x)
    x = layers.Conv2DTranspose(4, (2, 3), strides=(1, 2), padding="valid")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu6")(x)
    x = layers.UpSampling2D((2, 3), interpolation="bilinear")(x)
    x = layers.Conv2D(5, 1)(x)
    x = layers.Lambda(lambda t: old.resize_bilinear(t, (5, 19), align_corners=True))(x)
    x = layers.Lambda(lambda t: old.resize_nearest_neighbor(t, (9, 7), align_corners=True))(x)
    x = layers.Lambda(lambda t: old.resize_bilinear(t, (11, 3)))(x)
    return inputs, _head(layers, layers.Conv2D(6, 3)(x))


def _attention(layers: Any) -> Any:
    """BATCH_MATMUL of two activations, one of them transposed, and with broadcast batches."""
    import tensorflow as tf

    x = inputs = layers.Input((4, 5, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    q, k, v = (layers.Reshape((20, 6))(layers.Conv2D(6, 1)(x)) for _ in range(3))
    scores = layers.Lambda(lambda t: tf.matmul(t[0], t[1], transpose_b=True) * 0.2)([q, k])
    scores = layers.Activation("sigmoid")(scores)
    x = layers.Lambda(lambda t: tf.matmul(t[0], t[1]))([scores, v])
    return inputs, _head(layers, layers.Reshape((4, 5, 6))(x))


def _reductions(layers: Any) -> Any:
    """Means and sums over channels and over single axes, and a normalised embedding."""
    import tensorflow as tf

    x = inputs = layers.Input((6, 5, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(6, 3, padding="same")(x)
    x = layers.Lambda(lambda t: t[0] - tf.reduce_mean(t[1], axis=3, keepdims=True))([x, y])
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.Lambda(lambda t: tf.reduce_sum(t, axis=[1]))(x)
    x = layers.Lambda(lambda t: tf.reduce_mean(t, axis=1))(x)
    x = layers.Lambda(lambda t: tf.math.l2_normalize(t, axis=-1))(layers.Dense(8)(x))
    return inputs, layers.Dense(4)(x)


def _statistics(layers: Any) -> Any:
    """An image divided by its standard deviation; distances from an activation, from a constant."""
    import tensorflow as tf

    difference = tf.math.squared_difference
    x = inputs = layers.Input((6, 5, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
    squares = layers.Lambda(lambda t: difference(t[0], t[1]))([x, mean])
    variance = layers.GlobalAveragePooling2D(keepdims=True)(squares)
    scale = layers.Lambda(lambda t: tf.math.rsqrt(t + 0.05))(variance)
    x = layers.Multiply()([layers.Subtract()([x, mean]), scale])
    y = layers.Conv2D(6, 3, padding="same")(x)
    x = layers.Lambda(lambda t: difference(t[0], t[1]))([x, y])
    x = layers.Conv2D(6, 1)(x)
    x = layers.Lambda(lambda t: difference(0.2, t))(x)
    return inputs, _head(layers, layers.Conv2D(6, 1)(x))


def _extrema(layers: Any) -> Any:
    """Maxima and minima of activations, of constants and of a mean; absolute values, a quotient."""
    import tensorflow as tf

    x = inputs = layers.Input((6, 5, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same")(x)
    y = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.Lambda(lambda t: tf.maximum(t[0], t[1]))([x, y])
    x = layers.Conv2D(6, 1)(x)
    x = layers.Lambda(lambda t: tf.clip_by_value(t, -0.3, 0.4))(x)
    x = layers.Conv2D(6, 1)(x)
    mean = layers.Conv2D(6, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Lambda(lambda t: tf.minimum(t[0], t[1]))([mean, x])
    x = layers.Conv2D(6, 1)(x)
    x = layers.Lambda(lambda t: t / (tf.abs(t) + 0.5))(x)
    return inputs, _head(layers, layers.Conv2D(6, 1)(x))


def _selections(layers: Any) -> Any:
    """A softmax amid layers, elements in another order, some of them twice."""
    import tensorflow as tf

    x = inputs = layers.Input((6, 5, 2), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same")(x)
    x = layers.Lambda(lambda t: tf.nn.softmax(2 * t))(x)
    x = layers.Lambda(lambda t: tf.gather(t, [5, 0, 3, 3], axis=3))(x)
    x = layers.Conv2D(6, 1)(x)
    x = layers.Lambda(lambda t: tf.gather(t, [1, 0, 4], axis=1))(x)
    return inputs, _head(layers, layers.Conv2D(6, 1)(x))


def _float_functions(layers: Any) -> Any:
    """Functions that the converter leaves in float32 between a DEQUANTIZE and a QUANTIZE."""
    import tensorflow as tf

    x = inputs = layers.Input((6, 5, 2), batch_size=1)
    for function in (tf.nn.elu, tf.square, tf.negative, lambda t: tf.cumsum(t, axis=1)):
        x = layers.Lambda(function)(layers.Conv2D(6, 3, padding="same")(x))
    return inputs, _head(layers, layers.Conv2D(6, 1)(x))


BUILDERS: dict[str, Callable[[Any], Any]] = {
    "squeeze_excite": _squeeze_excite,
    "activations": _activations,
    "clamps": _clamps,
    "broadcasts": _broadcasts,
    "pieces": _pieces,
    "max_pools": _max_pools,
    "upsampling": _upsampling,
    "attention": _attention,
    "reductions": _reductions,
    "statistics": _statistics,
    "extrema": _extrema,
    "selections": _selections,
    "float_functions": _float_functions,
}
HOLDS: dict[str, set[str]] = {
    "squeeze_excite": {"MUL", "LOGISTIC", "TANH"},
    "activations": {"TANH", "HARD_SWISH", "LEAKY_RELU", "PRELU", "LOGISTIC"},
    "clamps": {"RELU", "RELU6", "MUL", "SUB"},
    "broadcasts": {"ADD", "SUB", "MUL"},
    "pieces": {"CONCATENATION", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "TRANSPOSE", "PACK", "UNPACK"}
    | {"SLICE", "QUANTIZE"},
    "max_pools": {"MAX_POOL_2D", "REDUCE_MAX"},
    "upsampling": {"TRANSPOSE_CONV", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"},
    "attention": {"BATCH_MATMUL"},
    "reductions": {"MEAN", "SUM", "L2_NORMALIZATION"},
    "statistics": {"SQUARED_DIFFERENCE", "RSQRT"},
    "extrema": {"MAXIMUM", "MINIMUM", "ABS", "DIV"},
    "selections": {"SOFTMAX", "GATHER"},
    "float_functions": {"ELU", "SQUARE", "NEG", "CUMSUM"},
}
