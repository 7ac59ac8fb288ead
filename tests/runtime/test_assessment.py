"""What is counted in a model's answers, against scikit-learn."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from tests.runtime.test_metrics import interpreter_of
from tflm_train.data import Dataset
from tflm_train.runtime.assessment import Assessment, anomalies, assess, auc
from tflm_train.runtime.metrics import Answers, metric_for, real_values
from tflm_train.scheme import Loss

cached_interpreter = functools.cache(interpreter_of)
"""Rewritten once, not for each example."""


def answers_to(name: str, loss: Loss | None, given_: Any, wanted: Any) -> Answers:
    """Of made-up outputs, [n, outputs] int8."""
    wanted = np.asarray(wanted)
    values = np.asarray(given_, np.int8)[:, np.newaxis]
    return Answers(metric_for(cached_interpreter(name, loss), wanted), values, wanted)


def classified(rows: Any, right: Any, names: tuple[str, ...] = ()) -> Assessment:
    """By the model of three outputs."""
    return assess(answers_to("regression", Loss(), rows, right), names)


@settings(deadline=None)  # The first example makes the model.
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_classes_are_counted_as_scikit_learn_counts(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    rows, right = rng.integers(-3, 3, (count, 3)), rng.integers(0, 3, count)
    found = classified(rows, right, ("a", "b", "c"))
    given_ = rows.argmax(axis=1)
    wanted = metrics.confusion_matrix(right, given_, labels=[0, 1, 2])
    np.testing.assert_array_equal(found.confusion, wanted)
    scores = metrics.precision_recall_fscore_support(
        right, given_, labels=[0, 1, 2], zero_division=np.nan
    )
    assert found.classes is not None
    for index, row in enumerate(found.classes):
        precision, recall, f1, samples = (column[index] for column in scores)
        assert row.class_ == "abc"[index] and row.samples == samples
        assert row.right == wanted[index, index] and row.found == wanted[:, index].sum()
        assert row.precision == (None if np.isnan(precision) else pytest.approx(precision))
        assert row.recall == (None if np.isnan(recall) else pytest.approx(recall))
        assert row.f1 == pytest.approx(np.nan_to_num(f1))
    assert found.test_accuracy == pytest.approx(metrics.accuracy_score(right, given_))
    ties = [row.max() == np.sort(row)[-2] for row in rows]
    assert found.ties == pytest.approx(np.mean(ties))


def test_top_k() -> None:
    rows = [[5, 3, 1], [5, 3, 1], [5, 5, 1], [0, 0, 0]]
    found = classified(rows, [1, 2, 1, 2])
    # The second of three equal outputs is not among the first two that argmax would take.
    assert found.top_k == {"2": 0.5}
    assert found.test_accuracy == 0 and found.ties == 0.5


@given(st.integers(0, 2**32 - 1), st.integers(2, 50))
def test_auc(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    values, positive = rng.integers(0, 6, count).astype(float), rng.integers(0, 2, count) > 0
    found = auc(values, positive)
    if positive.all() or not positive.any():
        assert found is None
    else:
        assert found == pytest.approx(metrics.roc_auc_score(positive, values))


def test_a_yes_or_no_model() -> None:
    # LOGISTIC's output: zero point -128, so 0 is one half.
    found = assess(
        answers_to("detector", None, [[10], [-10], [20], [0]], [1, 0, 0, 1]), ("no", "yes")
    )
    assert found.confusion == ((1, 1), (1, 1)) and found.test_accuracy == 0.5
    assert [row.class_ for row in found.classes or ()] == ["no", "yes"]
    assert found.auc == 0.5 and found.ties is None and found.top_k is None


def test_labels() -> None:
    rows = [[50, -50, 50, -50], [-50, -50, 50, 50]]
    found = assess(answers_to("tagger", None, rows, np.array([[1, 0, 0, 0], [0, 0, 1, 0]])))
    assert found.classes is not None and found.confusion is None
    assert [(c.samples, c.right, c.found) for c in found.classes] == [
        (1, 1, 1), (0, 0, 0), (1, 1, 2), (0, 0, 1),
    ]  # fmt: skip
    assert [c.auc for c in found.classes] == [1.0, None, 0.5, None]
    assert found.test_accuracy == 0.75


def test_a_regression() -> None:
    loss = Loss("mean_squared_error")
    rng = np.random.default_rng(0)
    rows = rng.integers(-100, 100, (20, 3))
    model = interpreter_of("regression", loss)
    real = real_values(rows, model.model.graph.outputs[0])
    wanted = real + rng.normal(0, 0.3, real.shape)
    found = assess(answers_to("regression", loss, rows, wanted))
    assert found.mean_absolute_error == pytest.approx(metrics.mean_absolute_error(wanted, real))
    assert found.root_mean_squared_error == pytest.approx(
        np.sqrt(metrics.mean_squared_error(wanted, real))
    )
    weighted = metrics.r2_score(wanted, real, multioutput="variance_weighted")
    assert found.r2 == pytest.approx(weighted)
    assert found.standard_error == pytest.approx(
        np.std(np.mean((wanted - real) ** 2, axis=1)) / np.sqrt(20)
    )
    alike = assess(answers_to("regression", loss, rows, np.ones((20, 3))))
    assert alike.r2 is None


def test_which_samples_are_anomalies() -> None:
    x = np.zeros((4, 2), np.float32)

    def of(train: list[int], test: list[int]) -> list[bool] | None:
        found = anomalies(Dataset(x[: len(train)], np.array(train), x[: len(test)], np.array(test)))
        return None if found is None else found.tolist()

    assert of([1, 1], [1, 0, 1, 0]) == [False, True, False, True]  # "anomaly" before "normal"
    assert of([0, 0], [0, 1, 2, 0]) == [False, True, True, False]
    assert of([0, 1], [0, 1, 1, 0]) == [False, True, True, False]
    assert of([0, 0], [0, 0]) is None
    assert of([0, 1], [1, 1]) is None
    targets = Dataset(x, np.zeros((4, 0)), x, np.zeros((4, 0)))
    assert anomalies(targets) is None
