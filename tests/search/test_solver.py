"""The solver's process: answers, no answer, and what becomes of one that crashes."""

from __future__ import annotations

import os
import signal

import pytest

from tflm_train.errors import RuntimeFailure
from tflm_train.search import solver


def _model(least: int) -> solver.Program:
    """Of three decisions `least` at least and two at most are yes; the first one counts most."""
    program = solver.Program()
    decisions = [program.new_decision() for _ in range(3)]
    program.at_most(solver.total_of(decisions), 2)
    program.at_least(solver.total_of(decisions), least)
    program.at_most(2 * decisions[1], 1).only_enforce_if([decisions[0]])
    program.any_of([decisions[1], decisions[2].negated(), decisions[0]])
    program.maximize(3 * decisions[0] + 2 * decisions[1] + decisions[2] - 1)
    return program


def test_the_best_solution() -> None:
    found = solver.solve(_model(1))
    assert found is not None and found.is_optimal
    assert found.values == (1, 0, 1) and found.bound == 3


def test_no_solution() -> None:
    assert solver.solve(_model(3)) is None


def test_a_solver_that_was_killed_is_started_again() -> None:
    assert solver.solve(_model(1)) is not None
    running = solver._process()._running
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert solver.solve(_model(2)) is not None
    assert solver._process()._running.pid != running.pid


def test_a_solver_that_crashes_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver._Process, "ask", lambda self, text: None)
    with pytest.raises(RuntimeFailure, match="ended early, twice; use `--method evolution`"):
        solver.solve(_model(1))
