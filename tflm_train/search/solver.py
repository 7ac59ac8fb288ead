"""CP-SAT in a process of its own.

OR-tools, TensorFlow and Ray bring libraries of the same names into a process, and one that holds
the others' may crash in the solver. What crashes there costs nothing here. Models and answers
travel as lines of JSON.

`python -m tflm_train.search.solver` is that process; it ends with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

from tflm_train.errors import RuntimeFailure

_ATTEMPTS = 2
_OPTIMAL, _FEASIBLE = "OPTIMAL", "FEASIBLE"


@dataclass(frozen=True)
class Solution:
    """What the solver found.

    Attributes:
      values: Of all variables, by their index.
      bound: No solution has a larger objective.
      is_optimal: Whether none is better than this one.
    """

    values: tuple[int, ...]
    bound: float
    is_optimal: bool


def solve(text: str) -> Solution | None:
    """Solves a model.

    Args:
      text: A `CpModelProto` in text format.

    Returns:
      The best solution; None where there is none.

    Raises:
      RuntimeFailure: The solver crashes on it.
    """
    for _ in range(_ATTEMPTS):
        answer = _process().ask(text)
        if answer is not None:
            return answer[0]
        _process.cache_clear()
    raise RuntimeFailure(
        "the solver of the exact search ended early, twice; use `--method evolution`"
    )


class _Process:
    """The other process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", __name__]
        pipe = subprocess.PIPE
        self._running = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, text: str) -> tuple[Solution | None] | None:
        """The answer to a model; None where the process has ended."""
        assert self._running.stdin is not None and self._running.stdout is not None
        try:
            self._running.stdin.write(json.dumps(text) + "\n")
            self._running.stdin.flush()
            line = self._running.stdout.readline()
        except OSError:
            return None
        if not line:
            return None
        found = json.loads(line)
        if found is None:
            return (None,)
        return (Solution(tuple(found["values"]), found["bound"], found["is_optimal"]),)


@cache
def _process() -> _Process:
    return _Process()


def _answer(text: str) -> object:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    if not model.proto.parse_text_format(text):
        raise ValueError("no model")
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    if status.name not in (_OPTIMAL, _FEASIBLE):
        return None
    return {
        "values": list(solver.response_proto.solution),
        "bound": solver.best_objective_bound,
        "is_optimal": status.name == _OPTIMAL,
    }


def _serve() -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
