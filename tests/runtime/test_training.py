"""The training loop: order, schedules, records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import DIGITS, weights_of
from tflm_train.data import Dataset
from tflm_train.data.split import sampled
from tflm_train.errors import DataError, ModelError
from tflm_train.model import load
from tflm_train.rewriter import rewrite
from tflm_train.runtime.model_data import model_inputs
from tflm_train.runtime.schedule import SCHEDULES, learning_rate_at
from tflm_train.runtime.training import evaluate, train
from tflm_train.runtime.training_record import EpochRecord, StepReport, TrainingRecord
from tflm_train.scheme import Head, Scheme

pytestmark = pytest.mark.interpreter


@pytest.fixture(scope="module")
def rewritten() -> bytes:
    scheme = Scheme(biases_last=2, weights=weights_of(9), residual_bits=0)
    return rewrite(load(DIGITS), scheme).model_bytes


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Pictures whose class is the row that is lit: easy to learn."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 40)
    x = rng.integers(0, 60, (40, 16, 16, 1)).astype(np.uint8)
    for i, label in enumerate(y):
        x[i, 3 + label] = 255
    return Dataset(x[:28], y[:28], x[28:], y[28:], tuple("0123456789"))


class TestSchedules:
    def test_linear(self) -> None:
        rates = [learning_rate_at("linear", 0.1, step, 4) for step in range(4)]
        assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])

    def test_warmup(self) -> None:
        rates = [learning_rate_at("warmup", 0.1, step, 40) for step in range(40)]
        linear = [learning_rate_at("linear", 0.1, step, 40) for step in range(40)]
        assert rates == pytest.approx(np.multiply(linear, [0.25, 0.5, 0.75, *[1.0] * 37]))

    def test_cosine(self) -> None:
        rates = [learning_rate_at("cosine", 0.1, step, 4) for step in range(4)]
        half = math.sqrt(0.5)
        assert rates == pytest.approx([0.1, 0.05 * (1 + half), 0.05, 0.05 * (1 - half)])

    def test_constant_takes_a_tenth_for_the_last_fifth(self) -> None:
        rates = [learning_rate_at("constant", 0.1, step, 10) for step in range(10)]
        assert rates == pytest.approx([0.1] * 8 + [0.01] * 2)

    @pytest.mark.parametrize("schedule", SCHEDULES)
    def test_always_trains(self, schedule: str) -> None:
        for total in (1, 2, 7, 1000):
            rates = [learning_rate_at(schedule, 1e-3, step, total) for step in range(total)]
            top = rates.index(max(rates))
            assert top <= total / 10 and (schedule == "warmup" or top == 0)
            assert max(rates) == pytest.approx(1e-3, rel=0.1) or total == 1
            assert all(0 < rate <= 1e-3 for rate in rates)
            assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_loop_is_what_it_says(rewritten: bytes, dataset: Dataset, schedule: str) -> None:
    """Order, rates, losses and accuracies, replayed by hand."""
    interpreter = tt.Interpreter(rewritten)
    steps: list[StepReport] = []
    epochs: list[tuple[int, EpochRecord]] = []
    dataset = dataset.with_parts(val=dataset.train.take(np.arange(20, 28)))
    record = train(
        interpreter,
        dataset,
        epochs=2,
        learning_rate=0.05,
        schedule=schedule,
        keep="last",
        seed=5,
        limit=10,
        on_step=steps.append,
        on_epoch=lambda i, e: epochs.append((i, e)),
    )
    twin = tt.Interpreter(rewritten)
    some = sampled(dataset, 10)
    assert some.val is not None
    x = model_inputs(twin, some.x_train, "x_train")
    x_val = model_inputs(twin, some.val.x, "x_val")
    x_test = model_inputs(twin, some.x_test, "x_test")
    before = evaluate(twin, x_test, some.y_test)
    losses, validated, rights = [], [], []
    for epoch in range(2):
        for i in np.random.default_rng([5, epoch]).permutation(10):
            rate = learning_rate_at(schedule, 0.05, len(losses), 20)
            losses.append(twin.train_step(x[i], int(some.y_train[i]), rate))
            rights.append(int(np.argmax(twin.output()) == some.y_train[i]))
        validated.append(evaluate(twin, x_val, some.val.y))
    assert interpreter.state() == twin.state() and interpreter.step == 20
    np.testing.assert_array_equal(record.losses, np.array(losses, np.float32))
    assert record.test_accuracy_before == before
    assert [e.val_accuracy for e in record.epochs] == validated
    assert record.test_accuracy == evaluate(twin, x_test, some.y_test)
    assert record.best_epoch is None
    assert [e.train_accuracy for e in record.epochs] == [
        sum(rights[:10]) / 10,
        sum(rights[10:]) / 10,
    ]
    assert record.epochs[0].loss == pytest.approx(np.mean(losses[:10]))
    assert record.epochs[1].learning_rate == pytest.approx(learning_rate_at(schedule, 0.05, 19, 20))
    assert record.steps_per_second > 0
    assert epochs == list(enumerate(record.epochs))
    assert [(s.epoch, s.step, s.steps) for s in steps] == [
        (e, n, 10) for e in range(2) for n in range(1, 11)
    ]
    assert steps[9].loss == pytest.approx(record.epochs[0].loss)
    assert steps[9].accuracy == record.epochs[0].train_accuracy


class TestValidation:
    """What the samples for validation decide, with their scores given."""

    def run(
        self,
        rewritten: bytes,
        dataset: Dataset,
        monkeypatch: pytest.MonkeyPatch,
        scores: list[float],
        error: float = 0.0,
        **options: Any,
    ) -> tuple[TrainingRecord, tt.Interpreter]:
        some = dataset.with_parts(
            train=dataset.train.take(np.arange(4)), val=dataset.train.take(np.arange(4, 8))
        )
        given = iter(scores)
        monkeypatch.setattr("tflm_train.runtime.training.validate", lambda *_: (next(given), error))
        interpreter = tt.Interpreter(rewritten)
        return train(interpreter, some, learning_rate=0.01, **options), interpreter

    def test_the_best_epoch_is_kept(
        self, rewritten: bytes, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scores = [0.5, 0.75, 0.5, 0.625]
        record, interpreter = self.run(rewritten, dataset, monkeypatch, scores, epochs=4)
        assert record.best_epoch == 1 and interpreter.step == 8
        record, interpreter = self.run(
            rewritten, dataset, monkeypatch, scores, epochs=4, keep="last"
        )
        assert record.best_epoch is None and interpreter.step == 16

    def test_a_later_epoch_is_kept_where_it_is_no_worse_by_an_error(
        self, rewritten: bytes, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for error, epoch in ((0.125, 3), (0.0625, 1), (0.25, 4)):
            record, interpreter = self.run(
                rewritten, dataset, monkeypatch, [0.5, 0.75, 0.25, 0.625, 0.5], error, epochs=5
            )
            assert record.best_epoch == epoch and interpreter.step == 4 * (epoch + 1)

    def test_patience(
        self, rewritten: bytes, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scores = [0.5, 0.25, 0.75, 0.75, 0.5, 1.0]
        record, interpreter = self.run(
            rewritten, dataset, monkeypatch, scores, epochs=6, patience=2
        )
        assert [e.val_accuracy for e in record.epochs] == scores[:5]
        assert interpreter.step == 16

    def test_a_plateau(
        self, rewritten: bytes, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scores = [0.25, 0.5, 0.5, 0.25, 0.5, 0.75, 0.75, 0.75, 0.75, 0.75]
        record, _ = self.run(rewritten, dataset, monkeypatch, scores, schedule="plateau")
        falls = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
        rates = [e.learning_rate for e in record.epochs]
        assert rates == pytest.approx([0.01 / 3**fall for fall in falls])


def test_it_learns(dataset: Dataset) -> None:
    scheme = Scheme(head=Head(classes=10), biases_last=4, weights=weights_of(7, 10))
    interpreter = tt.Interpreter(rewrite(load(DIGITS), scheme).model_bytes)
    record = train(interpreter, dataset, epochs=12, learning_rate=0.02)
    assert record.epochs[-1].loss < 0.5 * record.epochs[0].loss
    assert record.epochs[-1].train_accuracy > 0.7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"schedule": "steps"}, "schedule 'steps' is not one of warmup, linear, cosine, constant"),
        ({"learning_rate": math.nan}, "learning rate nan must be a finite number above 0"),
        ({"learning_rate": 0.0}, "learning rate 0.0 must be"),
        ({"epochs": 0}, "epochs 0 must be at least 1"),
        ({"limit": 0}, "limit 0 must be at least 1"),
        ({"patience": 0}, "patience 0 must be at least 1"),
        ({"patience": 2}, "patience 2 needs samples for validation"),
        ({"keep": "best"}, "keep best needs samples for validation"),
        ({"schedule": "plateau"}, "schedule plateau needs samples for validation"),
    ],
)
def test_refused_arguments(
    rewritten: bytes, dataset: Dataset, arguments: dict[str, Any], words: str
) -> None:
    interpreter = tt.Interpreter(rewritten)
    factory = interpreter.state()
    with pytest.raises(DataError, match=words):
        train(interpreter, dataset, **{"learning_rate": 1e-3} | arguments)
    assert interpreter.state() == factory


def test_refused_data(rewritten: bytes, dataset: Dataset) -> None:
    interpreter = tt.Interpreter(rewritten)
    labels = dataset.y_train.copy()
    labels[5] = 10
    with pytest.raises(DataError, match="10"):
        train(
            interpreter,
            Dataset(dataset.x_train, labels, dataset.x_test, dataset.y_test, ()),
            learning_rate=1e-3,
        )
    with pytest.raises(ModelError, match="holds no training ops"):
        train(tt.Interpreter(DIGITS), dataset, learning_rate=1e-3)
    assert interpreter.step == 0


def test_accuracy_counts(rewritten: bytes, dataset: Dataset) -> None:
    interpreter = tt.Interpreter(rewritten)
    x = model_inputs(interpreter, dataset.x_test, "x_test")
    predicted = np.array([np.argmax(interpreter.infer(sample)) for sample in x])
    seen: list[int] = []
    assert evaluate(interpreter, x, predicted, seen.append) == 1.0
    assert seen == list(range(1, len(x) + 1))
    predicted[:3] = (predicted[:3] + 1) % 10
    assert evaluate(interpreter, x, predicted) == 1 - 3 / len(x)
