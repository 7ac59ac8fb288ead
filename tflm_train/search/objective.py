"""What choices are worth: the sum of measured contributions, as the paper adds them up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tflm_train.search.choices import Choice, Item, Space
from tflm_train.search.contributions import Contributions, Gain

_NOTHING = Gain(0.0, 0.0, 0, 0.0)


@dataclass(frozen=True)
class Objective:
    """Gains of what there is to choose from.

    Attributes:
      biases: By the number of last biases, what training them brings.
      weights: By layer and ratio, what training its weights brings beyond these.
    """

    biases: Mapping[int, Gain]
    weights: Mapping[Item, Gain]

    @staticmethod
    def of(contributions: Contributions) -> Objective:
        """The gains of an analysis."""
        biases = {0: _NOTHING, **dict(contributions.biases)}
        # A layer without a bias brings nothing by it: the depth is that of the one behind it.
        for depth in range(1, max(biases)):
            biases.setdefault(depth, biases[depth - 1])
        return Objective(biases, dict(contributions.weights))

    def limit(self, space: Space) -> Space:
        """Those of a model's choices that were measured."""
        return space.limited(self.biases, self.weights)

    @cached_property
    def _means(self) -> dict[Item, float]:
        return {item: gain.mean for item, gain in self.weights.items()}

    def knows(self, choice: Choice) -> bool:
        """Whether all of a choice was measured."""
        return choice.depth in self.biases and all(x in self.weights for x in choice.weights)

    def value(self, choice: Choice) -> float:
        """The expected gain over the head alone, a share of right answers."""
        return self.biases[choice.depth].mean + sum(self._means[item] for item in choice.weights)

    def error(self, choice: Choice) -> float:
        """The standard error of `value`, as if errors were independent of each other."""
        errors = [self.biases[choice.depth].error, *(self.weights[i].error for i in choice.weights)]
        return math.sqrt(sum(error * error for error in errors))
