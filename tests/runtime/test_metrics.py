"""Which metric fits a model and its targets, and what it counts; regression through the loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.loss_models import loss_model
from tests.steps import random_inputs, weights_of
from tflm_train.data import Dataset
from tflm_train.errors import DataError
from tflm_train.rewriter import rewrite
from tflm_train.runtime.metrics import metric_for, real_values
from tflm_train.runtime.training import evaluate, train
from tflm_train.scheme import Loss, Scheme


def interpreter_of(name: str, loss: Loss | None) -> tt.Interpreter:
    """The model as it is, or rewritten for a loss."""
    if loss is None:
        return tt.Interpreter(loss_model(name))
    model = tt.Model(loss_model(name), name)
    return tt.Interpreter(rewrite(model, Scheme(loss=loss, weights=weights_of(0))).model_bytes)


INDICES = np.zeros(2, np.int64)


@pytest.mark.parametrize(
    ("name", "loss", "y", "metric", "threshold"),
    [
        ("regression", Loss(), INDICES, "accuracy", None),
        ("regression", Loss(target="probabilities"), np.zeros((2, 3)), "accuracy", None),
        ("regression", Loss("mean_squared_error"), np.zeros((2, 3)), "mean_squared_error", None),
        ("regression", Loss("sigmoid_cross_entropy"), np.zeros((2, 3)), "accuracy", 0.0),
        ("regression", None, np.zeros((2, 3)), "mean_squared_error", None),
        ("regression", None, INDICES, "accuracy", None),
        ("tagger", Loss("sigmoid_cross_entropy"), np.zeros((2, 4)), "accuracy", 0.5),
        ("tagger", Loss("sigmoid_cross_entropy"), INDICES, "accuracy", None),
        ("tagger", None, np.zeros((2, 4)), "accuracy", 0.5),
        ("detector", Loss("sigmoid_cross_entropy"), INDICES, "accuracy", 0.5),
        ("detector", None, INDICES, "accuracy", 0.5),
        ("autoencoder", Loss("mean_squared_error", "input"), INDICES, "mean_squared_error", None),
    ],
)
def test_which_metric(
    name: str, loss: Loss | None, y: Any, metric: str, threshold: float | None
) -> None:
    found = metric_for(interpreter_of(name, loss), y)
    assert (found.name, found.threshold) == (metric, threshold)


def test_what_each_counts() -> None:
    values = interpreter_of("regression", Loss("mean_squared_error"))
    output = values.model.graph.outputs[0]
    answer = np.array([[0, 10, -20]], np.int8)
    real = real_values(answer, output)
    np.testing.assert_allclose(real, (answer.astype(float) - output.zero_point) * output.scale)
    error = metric_for(values, np.zeros((1, 3))).score(answer, real - 0.5)
    assert error == pytest.approx(0.25)
    classes = metric_for(interpreter_of("regression", Loss()), INDICES)
    assert classes.score(answer, np.int64(1)) == 1 and classes.score(answer, np.int64(0)) == 0
    labels = metric_for(interpreter_of("tagger", None), np.zeros((1, 4)))
    # LOGISTIC's output: scale 1/256, zero point -128.
    score = labels.score(np.array([[127, -128, 127, -128]], np.int8), np.array([1, 0, 0, 0]))
    assert score == 0.75


class TestRegression:
    def dataset(self, outputs: int, count: int = 40) -> Dataset:
        rng = np.random.default_rng(3)
        x = rng.uniform(-1, 1, (count, 6)).astype(np.float32)
        y = np.stack([x[:, 0] * 0.3, x[:, 1] * -0.2, x[:, 2] * 0.25], axis=1)[:, :outputs]
        return Dataset(x[:30], y[:30], x[30:], y[30:])

    def test_it_learns(self) -> None:
        interpreter = interpreter_of("regression", Loss("mean_squared_error"))
        record = train(interpreter, self.dataset(3), epochs=30, learning_rate=0.05)
        assert record.metric == "mean_squared_error"
        assert record.test_accuracy < 0.3 * record.test_accuracy_before
        last = record.epochs[-1]
        assert last.train_accuracy == pytest.approx(last.loss, rel=1e-3)

    def test_targets_of_another_size(self) -> None:
        interpreter = interpreter_of("regression", Loss("mean_squared_error"))
        words = "y_train: 2 values for each sample, but the model has 3 outputs"
        with pytest.raises(DataError, match=words):
            train(interpreter, self.dataset(2), learning_rate=1e-3)

    def test_no_targets(self) -> None:
        x = np.zeros((2, 6), np.float32)
        none = np.zeros((2, 0), np.float32)
        interpreter = interpreter_of("regression", Loss("mean_squared_error"))
        with pytest.raises(DataError, match="the data set has no y_train; only a model that"):
            train(interpreter, Dataset(x, none, x, none), learning_rate=1e-3)

    def test_an_autoencoder_needs_none(self) -> None:
        interpreter = interpreter_of("autoencoder", Loss("mean_squared_error", "input"))
        x = np.random.default_rng(0).uniform(-1, 1, (8, 24)).astype(np.float32)
        none = np.zeros((8, 0), np.float32)
        record = train(interpreter, Dataset(x, none, x, none), epochs=20, learning_rate=0.2)
        assert record.metric == "mean_squared_error"
        assert record.test_accuracy < 0.8 * record.test_accuracy_before

    def test_labels(self) -> None:
        """Yes or no: integer labels of a model with one output."""
        interpreter = interpreter_of("detector", Loss("sigmoid_cross_entropy"))
        x = np.random.default_rng(0).uniform(-1, 1, (40, 6)).astype(np.float32)
        y = (x[:, 0] > 0).astype(np.int64)
        record = train(interpreter, Dataset(x, y, x, y), epochs=20, learning_rate=0.1)
        assert record.metric == "accuracy" and record.test_accuracy > 0.8

    def test_a_wrong_label_is_named(self) -> None:
        interpreter = interpreter_of("detector", Loss("sigmoid_cross_entropy"))
        x = np.zeros((3, 6), np.float32)
        y = np.array([0, 2, 1])
        with pytest.raises(DataError, match=r"y_train\[1\]: a target value is no probability"):
            train(interpreter, Dataset(x, y, x, y), learning_rate=1e-3)
        assert interpreter.step == 0


def test_evaluate_is_the_mean() -> None:
    interpreter = interpreter_of("regression", None)
    x = np.stack(random_inputs(interpreter.model.graph, 3))
    y = np.zeros((3, 3), np.float32)
    real = [real_values(interpreter.infer(s), interpreter.model.graph.outputs[0]) for s in x]
    assert evaluate(interpreter, x, y) == pytest.approx(np.mean(np.square(real)))
