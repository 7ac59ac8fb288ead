"""Factory models for the stories that have none: small activity classifiers, by a seeded recipe.

A window of T samples of 6 axes, each axis normalised by what the factory's data has of it, goes
through three convolutions along time; the latent behind the first one is T / 2 x 16 int8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.held_out import is_of_fold
from benchmarks.tasks import CACHE, SHARED
from tflm_train import Model, load

STORIES = SHARED / "data" / "stories"
_SEED = 7
_EPOCHS = 30
_BATCH = 32
_CALIBRATION = 200


def story(name: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a story; windows of movement are normalised and get a width of 1."""
    with np.load(STORIES / f"{name}.npz") as file:
        data = dict(file)
    if data["x_factory"].ndim != 3:
        return data
    factory = data["x_factory"].astype(np.float32)
    mean, deviation = factory.mean((0, 1)), factory.std((0, 1))
    for key in [key for key in data if key.startswith("x_f")]:
        data[key] = ((data[key].astype(np.float32) - mean) / deviation)[:, :, np.newaxis, :]
    return data


def factory_model(name: str, without: int | None = None) -> Model:
    """The int8 model that a story's factory ships; made once and kept under build/.

    Args:
        name: of the story.
        without: made without the groups of the factory's data that are held out in this fold.
    """
    path = (
        CACHE / "stories" / f"{name}-{_SEED}{'' if without is None else f'-fold{without}'}.tflite"
    )
    if not path.exists():
        data = story(name)
        if without is not None:
            kept = ~is_of_fold(data["factory_group"], without)
            data = {"class_names": data["class_names"]} | {
                key: data[key][kept] for key in ("x_factory", "y_factory")
            }
        made = _make(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(made)
        partial.replace(path)
    return load(path)


def _make(data: dict[str, npt.NDArray[Any]]) -> bytes:
    import tensorflow as tf  # It takes seconds to import.

    x, y = data["x_factory"], data["y_factory"].astype(np.int64)
    keras = tf.keras
    keras.utils.set_random_seed(_SEED)
    layers = keras.layers
    top = inputs = layers.Input(x.shape[1:])
    for channels in (16, 32, 64):
        top = layers.Conv2D(channels, (5, 1), (2, 1), padding="same", activation="relu")(top)
    top = layers.GlobalAveragePooling2D()(top)
    outputs = layers.Dense(len(data["class_names"]))(layers.Dropout(0.3)(top))
    steps = _EPOCHS * -(-len(y) // _BATCH)
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(x, y, _BATCH, _EPOCHS, verbose=0)
    single = layers.Input(x.shape[1:], batch_size=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(single, model(single)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8

    def calibration() -> Iterator[list[npt.NDArray[np.float32]]]:
        for sample in x[:_CALIBRATION]:
            yield [sample[np.newaxis]]

    converter.representative_dataset = calibration
    return bytes(converter.convert())
