from __future__ import annotations

import pytest

from tests.search.test_search import data
from tests.steps import DIGITS
from tflm_train.model import load
from tflm_train.scheme.head import Head
from tflm_train.search.candidates import list_candidates
from tflm_train.search.contributions import SEEDS, default_steps
from tflm_train.search.fine_tune import FineTuner
from tflm_train.search.plan import Plan, make_plan


def plan(minutes: float, monkeypatch: pytest.MonkeyPatch, workers: int = 1) -> Plan:
    """Of a machine that takes a millisecond for a step."""
    monkeypatch.setattr("tflm_train.search.plan._speed", lambda *_: (0.1, 1e-3))
    model = load(DIGITS)
    candidates = list_candidates(model, Head(10))
    return make_plan(FineTuner(model, data()), candidates, minutes, workers, 1, 11)


def test_more_time_buys_more(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [plan(minutes, monkeypatch) for minutes in (0.5, 3, 6, 12, 60)]
    runs = [0 if x.fast else x.steps * x.seeds for x in plans]
    assert runs == sorted(runs) and runs[0] == 0 < runs[2]
    assert plans[0].fast and plans[0].steps == default_steps(data())
    assert (plans[-1].steps, plans[-1].seeds) == (default_steps(data()), SEEDS)
    assert plans[0].final_steps <= plans[-1].final_steps


def test_more_workers_are_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan(6, monkeypatch, workers=2) == plan(12, monkeypatch)
