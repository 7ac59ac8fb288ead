"""Architectures that people use, at small sizes with random weights, as `tests.models` builders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _mobilenet_v1(layers: Any) -> Any:
    """Depthwise separable layers, a convolutional classifier."""
    x = inputs = layers.Input((32, 32, 3), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    for channels, stride in ((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (48, 2)):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", activation="relu6")(x)
        x = layers.Conv2D(channels, 1, activation="relu6")(x)
    x = layers.Conv2D(6, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return inputs, layers.Softmax()(layers.Flatten()(x))


def _mobilenet_v2(layers: Any) -> Any:
    """Inverted residuals with linear bottlenecks, padded by hand before strides."""
    x = inputs = layers.Input((32, 32, 3), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    for out, stride in ((6, 1), (8, 2), (8, 1), (12, 2), (12, 1)):
        block = x
        x = layers.Conv2D(4 * x.shape[-1], 1, activation="relu6")(x)
        if stride == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        padding = "valid" if stride == 2 else "same"
        x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, activation="relu6")(x)
        x = layers.Conv2D(out, 1)(x)
        if stride == 1 and block.shape[-1] == out:
            x = layers.Add()([block, x])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(48, 1, activation="relu6")(x))
    return inputs, layers.Softmax()(layers.Dense(6)(x))


def _mobilenet_v3_small(layers: Any) -> Any:
    """Hard swish, squeeze-excite with a hard sigmoid, 5x5 depthwise layers."""
    import tensorflow as tf

    def hard_sigmoid(a: Any) -> Any:
        return tf.nn.relu6(a + 3) * (1 / 6)

    def hard_swish(x: Any) -> Any:
        return layers.Lambda(lambda a: a * tf.nn.relu6(a + 3) * (1 / 6))(x)

    def squeeze_excite(x: Any, channels: int) -> Any:
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Conv2D(channels // 4, 1, activation="relu")(gate)
        gate = layers.Lambda(hard_sigmoid)(layers.Conv2D(channels, 1)(gate))
        return layers.Multiply()([x, gate])

    x = inputs = layers.Input((32, 32, 3), batch_size=1)
    x = hard_swish(layers.Conv2D(8, 3, strides=2, padding="same")(x))
    for kernel, expanded, out, stride, excite, swish in (
        (3, 8, 8, 2, True, False),
        (3, 24, 12, 2, False, False),
        (3, 32, 12, 1, False, False),
        (5, 32, 16, 1, True, True),
        (5, 48, 16, 1, True, True),
    ):
        block = x
        activation = hard_swish if swish else layers.ReLU()
        x = activation(layers.Conv2D(expanded, 1)(x))
        x = activation(layers.DepthwiseConv2D(kernel, strides=stride, padding="same")(x))
        if excite:
            x = squeeze_excite(x, expanded)
        x = layers.Conv2D(out, 1)(x)
        if stride == 1 and block.shape[-1] == out:
            x = layers.Add()([block, x])
    x = hard_swish(layers.Conv2D(48, 1)(x))
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = hard_swish(layers.Conv2D(32, 1)(x))
    return inputs, layers.Flatten()(layers.Conv2D(6, 1)(x))


def _efficientnet(layers: Any) -> Any:
    """Swish, squeeze-excite with a sigmoid, residual connections."""

    def swish(x: Any) -> Any:
        return layers.Multiply()([x, layers.Activation("sigmoid")(x)])

    x = inputs = layers.Input((24, 24, 3), batch_size=1)
    x = swish(layers.Conv2D(8, 3, strides=2, padding="same")(x))
    for kernel, ratio, out, stride in ((3, 1, 6, 1), (3, 4, 8, 2), (5, 4, 8, 1), (5, 4, 12, 2)):
        block = x
        expanded = ratio * x.shape[-1]
        if ratio > 1:
            x = swish(layers.Conv2D(expanded, 1)(x))
        x = swish(layers.DepthwiseConv2D(kernel, strides=stride, padding="same")(x))
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = swish(layers.Conv2D(max(1, block.shape[-1] // 4), 1)(gate))
        gate = layers.Conv2D(expanded, 1, activation="sigmoid")(gate)
        x = layers.Conv2D(out, 1)(layers.Multiply()([x, gate]))
        if stride == 1 and block.shape[-1] == out:
            x = layers.Add()([block, x])
    x = layers.GlobalAveragePooling2D()(swish(layers.Conv2D(32, 1)(x)))
    return inputs, layers.Dense(6)(x)


def _densenet(layers: Any) -> Any:
    """Concatenations with a batch normalisation that cannot be folded, pools between blocks."""
    x = inputs = layers.Input((24, 24, 3), batch_size=1)
    x = layers.Conv2D(8, 7, strides=2, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for number in range(2):
        for _ in range(3):
            new = layers.ReLU()(layers.BatchNormalization()(x))
            new = layers.Conv2D(12, 1, use_bias=False)(new)
            new = layers.ReLU()(layers.BatchNormalization()(new))
            new = layers.Conv2D(4, 3, padding="same", use_bias=False)(new)
            x = layers.Concatenate()([x, new])
        if number == 0:
            x = layers.Conv2D(10, 1)(layers.ReLU()(layers.BatchNormalization()(x)))
            x = layers.AveragePooling2D(2)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return inputs, layers.Dense(6)(layers.GlobalAveragePooling2D()(x))


def _keyword_1d(layers: Any) -> Any:
    """1-D convolutions over spectra, dilated and strided, max pooling."""
    x = inputs = layers.Input((49, 10), batch_size=1)
    x = layers.Conv1D(16, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv1D(16, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling1D(2)(x)
    x = layers.SeparableConv1D(24, 3, padding="same", activation="relu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return inputs, layers.Softmax()(layers.Dense(6)(x))


def _autoencoder(layers: Any) -> Any:
    """A bottleneck, transposed convolutions and resizing back to the input's size."""
    x = inputs = layers.Input((16, 16, 1), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Reshape((192,))(x)
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Reshape((4, 4, 12))(layers.Dense(192, activation="relu")(x))
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    return inputs, layers.Conv2D(1, 3, padding="same", activation="tanh")(x)


def _transformer_block(layers: Any, x: Any, heads: int, width: int) -> Any:
    """Attention and two dense layers, each behind a layer normalisation and with a residual."""
    size = x.shape[-1]
    normal = layers.LayerNormalization()(x)
    attention = layers.MultiHeadAttention(heads, size // heads)(normal, normal)
    x = layers.Add()([x, attention])
    inner = layers.Dense(width, activation="relu")(layers.LayerNormalization()(x))
    return layers.Add()([x, layers.Dense(size)(inner)])


def _keyword_transformer(layers: Any) -> Any:
    """Frames of a spectrum as tokens, learnt positions, two blocks."""
    import tensorflow as tf

    inputs = layers.Input((12, 10), batch_size=1)
    x = layers.Dense(16)(inputs)
    places = tf.constant(tf.random.stateless_normal((1, 12, 16), (1, 2)) * 0.3)
    x = layers.Lambda(lambda t: t + places)(x)
    for _ in range(2):
        x = _transformer_block(layers, x, heads=2, width=32)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return inputs, layers.Softmax()(layers.Dense(6)(x))


def _vision_transformer(layers: Any) -> Any:
    """Patches from convolutions, a block, attention that weighs the tokens in place of a class."""
    inputs = layers.Input((16, 16, 3), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Reshape((16, 12))(x)
    x = layers.LayerNormalization()(_transformer_block(layers, x, heads=3, width=24))
    weights = layers.Permute((2, 1))(layers.Dense(1)(x))
    pooled = layers.Dot(axes=(2, 1))([layers.Softmax()(weights), x])
    return inputs, layers.Dense(6)(layers.Reshape((12,))(pooled))


def _crnn(layers: Any) -> Any:
    """Convolutions over a spectrum, then a recurrent layer over time, unrolled."""
    x = inputs = layers.Input((12, 10, 1), batch_size=1)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.Reshape((6, 40))(x)
    start = layers.Dense(8, activation="tanh")(layers.GlobalAveragePooling1D()(x))
    x = layers.GRU(8, unroll=True)(x, initial_state=[start])
    return inputs, layers.Dense(6)(x)


def _blaze_face(layers: Any) -> Any:
    """Residual blocks that pool and pad their input, anchors' scores from maps of two sizes."""
    import tensorflow as tf

    def block(x: Any, out: int, stride: int = 1) -> Any:
        y = layers.DepthwiseConv2D(5, strides=stride, padding="same")(x)
        y = layers.Conv2D(out, 1)(y)
        if stride == 2:
            x = layers.MaxPooling2D(2)(x)
        more = out - x.shape[-1]
        if more:
            x = layers.Lambda(lambda t: tf.pad(t, [[0, 0], [0, 0], [0, 0], [0, more]]))(x)
        return layers.ReLU()(layers.Add()([x, y]))

    x = inputs = layers.Input((24, 24, 3), batch_size=1)
    x = layers.Conv2D(8, 5, strides=2, padding="same", activation="relu")(x)
    fine = block(block(x, 10), 12, stride=2)
    coarse = block(fine, 16, stride=2)
    found = []
    for level, anchors in ((fine, 1), (coarse, 2)):
        scores = layers.Conv2D(2 * anchors, 3, padding="same")(level)
        found.append(layers.Reshape((-1, 2))(scores))
    return inputs, layers.Softmax()(layers.Concatenate(axis=1)(found))


def _u_net(layers: Any) -> Any:
    """Down and up again, what was seen on the way down beside it; a class for every pixel."""
    x = inputs = layers.Input((16, 16, 2), batch_size=1)
    seen = []
    for channels in (6, 8):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
        seen.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(12, 3, padding="same", activation="relu")(x)
    for channels in (8, 6):
        x = layers.Conv2DTranspose(channels, 2, strides=2)(x)
        x = layers.Concatenate()([x, seen.pop()])
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    return inputs, layers.Softmax()(layers.Conv2D(3, 1)(x))


BUILDERS: dict[str, Callable[[Any], Any]] = {
    "mobilenet_v1": _mobilenet_v1,
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v3_small": _mobilenet_v3_small,
    "efficientnet": _efficientnet,
    "densenet": _densenet,
    "keyword_1d": _keyword_1d,
    "autoencoder": _autoencoder,
    "keyword_transformer": _keyword_transformer,
    "vision_transformer": _vision_transformer,
    "crnn": _crnn,
    "blaze_face": _blaze_face,
    "u_net": _u_net,
}
