"""The solver's process: answers, no answer, and what becomes of one that crashes."""

from __future__ import annotations

import os
import signal

import pytest

from tflm_train.errors import RuntimeFailure
from tflm_train.search import solver


def _model(least: int) -> str:
    """`least` <= x <= 7, x as large as can be."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    x = model.new_int_var(0, 10, "x")
    model.add(x <= 7)
    model.add(x >= least)
    model.maximize(x)
    return str(model.proto)


def test_the_best_solution() -> None:
    found = solver.solve(_model(2))
    assert found is not None and found.is_optimal
    assert found.values == (7,) and found.bound == 7


def test_no_solution() -> None:
    assert solver.solve(_model(8)) is None


def test_a_solver_that_was_killed_is_started_again() -> None:
    assert solver.solve(_model(1)) is not None
    running = solver._process()._running
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert solver.solve(_model(3)) is not None
    assert solver._process()._running.pid != running.pid


def test_a_solver_that_crashes_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver._Process, "ask", lambda self, text: None)
    with pytest.raises(RuntimeFailure, match="ended early, twice; use `--method evolution`"):
        solver.solve(_model(1))
