"""What meets in real fine-tunes at the end: optima of the analysis, and what needs none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tflm_train.errors import UnsupportedError
from tflm_train.rewriter.coins import Budget
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.library import find_scheme, library_names
from tflm_train.scheme.presets import Preset, preset_scheme
from tflm_train.search.choices import Choice, Space
from tflm_train.search.objective import Objective
from tflm_train.search.optimum import Finder, Found
from tflm_train.search.true_costs import Costs, Measure

RESIDUALS = (8, 4, 0)
"""Extra bits kept for each trained weight, the most first."""
_DIFFERENT = 2
"""In so many layers at least the second best differs from the best."""


@dataclass(frozen=True)
class Contender:
    """A scheme that fits, and where it comes from.

    Attributes:
      name: Where it comes from.
      scheme: What trains.
      costs: What it costs.
      expected: What the analysis expects it to bring; None where it does not say.
    """

    name: str
    scheme: Scheme
    costs: Costs
    expected: float | None = None


@dataclass
class Contenders:
    """Finds contenders.

    Attributes:
      space: The model's choices, as far as they were measured.
      objective: What they are worth.
      measure: What schemes cost.
      optimizers: By residual bits, who finds optima.
    """

    space: Space
    objective: Objective
    measure: Measure
    optimizers: Mapping[int, Finder]

    def of(self, budget: Budget) -> tuple[tuple[Found, ...], tuple[Contender, ...]]:
        """What is to meet within a budget.

        Returns:
          The optima as they were found, and all different contenders, optima first.
        """
        found: list[Found] = []
        contenders: dict[Scheme, Contender] = {}

        def add(name: str, scheme: Scheme, expected: float | None = None) -> None:
            for bits in RESIDUALS:
                fewer = dataclasses.replace(scheme, residual_bits=bits)
                if bits > scheme.residual_bits:
                    continue
                costs = self.measure.of(fewer)
                if costs is not None and budget.allows(costs):
                    contenders.setdefault(fewer, Contender(name, fewer, costs, expected))
                    return

        taken: tuple[Choice, ...] = ()
        for bits in (RESIDUALS[0], RESIDUALS[-1], RESIDUALS[-1]):
            apart = taken if bits == RESIDUALS[-1] and len(found) > 1 else ()
            best = self.optimizers[bits].best(budget, apart, _DIFFERENT)
            found.append(best)
            if best.choice is not None:
                taken = (*taken, best.choice)
                name = "optimum" if not apart else "second best"
                add(name, self.space.scheme(best.choice), best.gain)
        for name, scheme in self._ready():
            choice = self.space.choice_of(scheme)
            expected = None
            if choice is not None and self.objective.knows(choice):
                expected = self.objective.value(choice)
            add(name, scheme, expected)
        for make, one, several in (
            (_last_biases, "bias", "biases"),
            (last_layers, "layer", "layers"),
        ):
            deepest = self._deepest(budget, make)
            if deepest is not None:
                depth, scheme = deepest
                add(f"last {depth} {several}" if depth > 1 else f"last {one}", scheme)
        return tuple(found), tuple(contenders.values())

    def _ready(self) -> Iterator[tuple[str, Scheme]]:
        """Presets and the ready schemes of the model."""
        model, head = self.space.model, self.space.base.head
        for preset in Preset:
            try:
                yield f"preset {preset}", preset_scheme(preset, model, head)
            except UnsupportedError:
                continue
        for name in library_names():
            scheme = dataclasses.replace(find_scheme(name), head=head)
            if scheme.model is not None and scheme.model.matches(self.space.all_layers):
                yield name, dataclasses.replace(scheme, model=None)

    def _deepest(
        self, budget: Budget, make: Callable[[Space, int], Scheme]
    ) -> tuple[int, Scheme] | None:
        """As many last layers as fit, all of them training in the same way, and how many."""
        best = None
        for depth in self.space.depths[1:]:
            scheme = make(self.space, depth)
            costs = self.measure.of(dataclasses.replace(scheme, residual_bits=RESIDUALS[-1]))
            if costs is None or not budget.allows(costs):
                break
            best = (depth, scheme)
        return best


def _last_biases(space: Space, depth: int) -> Scheme:
    return space.scheme(Choice(depth))


def last_layers(space: Space, depth: int) -> Scheme:
    """The last layers below the head with all weights that can train, and their biases."""
    weights = [x.index for x in space.layers[:depth] if 1.0 in space.every_ratio.get(x.index, ())]
    scheme = space.scheme(Choice(depth))
    return dataclasses.replace(scheme, weights=tuple(map(WeightUpdate, sorted(weights))))
