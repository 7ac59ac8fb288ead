"""Recipe of `digits.tflite`: a small MobileNet-style CNN that knows upright digits, fully int8.

Needs TensorFlow, which the product itself does not: `python -m tflm_train.demo.make_model
[OUTPUT]`. Runs about one minute on one core. Seeds are fixed and TensorFlow's deterministic kernels
are on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tflm_train.data import Dataset
from tflm_train.demo.data import source_data

SEED = 1
EPOCHS = 140
BATCH = 50
MAX_SHIFT = 2  # pixels, augmentation
OUTPUT = Path(__file__).with_name("digits.tflite")


def build_model() -> Any:
    """The Keras model: input [16, 16, 1] in [0, 1], softmax over 10 classes, ~13,000 weights."""
    inputs = tf.keras.Input((16, 16, 1))
    x = _conv(inputs, 16, 3, stride=2, activation="relu6")
    x = _inverted_bottleneck(x, expanded=32, channels=16, stride=1)
    x = _inverted_bottleneck(x, expanded=64, channels=32, stride=2)
    x = _inverted_bottleneck(x, expanded=72, channels=32, stride=1)
    x = _conv(x, 64, 1, activation="relu")
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    x = tf.keras.layers.Dense(10)(x)
    return tf.keras.Model(inputs, tf.keras.layers.Softmax()(x))


def train(model: Any, data: Dataset) -> None:
    """Trains in place with Adam, cosine decay, and small random shifts of the digits."""
    rng = np.random.default_rng(SEED)
    x, y = _real(data.x_train), data.y_train
    steps = EPOCHS * (len(x) // BATCH)
    schedule = tf.keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(
        tf.keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    for epoch in range(EPOCHS):
        order = rng.permutation(len(x))
        moved = np.stack([_shifted(x[i], rng) for i in order])
        record = model.fit(moved, y[order], batch_size=BATCH, shuffle=False, verbose=0)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {record.history['loss'][-1]:.4f}")


def convert(model: Any, data: Dataset) -> bytes:
    """Post-training quantisation, int8 throughout, calibrated on the source digits."""

    def representative() -> Any:
        for sample in _real(data.x_train):
            yield [sample[np.newaxis]]

    # A fixed batch of 1: TFLM plans its memory once, for known shapes.
    single = tf.keras.Input((16, 16, 1), batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(single, model(single)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main(output: Path = OUTPUT) -> None:
    """Trains, converts and writes the file."""
    tf.keras.utils.set_random_seed(SEED)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    data = source_data()
    model = build_model()
    train(model, data)
    _, accuracy = model.evaluate(_real(data.x_test), data.y_test, verbose=0)
    content = convert(model, data)
    output.write_bytes(content)
    print(
        f"float accuracy on the upright test digits {accuracy:.1%}; {output}: {len(content)} bytes"
    )


def _conv(x: Any, channels: int, size: int, stride: int = 1, activation: str | None = None) -> Any:
    layers = tf.keras.layers
    x = layers.Conv2D(channels, size, strides=stride, padding="same", use_bias=False)(x)
    return _normalised(x, activation)


def _inverted_bottleneck(x: Any, expanded: int, channels: int, stride: int) -> Any:
    layers = tf.keras.layers
    y = _conv(x, expanded, 1, activation="relu6")
    y = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(y)
    y = _conv(_normalised(y, "relu6"), channels, 1)
    return layers.Add()([x, y]) if stride == 1 else y


def _normalised(x: Any, activation: str | None) -> Any:
    x = tf.keras.layers.BatchNormalization(momentum=0.9)(x)
    return tf.keras.layers.Activation(activation)(x) if activation else x


def _shifted(image: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    down, right = rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 2)
    padded = np.pad(image, ((MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT), (0, 0)))
    top, left = MAX_SHIFT + down, MAX_SHIFT + right
    return padded[top : top + image.shape[0], left : left + image.shape[1]]


def _real(x: Any) -> npt.NDArray[np.float32]:
    return np.asarray(x, dtype=np.float32) / np.float32(255)


if __name__ == "__main__":
    main(*[Path(argument) for argument in sys.argv[1:2]])
