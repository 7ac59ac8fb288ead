"""From a float gesture model to one that has learned a new person's arm: accuracy at each station.

    python -m benchmarks.float_gesture [--seeds N] [--json] [--save FILE]

Exercises are told from the movements of a worn sensor (`../shared/data/stories`): a small float
Keras network is trained on right arms and converted without quantization, as people have it. Then
the commands as a user has them: `quantize` with factory samples, `rewrite`, `train` on what new
persons do with their left arms, `merge`. Each row is measured by `evaluate` or, of the float model,
by its own answers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from benchmarks.use_commands import run_command

Array = npt.NDArray[Any]
_DATA = SHARED / "data" / "stories" / "shoulder_left_arm.npz"
_EPOCHS, _BATCH = 40, 32


def float_model(x: Array, y: Array, classes: int, seed: int) -> bytes:
    """A float32 .tflite file: three convolutions over time, a mean, a dense layer."""
    import tensorflow as tf

    keras: Any = tf.keras
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:], batch_size=1),
            *(layers.Conv2D(n, (5, 1), strides=(2, 1), activation="relu") for n in (16, 24, 32)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(24, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    training = keras.Sequential([keras.Input(x.shape[1:]), *model.layers])
    training.compile("adam", "sparse_categorical_crossentropy")
    training.fit(x, y, batch_size=_BATCH, epochs=_EPOCHS, verbose=0)
    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def accuracy_of(data: bytes, x: Array, y: Array) -> float:
    """Of a float model, in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]
    right = 0
    for sample, label in zip(x, y, strict=True):
        interpreter.set_tensor(place, sample[None])
        interpreter.invoke()
        right += int(np.argmax(interpreter.get_tensor(output)) == label)
    return right / len(x)


def stations(seed: int, folder: Path) -> list[dict[str, Any]]:
    """One way through all commands."""
    story = np.load(_DATA)
    mean = story["x_factory"].mean(axis=(0, 1))
    spread = story["x_factory"].std(axis=(0, 1))
    parts = ("factory", "factory_test", "field_train", "field_test")
    x = {p: ((story[f"x_{p}"] - mean) / spread).astype(np.float32)[:, :, None, :] for p in parts}
    y = {p: story[f"y_{p}"].astype(np.int64) for p in parts}
    for name, train, test in (("right", parts[0], parts[1]), ("left", parts[2], parts[3])):
        np.savez(
            folder / f"{name}.npz",
            x_train=x[train],
            y_train=y[train],
            x_test=x[test],
            y_test=y[test],
        )
    data = float_model(x["factory"], y["factory"], len(story["class_names"]), seed)
    (folder / "float.tflite").write_bytes(data)
    float_row = [accuracy_of(data, x[p], y[p]) for p in ("factory_test", "field_test")]
    rows = [{"station": "float32 model", "right": float_row[0], "left": float_row[1]}]

    def judge(station: str, file: str) -> None:
        found = [run_command(folder, f"evaluate {file} --data {d}.npz") for d in ("right", "left")]
        scores = [each["test_accuracy"] for each in found]
        rows.append({"station": station, "right": scores[0], "left": scores[1]})

    run_command(folder, "quantize float.tflite --data right.npz -o int8.tflite")
    judge("quantized to int8", "int8.tflite")
    run_command(folder, "rewrite int8.tflite -o train.tflite")
    judge("rewritten, not trained", "train.tflite")
    run_command(folder, f"train train.tflite --data left.npz --seed {seed} --save-state t.state")
    judge("trained on left arms", "train.tflite --load-state t.state")
    run_command(folder, "merge train.tflite --state t.state -o merged.tflite")
    judge("merged, builtin operators only", "merged.tflite")
    return rows


def main(arguments: argparse.Namespace) -> int:
    """Goes through with each seed; the status is 1 where a station is not what the last one was."""
    runs = []
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as name:
            runs.append(stations(seed, Path(name)))
    rows = []
    for same in zip(*runs, strict=True):
        row: dict[str, Any] = {"station": same[0]["station"]}
        for key in ("right", "left"):
            row[key] = 100 * float(np.mean([each[key] for each in same]))
        rows.append(row)
    if not arguments.json:
        columns = (
            Column("station", "station"),
            Column("right arms, new persons, %", "right", "{:.1f}"),
            Column("left arms, new persons, %", "left", "{:.1f}"),
        )
        show(f"a float gesture model, mean of {arguments.seeds} seeds", columns, rows)
    publish("float_gesture", {"rows": rows, "runs": runs}, arguments)
    same = rows[1]["left"] == rows[2]["left"] and rows[3] | {"station": ""} == rows[4] | {
        "station": ""
    }
    return 0 if same and rows[3]["left"] > rows[2]["left"] else 1


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="how often, from the beginning")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
