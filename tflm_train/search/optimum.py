"""The best choice under a budget: the exact optimum of the summed contributions, by CP-SAT.

What a choice costs is only known once it is rewritten, so costs are learned while it is sought. The
solver has linear lower bounds of the arena: variables are a sum; what is planned is at least what
lives while each op runs, which is what the biases alone need there, and the inputs that are kept
(`floors.py`). It gives the choice of the largest gain that these allow. That one is rewritten. If
it is within the budget, nothing better exists. If not, all that contain it are told to need as
much, and the solver is asked again.

A larger choice may take less, because its layers run in other operators or leave other gaps: by how
much it ever did, per depth, is what the bounds leave as slack. The optimum is exact as long as no
choice falls further below one that it contains than those measured did.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tflm_train.rewriter.coins import Budget
from tflm_train.search.choices import Choice, Item, Space, is_at_least
from tflm_train.search.objective import Objective
from tflm_train.search.solver import Linear, Program, solve, total_of
from tflm_train.search.true_costs import CostOf, Costs

_UNITS = 1_000_000  # of the gain in a right answer
_BYTES = 1 << 24  # more than any choice has trained bytes: ties go to the fewer
_MOST_TRIALS = 200
_REPAIRS = 12
_NEVER = float("inf")


_UNITS_OF = {"arena": 1, "flash": 1, "step_ms": 1000}


def in_units(costs: Costs, coin: str) -> int:
    """A cost as the solver counts it: bytes, or microseconds."""
    value: float = getattr(costs, coin)
    return round(value * _UNITS_OF[coin])


@dataclass(frozen=True)
class Found:
    """The outcome of a search for the best choice.

    Attributes:
      choice: The best that was found; None where none fits.
      gain: Its value.
      costs: What it costs.
      bound: No choice within the budget is worth more.
      proved: Whether that is the choice's own value, so that it is the optimum.
      trials: How many choices were rewritten for it.
    """

    choice: Choice | None
    gain: float
    costs: Costs | None
    bound: float
    proved: bool
    trials: int


class Finder(Protocol):
    """Finds good choices within budgets.

    Attributes:
      costs: What choices cost.
      most_trials: So many choices are rewritten at most for one budget.
    """

    costs: CostOf
    most_trials: int

    def best(self, budget: Budget, apart_from: tuple[Choice, ...] = (), distance: int = 1) -> Found:
        """The best choice within a budget, of those that differ from some others."""
        ...


def has_solver() -> bool:
    """Whether OR-tools are installed."""
    return importlib.util.find_spec("ortools") is not None


@dataclass
class Optimizer:
    """Finds best choices; what it learns of the costs serves all budgets.

    Attributes:
      space: What there is to choose from.
      objective: What it is worth.
      costs: What it costs.
      most_trials: So many choices are rewritten at most for one budget.
      is_late: Asked between rewrites: whether to stop with what is known.
    """

    space: Space
    objective: Objective
    costs: CostOf
    most_trials: int = _MOST_TRIALS
    is_late: Callable[[], bool] = lambda: False
    _facts: dict[Choice, Costs] = field(default_factory=dict)
    _slack: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    _drops: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def best(self, budget: Budget, apart_from: tuple[Choice, ...] = (), distance: int = 1) -> Found:
        """The best choice within a budget.

        Args:
          budget: The most that it may cost.
          apart_from: Choices that it has to differ from...
          distance: ...in the weights of so many layers, or in the depth.

        Raises:
          RuntimeFailure: OR-tools are not installed.
        """
        start = self.costs.count
        self._measure_depths(budget)
        if budget.step_ms < _NEVER:
            self._measure_items()
        forbidden = _Forbidden(apart_from, distance)
        best: Choice | None = None
        bound = _NEVER
        while True:
            proposed, bound = self._propose(budget, forbidden)
            if proposed is None:
                return self._found(best, bound, True, start)
            known = proposed in self._facts
            if budget.allows(self._learn(proposed)):
                return self._found(proposed, self.objective.value(proposed), True, start)
            if known or self.costs.count - start >= self.most_trials or self.is_late():
                best = self._repaired(proposed, budget, forbidden)
                return self._found(best, bound, False, start)

    def _found(self, choice: Choice | None, bound: float, proved: bool, start: int) -> Found:
        trials = self.costs.count - start
        if choice is None:
            return Found(None, 0.0, None, bound if not proved else 0.0, proved, trials)
        value = self.objective.value(choice)
        return Found(choice, value, self._facts[choice], max(bound, value), proved, trials)

    def _measure_depths(self, budget: Budget) -> None:
        """The biases alone, as deep as they fit."""
        for depth in self.space.depths:
            costs = self._learn(Choice(depth))
            if costs.arena - self._slack[depth] > 1.5 * budget.arena:
                return

    def _measure_items(self) -> None:
        """Each layer's weights by themselves: what they add to the time."""
        for item in self.space.items:
            depth = self.space.depth_of[item[0]]
            if Choice(depth) in self._facts and not self.is_late():
                self._learn(Choice(depth, (item,)))

    def least_of(self, item: Item, coin: str) -> int:
        """What an item adds to a cost at least, as far as is known: the times of ops add up."""
        depth = self.space.depth_of[item[0]]
        base, with_ = self._facts.get(Choice(depth)), self._facts.get(Choice(depth, (item,)))
        if base is None or with_ is None or coin != "step_ms":
            return 0
        return max(0, in_units(with_, coin) - in_units(base, coin))

    def _learn(self, choice: Choice) -> Costs:
        """A choice's true costs; they correct what was thought of others."""
        if choice not in self._facts:
            found = self.costs.of(choice)
            for other, known in self._facts.items():
                if choice.contains(other):
                    self._allow(choice.depth, known.arena - found.arena)
                if other.contains(choice):
                    self._allow(other.depth, found.arena - known.arena)
            base = self._facts.get(Choice(choice.depth))
            if base is not None:
                self._allow(choice.depth, self._least_tail(choice, base) - found.tail)
                self._allow(choice.depth, self._least(choice, base) - found.arena)
                for coin in ("flash", "step_ms"):
                    least = in_units(base, coin)
                    least += sum(self.least_of(item, coin) for item in choice.weights)
                    drop = least - in_units(found, coin)
                    self._drops[coin] = max(self._drops[coin], drop)
            self._facts[choice] = found
        return self._facts[choice]

    def _allow(self, depth: int, drop: int) -> None:
        self._slack[depth] = max(self._slack[depth], drop)

    def _weight_bytes(self, item: Item) -> int:
        return self.space.trained_weights(item) * (8 + self.costs.residual_bits) // 8

    def _least_tail(self, choice: Choice, base: Costs) -> int:
        return base.tail + sum(map(self._weight_bytes, choice.weights))

    def _least(self, choice: Choice, base: Costs) -> int:
        """The bound of its arena (`_Program`)."""
        floors = self.costs.floors(choice.depth)
        shared = self.space.shared_inputs
        head = max(
            least
            + sum(
                self.space.kept_input(item)
                for item in choice.weights
                if item[0] < count and item[0] not in shared
            )
            for count, least in floors.items()
        )
        return self._least_tail(choice, base) + head

    def _repaired(self, choice: Choice, budget: Budget, forbidden: _Forbidden) -> Choice | None:
        """A good choice that fits, where the time for the best one has run out.

        Proposals for less memory than there is tend to fit; how much less is enough is bisected.
        """
        loose, tight = 0.0, max(1.0, self._facts[choice].arena - budget.arena)
        has_fitted = False
        for _ in range(_REPAIRS):
            if has_fitted and (tight - loose < 1.0 or self.is_late()):
                break
            less = 0.5 * (loose + tight) if has_fitted else tight
            tighter = Budget(budget.arena - less, budget.flash, budget.step_ms)
            proposed, _ = self._propose(tighter, forbidden)
            fits = proposed is None or budget.allows(self._learn(proposed))
            has_fitted = has_fitted or fits
            if fits:
                tight = less
            elif has_fitted:
                loose = less
            else:
                loose, tight = tight, 2.0 * tight
        fitting = [x for x, costs in self._facts.items() if budget.allows(costs)]
        fitting = [x for x in fitting if forbidden.allows(x)]
        return max(fitting, key=self.objective.value, default=None)

    def _propose(self, budget: Budget, forbidden: _Forbidden) -> tuple[Choice | None, float]:
        """The choice of the largest gain among those that are not known to be too dear."""
        return _Program(self, budget, forbidden).solve()


@dataclass(frozen=True)
class _Forbidden:
    """Choices that others have to differ from in so many layers' weights, or in the depth."""

    choices: tuple[Choice, ...]
    distance: int

    def allows(self, choice: Choice) -> bool:
        return all(choice.distance(other) >= self.distance for other in self.choices)


class _Program:
    """The integer program of one question."""

    def __init__(self, optimizer: Optimizer, budget: Budget, forbidden: _Forbidden) -> None:
        self._optimizer, self._budget = optimizer, budget
        self._space = optimizer.space
        self._model = Program()
        bases = {k: optimizer._facts.get(Choice(k)) for k in self._space.depths}
        self._bases = {k: costs for k, costs in bases.items() if costs is not None}
        self._depths = {k: self._model.new_decision() for k in self._bases}
        self._model.equal(total_of(self._depths.values()), 1)
        reachable = max(self._bases)
        self._items = {
            item: self._model.new_decision()
            for item in self._space.items
            if self._space.depth_of[item[0]] <= reachable
        }
        self._by_layer: dict[int, list[float]] = defaultdict(list)
        for layer, ratio in self._items:
            self._by_layer[layer].append(ratio)
        for layer, ratios in self._by_layer.items():
            reached = self._at_least(self._space.depth_of[layer])
            chosen = total_of(self._items[layer, ratio] for ratio in ratios)
            self._model.at_most(chosen, total_of(reached))
        self._limit_costs()
        for other in forbidden.choices:
            self._keep_apart(other, forbidden.distance)
        self._model.maximize(self._worth())

    def solve(self) -> tuple[Choice | None, float]:
        """The best choice of the program and its gain; None where there is none."""
        solution = solve(self._model)
        if solution is None:
            return None, 0.0
        values = solution.values
        depth = next(k for k, chosen in self._depths.items() if values[chosen.index])
        weights = sorted(item for item, chosen in self._items.items() if values[chosen.index])
        choice = Choice(depth, tuple(weights))
        value = self._optimizer.objective.value(choice)
        if solution.is_optimal:
            return choice, value
        return choice, max(value, solution.bound / (_UNITS * _BYTES))

    def _at_least(self, depth: int) -> list[Linear]:
        return [chosen for k, chosen in self._depths.items() if k >= depth]

    def _worth(self) -> Linear:
        objective, size = self._optimizer.objective, self._optimizer._weight_bytes
        terms = [
            round(_UNITS * objective.biases[k].mean) * _BYTES * chosen
            for k, chosen in self._depths.items()
        ]
        terms += [-k * chosen for k, chosen in self._depths.items()]
        terms += [
            (round(_UNITS * objective.weights[item].mean) * _BYTES - size(item)) * chosen
            for item, chosen in self._items.items()
        ]
        return total_of(terms)

    def _limit_costs(self) -> None:
        """What is known of the costs."""
        size = self._optimizer._weight_bytes
        tail = total_of(self._bases[k].tail * chosen for k, chosen in self._depths.items())
        tail += total_of(size(item) * chosen for item, chosen in self._items.items())
        slack = total_of(self._optimizer._slack[k] * chosen for k, chosen in self._depths.items())
        if self._budget.arena < _NEVER:
            limit = int(self._budget.arena)
            self._add_floors(tail - slack, limit)
            for choice, costs in self._optimizer._facts.items():
                head = self._model.at_most(tail + costs.head - slack, limit)
                head.only_enforce_if(self._containing(choice))
        for coin in ("flash", "step_ms"):
            limit = getattr(self._budget, coin)
            if limit < _NEVER:
                self._limit(coin, int(limit * _UNITS_OF[coin]))
        for choice, costs in self._optimizer._facts.items():
            if self._budget.exceeded(costs):
                self._forbid(choice)

    def _limit(self, coin: str, limit: int) -> None:
        """What is known of flash or time."""
        least = total_of(in_units(self._bases[k], coin) * x for k, x in self._depths.items())
        for item, chosen in self._items.items():
            least += self._optimizer.least_of(item, coin) * chosen
        drop = self._optimizer._drops[coin]
        self._model.at_most(least - drop, limit)
        for choice, costs in self._optimizer._facts.items():
            if in_units(costs, coin) - drop > limit:
                self._model.any_of(x.negated() for x in self._containing(choice))

    def _add_floors(self, tail: Linear, limit: int) -> None:
        """What lives at one time, whatever streams: the depth's own bytes, and kept inputs."""
        floors = {k: self._optimizer.costs.floors(k) for k in self._bases}
        shared = self._space.shared_inputs
        for count in sorted({n for found in floors.values() for n in found}):
            least = total_of(floors[k].get(count, 0) * chosen for k, chosen in self._depths.items())
            kept = total_of(
                self._space.kept_input(item) * chosen
                for item, chosen in self._items.items()
                if item[0] < count and item[0] not in shared
            )
            self._model.at_most(tail + least + kept, limit)

    def _containing(self, choice: Choice) -> list[Linear]:
        """Literals that hold for all choices that contain one."""
        found = [self._any(self._at_least(choice.depth))]
        for layer, ratio in choice.weights:
            at_least = [r for r in self._by_layer[layer] if is_at_least(r, ratio)]
            found.append(self._any([self._items[layer, r] for r in at_least]))
        return found

    def _any(self, literals: list[Linear]) -> Linear:
        """A literal that holds where one of several does, of which at most one can."""
        if len(literals) == 1:
            return literals[0]
        made = self._model.new_decision()
        self._model.equal(total_of(literals), made)
        return made

    def _forbid(self, choice: Choice) -> None:
        """Takes out one choice and no other."""
        if choice.depth not in self._depths:
            return
        chosen = set(choice.weights)
        differing = [self._depths[choice.depth].negated()]
        differing += [x.negated() if i in chosen else x for i, x in self._items.items()]
        self._model.any_of(differing)

    def _keep_apart(self, choice: Choice, distance: int) -> None:
        """Asks for a difference in so many layers' weights or biases."""
        weights = dict(choice.weights)
        terms = [abs(k - choice.depth) * chosen for k, chosen in self._depths.items()]
        for layer, ratios in self._by_layer.items():
            if layer in weights and weights[layer] in ratios:
                terms.append(1 - self._items[layer, weights[layer]])
            else:
                terms += [self._items[layer, ratio] for ratio in ratios]
        self._model.at_least(total_of(terms), distance)
