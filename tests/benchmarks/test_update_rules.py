"""The comparison of update rules: its tasks, how it judges, and what the committed results say."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from benchmarks import kernels, update_rules
from benchmarks.tasks import DIGITS
from tflm_train.qas.update_rule import Sgd

RESULTS = kernels.BASELINE.with_name("update_rules.json")


def row(rule: str, rate: float, *accuracies: float) -> dict[str, Any]:
    return {
        "task": "task", "rule": rule, "rate": rate, "test_samples": 100,
        "test_accuracy": list(accuracies),
    }  # fmt: skip


def test_rules_are_judged_by_their_best_rate() -> None:
    rows = [row("sgd", 0.1, 0.5, 0.7), row("sgd", 0.3, 0.4, 0.4)]
    rows += [row("other", 0.1, 0.89, 0.89), row("other", 0.3, 0.9, 0.9)]
    sgd, other = update_rules.judge(rows)
    assert (sgd["rate"], sgd["difference"], sgd["near"], sgd["is_clear"]) == (0.1, 0, 1, False)
    assert (other["rate"], other["near"], other["is_clear"]) == (0.3, 2, True)
    assert other["difference"] == pytest.approx(0.3)
    assert other["standard_error"] == pytest.approx(((0.24 + 0.09) / 100) ** 0.5)


def test_a_share_of_the_labels_is_wrong() -> None:
    given = vars(DIGITS) | {"name": "wrong"}
    right, wrong = (
        DIGITS.dataset(),
        update_rules.MislabelledTask(**given, wrong_labels=0.3).dataset(),
    )
    assert np.mean(right.y_train != wrong.y_train) == pytest.approx(0.3, abs=0.05)
    assert set(wrong.y_train) == set(right.y_train)
    np.testing.assert_array_equal(right.y_test, wrong.y_test)


@pytest.mark.interpreter
def test_it_trains_with_each_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"sgd": Sgd(), "clip_norm 3": Sgd(clip_norm=3)}
    monkeypatch.setattr(update_rules, "RULES", rules)
    task = dataclasses.replace(DIGITS, epochs=1)
    rows = update_rules.measure(task, [0.03], 40)
    assert [r["rule"] for r in rows] == list(rules)
    assert all(len(r["test_accuracy"]) == len(update_rules.SEEDS) for r in rows)
    assert rows[0]["loss"] != rows[1]["loss"]
    assert [r["extra_bytes"] for r in rows] == [0, 0]


def test_committed_results_are_of_all_tasks_rules_and_rates() -> None:
    committed = json.loads(RESULTS.read_text())
    assert {(r["task"], r["rule"], r["rate"]) for r in committed["rows"]} == {
        (task.name, rule, rate)
        for task in update_rules.TASKS
        for rule in update_rules.RULES
        for rate in update_rules.RATES
    }
    judged = [
        verdict
        for task in update_rules.TASKS
        for verdict in update_rules.judge([r for r in committed["rows"] if r["task"] == task.name])
    ]
    assert judged == committed["verdicts"]
