"""Recipe of the five networks beside it: trains small Keras models and converts them to int8.

`python -m tests.networks.recipe [NAME ...]`, about a minute each on one core. Seeds are fixed and
TensorFlow's deterministic kernels are on. The files are in the repository so that the tests need
not train them; recipe and files are under this project's licence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tests.networks import FOLDER, NETWORKS
from tests.networks.data import source

BATCH = 50
CALIBRATION = 200  # samples
layers = tf.keras.layers


def ds_cnn() -> Any:
    """Keyword spotting as in MLPerf Tiny: a 10x4 filter, depthwise separable layers, one pool."""
    inputs = layers.Input((49, 10, 1))
    x = _normalised(layers.Conv2D(32, (10, 4), strides=2, padding="same", use_bias=False)(inputs))
    for _ in range(4):
        x = _normalised(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        x = _normalised(layers.Conv2D(32, 1, use_bias=False)(x))
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(x))
    return tf.keras.Model(inputs, layers.Softmax()(layers.Dense(10)(x)))


def mobilenet_v1() -> Any:
    """Depthwise separable layers with strides, a convolution as classifier."""
    inputs = layers.Input((32, 32, 3))
    x = _conv(inputs, 8, 3, 2, "relu6")
    for channels, stride in ((16, 1), (24, 2), (24, 1), (48, 2), (48, 1), (64, 2)):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
        x = _conv(_normalised(x, "relu6"), channels, 1, 1, "relu6")
    x = layers.AveragePooling2D(2)(x)
    return tf.keras.Model(inputs, layers.Softmax()(layers.Reshape((10,))(layers.Conv2D(10, 1)(x))))


def mobilenet_v2() -> Any:
    """Inverted residuals with linear bottlenecks, padded by hand before strides."""
    inputs = layers.Input((32, 32, 3))
    x = _conv(inputs, 12, 3, 2, "relu6")
    for channels, stride in ((8, 1), (12, 2), (12, 1), (16, 2), (16, 1)):
        block = x
        x = _conv(x, 4 * x.shape[-1], 1, 1, "relu6")
        if stride == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        padding = "valid" if stride == 2 else "same"
        x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False)(x)
        x = _conv(_normalised(x, "relu6"), channels, 1)
        if stride == 1 and block.shape[-1] == channels:
            x = layers.Add()([block, x])
    x = layers.GlobalAveragePooling2D()(_conv(x, 64, 1, 1, "relu6"))
    return tf.keras.Model(inputs, layers.Softmax()(layers.Dense(10)(x)))


def resnet() -> Any:
    """Three stacks of two convolutions beside a shortcut, as in MLPerf Tiny."""
    inputs = layers.Input((32, 32, 3))
    x = _conv(inputs, 8, 3, 1, "relu")
    for channels, stride in ((8, 1), (16, 2), (32, 2)):
        shortcut = x if stride == 1 else layers.Conv2D(channels, 1, strides=stride)(x)
        x = _conv(_conv(x, channels, 3, stride, "relu"), channels, 3)
        x = layers.ReLU()(layers.Add()([shortcut, x]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return tf.keras.Model(inputs, layers.Softmax()(layers.Dense(10)(x)))


def autoencoder() -> Any:
    """Fully connected down to eight values and up again, as MLPerf Tiny's anomaly detector."""
    x = inputs = layers.Input((256,))
    for units in (64, 64, 8, 64, 64):
        x = _normalised(layers.Dense(units, use_bias=False)(x))
    return tf.keras.Model(inputs, layers.Dense(256)(x))


BUILDERS: dict[str, Callable[[], Any]] = {
    builder.__name__: builder
    for builder in (ds_cnn, mobilenet_v1, mobilenet_v2, resnet, autoencoder)
}


def train(name: str, epochs: int) -> Any:
    """Trains with Adam and cosine decay; noise, colours and places change in every epoch."""
    tf.keras.utils.set_random_seed(1)
    model, shape = BUILDERS[name](), NETWORKS[name].shape
    steps = epochs * (source(shape).y_train.size // BATCH)
    optimizer = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(3e-3, steps))
    loss = "mse" if name == "autoencoder" else "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=[] if name == "autoencoder" else ["accuracy"])
    for epoch in range(epochs):
        data = source(shape, epoch)
        x = _real(data.x_train)
        y = x if name == "autoencoder" else data.y_train
        model.fit(x, y, batch_size=BATCH, verbose=0)
    data = source(shape)
    x = _real(data.x_test)
    print(name, model.evaluate(x, x if name == "autoencoder" else data.y_test, verbose=0))
    return model


def convert(name: str, model: Any) -> bytes:
    """Post-training quantisation, int8 throughout, calibrated on the source."""
    samples = _real(source(NETWORKS[name].shape).x_train)[:CALIBRATION]
    single = tf.keras.Input(model.inputs[0].shape[1:], batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(single, model(single)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[np.newaxis]] for x in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main(names: list[str]) -> None:
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    for name in names or list(BUILDERS):
        content = convert(name, train(name, NETWORKS[name].recipe_epochs))
        (FOLDER / f"{name}.tflite").write_bytes(content)
        print(f"{name}: {len(content)} bytes")


def _conv(x: Any, channels: int, size: int, stride: int = 1, activation: str | None = None) -> Any:
    x = layers.Conv2D(channels, size, strides=stride, padding="same", use_bias=False)(x)
    return _normalised(x, activation)


def _normalised(x: Any, activation: str | None = "relu") -> Any:
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation(activation)(x) if activation else x


def _real(x: Any) -> npt.NDArray[np.float32]:
    """In [0, 1], as the converted network's int8 input is read."""
    scale = 255 if x.dtype == np.uint8 else 1
    return np.asarray(x, np.float32) / np.float32(scale)


if __name__ == "__main__":
    main(sys.argv[1:])
