"""Float32 training of the same tail of a model, on the same order of the same data.

    python -m benchmarks.float_twin MODEL --data D.npz --classes 10 --biases-last 22
        --weights 21,24,27,30,36,39 --epochs 3 --lr 1e-3

The frozen early layers run once, in the int8 TFLM interpreter; their int8 activations are what both
runs train on. Above them everything is float: weights, activations (clipped by fused activations,
never rounded), gradients, plain SGD with batch size 1.

`float_gradients` is the other comparison: TensorFlow's gradient of the dequantised model at the
int8 interpreter's own activations, against which the int8 gradients of one step are measured.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.float_graph import (
    Array,
    FloatGraph,
    Int8Interpreter,
    Op,
    Tensor,
    boundary_activations,
)
from tflm_train.data import Dataset, Samples, load_dataset, to_model_input
from tflm_train.runtime.schedule import SCHEDULES, learning_rate_at

EVALUATION_BATCH = 50

Channels = Sequence[int] | None
"""The trained channels of a layer, along the last axis of its weights; None: all."""


@dataclass(frozen=True)
class TrainedSet:
    """What trains, by layer index; where weights train, the bias does; the head always trains."""

    biases: frozenset[int]
    weights: Mapping[int, Channels]
    head: int

    @classmethod
    def of(cls, graph: FloatGraph, biases_last: int, weights: Mapping[int, Channels]) -> TrainedSet:
        """Biases of the last layers below the head, weights of the listed layers, and the head."""
        head = len(graph.layers) - 1
        if not 0 <= biases_last <= head or not all(0 <= layer < head for layer in weights):
            raise ValueError(f"the model has layers 0 to {head - 1} below its head")
        biases = {*range(head - biases_last, head), *weights, head}
        return cls(frozenset(biases), {**weights, head: None}, head)

    @property
    def first(self) -> int:
        """The earliest layer that trains."""
        return min(self.biases)


class FloatTwin:
    """The trainable tail of a model in float, from the first trained layer on.

    Args:
        graph: the model.
        trained: what trains.
        classes: size of a fresh zero-initialised head, or None to train the head as it is.
    """

    def __init__(self, graph: FloatGraph, trained: TrainedSet, classes: int | None) -> None:
        self.graph, self.trained = graph, trained
        self.first_op = graph.layers[trained.first]
        self.boundary = graph.crossing(self.first_op)
        self._parameters: dict[int, tuple[Tensor, Tensor]] = {}
        self._variables: list[Tensor] = []
        self._masks: list[Tensor | None] = []
        for layer in range(trained.first, len(graph.layers)):
            weights, bias = graph.parameters(layer)
            if layer == trained.head and classes is not None:
                weights = np.zeros((classes, *weights.shape[1:]), np.float32)
                bias = np.zeros(classes, np.float32)
            self._parameters[layer] = (
                self._tensor(
                    weights,
                    layer in trained.weights,
                    _trained_elements(weights, trained.weights.get(layer)),
                ),
                self._tensor(bias, layer in trained.biases, None),
            )

    def _tensor(self, values: Array, trains: bool, mask: Array | None) -> Tensor:
        if not trains:
            return tf.constant(values)
        variable = tf.Variable(values)
        self._variables.append(variable)
        self._masks.append(None if mask is None else tf.constant(mask))
        return variable

    def feed(self, activations: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """int8 activations at the boundary, as float."""
        return {t: self.graph.dequantise(t, values) for t, values in activations.items()}

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(
        self, activations: dict[str, Tensor], label: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One SGD step on one sample: the loss, and the class predicted before the update."""
        with tf.GradientTape() as tape:
            logits = self._logits(activations)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits)
            loss = losses[0]
        gradients = tape.gradient(loss, self._variables)
        for variable, mask, gradient in zip(self._variables, self._masks, gradients, strict=True):
            variable.assign_sub(rate * (gradient if mask is None else gradient * mask))
        return loss, tf.argmax(logits[0])

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def predict(self, activations: dict[str, Tensor]) -> Tensor:
        """Predicted classes [n] of a batch."""
        return tf.argmax(self._logits(activations), axis=1)

    def _logits(self, activations: Mapping[str, Tensor]) -> Tensor:
        feed = self.feed({int(t): values for t, values in activations.items()})
        return self.graph.run(feed, self._parameters, self.first_op)


def train_float_twin(
    model_path: str | Path,
    dataset: Dataset,
    *,
    classes: int | None,
    biases_last: int,
    weights: Mapping[int, Channels],
    epochs: int,
    peak_rate: float,
    schedule: str = "linear",
    seed: int = 0,
    limit: int | None = None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Trains the float twin; the arguments mean what they mean in `tflm_train train`.

    `weights` says by layer index which weights train.

    Returns:
        `test_accuracy_before`, `epochs` [{`loss`, `train_accuracy`, `test_accuracy`,
        `learning_rate`}], `test_accuracy`, `steps_per_second`.
    """
    graph = FloatGraph(model_path)
    twin = FloatTwin(graph, TrainedSet.of(graph, biases_last, weights), classes)
    x_train, x_test = dataset.x_train[:limit], dataset.x_test[:limit]
    y_train, y_test = dataset.y_train[:limit], dataset.y_test[:limit]
    train = _activations(model_path, graph, x_train, twin.boundary)
    test = _activations(model_path, graph, x_test, twin.boundary)
    labels = tf.constant(y_train)
    steps, step = epochs * len(y_train), 0
    report: dict[str, Any] = {"test_accuracy_before": _accuracy(twin, test, y_test), "epochs": []}
    seconds = 0.0
    for epoch in range(epochs):
        losses, hits = [], 0
        started = time.perf_counter()
        for i in np.random.default_rng([seed, epoch]).permutation(len(y_train)):
            rate = learning_rate_at(schedule, peak_rate, step, steps)
            sample = {t: values[i : i + 1] for t, values in train.items()}
            loss, predicted = twin.step(sample, labels[i : i + 1], tf.constant(rate, tf.float32))
            losses.append(float(loss))
            hits += int(predicted) == y_train[i]
            step += 1
        seconds += time.perf_counter() - started
        record = {
            "loss": float(np.mean(losses)),
            "train_accuracy": hits / len(y_train),
            "test_accuracy": _accuracy(twin, test, y_test),
            "learning_rate": rate,
        }
        report["epochs"].append(record)
        if verbose:
            print(f"epoch {epoch + 1}: {json.dumps(record)}", flush=True)
    report["test_accuracy"] = report["epochs"][-1]["test_accuracy"]
    report["steps_per_second"] = steps / seconds
    return report


def float_gradients(
    model_path: str | Path,
    x_int8: npt.NDArray[np.int8],
    target: int | Array,
    first_layer: int = 0,
) -> tuple[float, dict[int, tuple[Array, Array]]]:
    """TensorFlow's gradients of the dequantised model at the int8 model's activations.

    Every activation is the one that the int8 interpreter computes (straight through: its rounding
    has gradient 1), and a fused activation passes a gradient where the int8 value lies strictly
    inside its clamp range.

    Args:
        model_path: the original int8 model.
        x_int8: one input [1, ...].
        target: class index, and the loss is softmax cross-entropy on the dequantised logits; or the
            values that the outputs should have, and it is the mean squared error.
        first_layer: layers before this one are left out.

    Returns:
        The loss and, by layer index, dL/dW and dL/db in real units and the file's layout.
    """
    graph = FloatGraph(model_path)
    first_op = graph.layers[first_layer]
    boundary = graph.crossing(first_op)
    tail = graph.ops[first_op:]
    wanted = [*boundary, *(op.output for op in tail)]
    int8 = Int8Interpreter(model_path).activations(x_int8, wanted)

    def straight_through(op: Op, plain: Tensor, clamped: Tensor) -> Tensor:
        del clamped
        q = int8[op.output].reshape(plain.shape)
        clamp = graph.clamp_range(op)
        passing = plain if clamp is None else plain * _mask((q > clamp[0]) & (q < clamp[1]))
        return passing + tf.stop_gradient(graph.dequantise(op.output, q) - passing)

    parameters = {
        layer: tuple(tf.constant(values) for values in graph.parameters(layer))
        for layer in range(first_layer, len(graph.layers))
    }
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        feed = {t: graph.dequantise(t, int8[t]) for t in boundary}
        outputs = graph.run(feed, parameters, first_op, straight_through)
        if isinstance(target, int):
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[target], logits=outputs)
        else:
            losses = tf.reduce_mean(tf.square(outputs - target), axis=-1)
        loss = losses[0]
    gradients = tape.gradient(loss, parameters)
    return float(loss), {
        layer: (weights.numpy(), bias.numpy()) for layer, (weights, bias) in gradients.items()
    }


def _mask(passes: npt.NDArray[np.bool_]) -> Tensor:
    return tf.constant(passes.astype(np.float32))


def _trained_elements(weights: Array, channels: Channels) -> Array | None:
    """1 where weights train; None where all do.

    All-zero edge rows and columns (a PAD folded into the kernel) never train.
    """
    mask = np.zeros_like(weights)
    mask[..., slice(None) if channels is None else np.asarray(channels)] = 1
    if weights.ndim == 4 and weights.any():  # else a fresh head
        used = np.any(weights != 0, axis=(0, 3))
        rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
        edges = np.ones(used.shape, bool)
        edges[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
        mask[:, edges] = 0
    return None if mask.all() else mask


def _activations(
    model_path: str | Path, graph: FloatGraph, x: Samples, boundary: Sequence[int]
) -> dict[str, Tensor]:
    """int8 activations [n, ...] at the boundary, by tensor index as text (TensorFlow's wish)."""
    q = graph.quantisation(graph.input)
    samples = (
        to_model_input(x[i : i + 1], graph.shape(graph.input), float(q.scale[0]), q.zero_point)
        for i in range(len(x))
    )
    arrays = boundary_activations(model_path, samples, boundary)
    return {str(t): tf.constant(values) for t, values in arrays.items()}


def _accuracy(twin: FloatTwin, activations: Mapping[str, Tensor], labels: Array) -> float:
    hits = 0
    for start in range(0, len(labels), EVALUATION_BATCH):
        stop = start + EVALUATION_BATCH
        batch = {t: values[start:stop] for t, values in activations.items()}
        hits += int(np.sum(twin.predict(batch).numpy() == labels[start:stop]))
    return hits / len(labels)


def main() -> None:
    """The command line: prints the report as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--classes", type=int, help="size of a fresh head; without it the head stays"
    )
    parser.add_argument("--biases-last", type=int, default=0)
    parser.add_argument("--weights", default="", help="layer indices, separated by commas")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--schedule", choices=SCHEDULES, default="linear")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="use only the first samples of each part")
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    report = train_float_twin(
        arguments.model,
        load_dataset(arguments.data),
        classes=arguments.classes,
        biases_last=arguments.biases_last,
        weights={int(layer): None for layer in arguments.weights.split(",") if layer},
        epochs=arguments.epochs,
        peak_rate=arguments.lr,
        schedule=arguments.schedule,
        seed=arguments.seed,
        limit=arguments.limit,
        verbose=True,
    )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
