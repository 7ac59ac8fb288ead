"""Programs of yes-or-no decisions, solved by CP-SAT in a process of its own.

OR-tools, TensorFlow and Ray bring libraries of the same names into a process, and one that holds
the others' crashes even while a model is built. So a program is plain Python here; it and the
answer travel as lines of JSON.

`python -m tflm_train.search.solver` is the other process; it ends with its input.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tflm_train.errors import RuntimeFailure

_ATTEMPTS = 2
_OPTIMAL, _FEASIBLE = "OPTIMAL", "FEASIBLE"
_NO_LIMIT = 1 << 60


class Linear:
    """A sum of decisions with whole factors, and a constant; a decision alone is one too."""

    def __init__(self, terms: dict[int, int], constant: int = 0) -> None:
        self.terms = terms
        self.constant = constant

    def __add__(self, other: Linear | int) -> Linear:
        if isinstance(other, int):
            return Linear(self.terms, self.constant + other)
        terms = dict(self.terms)
        for index, factor in other.terms.items():
            terms[index] = terms.get(index, 0) + factor
        return Linear(terms, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: int) -> Linear:
        terms = {index: int(factor) * own for index, own in self.terms.items()}
        return Linear(terms, int(factor) * self.constant)

    __rmul__ = __mul__

    def __sub__(self, other: Linear | int) -> Linear:
        return self + other * -1

    def __rsub__(self, other: int) -> Linear:
        return self * -1 + other

    def negated(self) -> Linear:
        """The opposite of a decision."""
        return 1 - self

    @property
    def index(self) -> int:
        """A decision's number."""
        (index,) = self.terms
        return index

    @property
    def literal(self) -> int:
        """A decision's number, or that of its opposite, as the solver counts them."""
        return self.index if self.terms[self.index] == 1 else -self.index - 1


@dataclass
class Condition:
    """Bounds of a sum, that hold where all of some decisions are yes."""

    total: Linear
    low: int
    high: int
    where: list[int] = field(default_factory=list)

    def only_enforce_if(self, decisions: Iterable[Linear]) -> None:
        """Has to hold only where these are all yes."""
        self.where = [decision.literal for decision in decisions]


class Program:
    """Decisions, conditions, and what shall be as large as can be."""

    def __init__(self) -> None:
        self._count = 0
        self._conditions: list[Condition] = []
        self._worth = Linear({})

    def new_decision(self) -> Linear:
        """A new one."""
        self._count += 1
        return Linear({self._count - 1: 1})

    def at_most(self, total: Linear, limit: Linear | int) -> Condition:
        """Asks for `total <= limit`."""
        return self._add(total - limit, -_NO_LIMIT, 0)

    def at_least(self, total: Linear, limit: Linear | int) -> Condition:
        """Asks for `total >= limit`."""
        return self._add(total - limit, 0, _NO_LIMIT)

    def equal(self, total: Linear, other: Linear | int) -> Condition:
        """Asks for `total == other`."""
        return self._add(total - other, 0, 0)

    def any_of(self, decisions: Iterable[Linear]) -> Condition:
        """Asks that one of them be yes at least."""
        return self.at_least(total_of(decisions), 1)

    def maximize(self, worth: Linear) -> None:
        """Says what shall be as large as can be."""
        self._worth = worth

    def to_json(self) -> str:
        """The program in one line."""
        conditions = [
            [list(c.total.terms.items()), c.total.constant, c.low, c.high, c.where]
            for c in self._conditions
        ]
        worth = [list(self._worth.terms.items()), self._worth.constant]
        return json.dumps({"count": self._count, "conditions": conditions, "worth": worth})

    def _add(self, total: Linear, low: int, high: int) -> Condition:
        self._conditions.append(Condition(total, low, high))
        return self._conditions[-1]


def total_of(parts: Iterable[Linear]) -> Linear:
    """Their sum; 0 of none."""
    return sum(parts, Linear({}))


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


def solve(program: Program) -> Solution | None:
    """Solves a program.

    Returns:
      The best solution; None where there is none.

    Raises:
      RuntimeFailure: OR-tools is not installed, or crashes on it.
    """
    if importlib.util.find_spec("ortools") is None:
        raise RuntimeFailure(
            "the exact search needs OR-tools: pip install tflm_train[search]; or use "
            "`--method evolution`"
        )
    for _ in range(_ATTEMPTS):
        answer = _process().ask(program.to_json())
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
        self._running = subprocess.Popen(command, stdin=pipe, stdout=pipe, encoding="utf-8")

    def ask(self, line: str) -> tuple[Solution | None] | None:
        """The answer to a program; None where the process has ended."""
        assert self._running.stdin is not None and self._running.stdout is not None
        try:
            self._running.stdin.write(line + "\n")
            self._running.stdin.flush()
            answer = self._running.stdout.readline()
        except OSError:
            return None
        if not answer:
            return None
        found = json.loads(answer)
        if found is None:
            return (None,)
        return (Solution(tuple(found["values"]), found["bound"], found["is_optimal"]),)


@cache
def _process() -> _Process:
    return _Process()


def _answer(program: dict[str, Any]) -> object:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    decisions = [model.new_bool_var("") for _ in range(program["count"])]

    def sum_of(terms: list[tuple[int, int]], constant: int) -> Any:
        return sum(factor * decisions[index] for index, factor in terms) + constant

    for terms, constant, low, high, where in program["conditions"]:
        literals = [decisions[i] if i >= 0 else decisions[-i - 1].negated() for i in where]
        if not terms:
            if not low <= constant <= high:
                model.add_bool_or([literal.negated() for literal in literals])
            continue
        condition = model.add_linear_constraint(sum_of(terms, constant), low, high)
        condition.only_enforce_if(literals)
    model.maximize(sum_of(*program["worth"]))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    if status.name not in (_OPTIMAL, _FEASIBLE):
        return None
    return {
        "values": [int(solver.value(decision)) for decision in decisions],
        "bound": solver.best_objective_bound,
        "is_optimal": status.name == _OPTIMAL,
    }


def _serve() -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
