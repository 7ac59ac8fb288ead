"""A denoiser of int16 activations in the field: its head alone, or the whole model in int8?

    python -m benchmarks.int16_head [--seeds 0 1 2] [--save FILE] [--json]

A small convolutional network takes white noise off windows of tones; in the field there is hum and
clicks instead. It is converted with int16 activations, whose last layer `rewrite` makes int8 and
trains, and with int8 activations, of which more can train. Scored is the signal-to-noise ratio of
what comes out, in dB, on windows that no network has seen; rates as `train` chooses them.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import tflm_train as tt
from benchmarks.report import Column, parser_of, publish, show
from tflm_train import learning
from tflm_train.data import Dataset
from tflm_train.model import Model
from tflm_train.model.prepared import prepared
from tflm_train.runtime.model_data import model_inputs
from tflm_train.scheme import Loss
from tflm_train.scheme.presets import preset_scheme

Array = npt.NDArray[Any]
LENGTH, CHANNELS = 128, 16
FACTORY, FIELD, TEST, CALIBRATION = 2000, 600, 200, 100
EPOCHS, FIELD_EPOCHS = 30, 5
ACTIVATIONS = {
    "int16": "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
    "int8": "TFLITE_BUILTINS_INT8",
}
CASES = (("int16", "head"), ("int8", "head"), ("int8", "light"), ("int8", "medium"))
COLUMNS = (
    Column("activations", "activations"),
    Column("trains", "preset"),
    Column("factory's windows, dB", "factory", "{:.1f}"),
    Column("field before, dB", "before", "{:.1f}"),
    Column("field after, dB", "after", "{:.1f}"),
    Column("standard deviation", "deviation", "{:.2f}"),
)


def windows(count: int, seed: int, is_field: bool) -> tuple[Array, Array]:
    """Noisy windows and the tones in them: [count, LENGTH, 1, 1] float32 each."""
    rng = np.random.default_rng([seed, is_field])
    time = np.arange(LENGTH)

    def tone(low: float, high: float) -> Array:
        rate, phase = rng.uniform(low, high, (count, 1)), rng.uniform(0, 2 * np.pi, (count, 1))
        return np.sin(2 * np.pi * rate * time + phase)

    clean = sum(rng.uniform(0.1, 0.5, (count, 1)) * tone(0.02, 0.12) for _ in range(3))
    noise = rng.normal(0, 0.25, clean.shape)
    if is_field:
        clicks = (rng.random(clean.shape) < 0.03) * rng.normal(0, 1.0, clean.shape)
        noise = 0.2 * noise + 0.3 * tone(0.18, 0.2) + clicks
    pairs = (clean + noise, clean)
    noisy, tones = (part.astype(np.float32).reshape(count, LENGTH, 1, 1) for part in pairs)
    return noisy, tones


def denoiser() -> dict[str, Model]:
    """The factory's network, by the type of its activations."""
    import tensorflow as tf  # It takes seconds to import.

    keras = tf.keras
    keras.utils.set_random_seed(3)
    layers = keras.layers
    x = inputs = layers.Input((LENGTH, 1, 1), batch_size=None)
    for _ in range(3):
        x = layers.Conv2D(CHANNELS, (7, 1), padding="same", activation="relu")(x)
    model = keras.Model(inputs, layers.Conv2D(1, (7, 1), padding="same")(x))
    model.compile("adam", "mse")
    noisy, clean = windows(FACTORY, 0, False)
    model.fit(noisy, clean, 32, EPOCHS, verbose=0)
    single = layers.Input((LENGTH, 1, 1), batch_size=1)
    made = {}
    for name, operators in ACTIVATIONS.items():
        converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(single, model(single)))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, operators)]

        def calibration() -> Iterator[list[Array]]:
            for is_field in (False, True):
                for sample in windows(CALIBRATION, 1, is_field)[0]:
                    yield [sample[np.newaxis]]

        converter.representative_dataset = calibration
        made[name] = Model(bytes(converter.convert()), f"denoiser_{name}.tflite")
    return made


def ratio(interpreter: tt.Interpreter, noisy: Array, clean: Array) -> float:
    """Signal to noise of what a model makes of windows, in dB."""
    inputs = model_inputs(interpreter, noisy, "noisy")
    answers = np.array([interpreter.infer(x).reshape(-1) for x in inputs])
    wanted = clean.reshape(len(clean), -1)
    return float(10 * np.log10(np.mean(wanted**2) / np.mean((answers - wanted) ** 2)))


def measure(model: Model, preset: str, seeds: list[int]) -> dict[str, Any]:
    """One model and what of it trains."""
    x, y = windows(FIELD, 2, True)
    x_test, y_test = windows(TEST, 3, True)
    data = Dataset(x, y.reshape(FIELD, -1), x_test, y_test.reshape(TEST, -1))
    scheme = preset_scheme(preset, prepared(model))
    # The answer is as large as the input, but it is not to be the input again.
    scheme = dataclasses.replace(scheme, loss=Loss("mean_squared_error"))
    rewritten = tt.rewrite(model, scheme)
    plain, after = tt.Interpreter(model), []
    for seed in seeds:
        interpreter = tt.Interpreter(rewritten.model_bytes)
        learning.train(interpreter, data, epochs=FIELD_EPOCHS, seed=seed)
        after.append(ratio(interpreter, x_test, y_test))
    return {
        "preset": preset,
        "factory": ratio(plain, *windows(TEST, 4, False)),
        "before": ratio(plain, x_test, y_test),
        "after": statistics.fmean(after),
        "deviation": statistics.stdev(after) if len(after) > 1 else 0.0,
    }


def main() -> None:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    models = denoiser()
    rows = [
        {"activations": name} | measure(models[name], preset, arguments.seeds)
        for name, preset in CASES
    ]
    if not arguments.json:
        show("A denoiser in the field", COLUMNS, rows)
    publish("int16_head", {"rows": rows}, arguments)


if __name__ == "__main__":
    main()
