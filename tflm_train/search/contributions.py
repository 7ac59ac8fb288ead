"""What each part of a model brings when it trains: the contribution analysis.

"On-Device Training Under 256KB Memory" (Lin et al., NeurIPS 2022), section 3.2.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tflm_train.errors import DataError
from tflm_train.scheme.head import Head

_KIND = "tflm_train contributions"
_FORMAT = 1


@dataclass(frozen=True)
class Gain:
    """What something brings.

    Attributes:
      mean: Score above what it is compared with: a share of right answers, in [-1, 1], or by how
        much the mean squared error falls.
      error: Standard error of that.
      seeds: Runs that it is the mean of.
    """

    mean: float
    error: float
    seeds: int


@dataclass(frozen=True)
class Contributions:
    """What each part of a model brings on a data set.

    Attributes:
      model: Names the factory model (`model_digest`).
      data: Names the data as they were split.
      head: The head that all were measured with.
      metric: `accuracy` or `mean_squared_error`.
      base: Mean score with only the head trained, on the samples that choose.
      noise: Its standard error.
      biases: For k how much training the biases of the last k layers below the head brings, above
        `base`; ascending. Where a number of layers is missing, the layer has no bias to train.
      weights: For a layer and a share of its input channels how much training these weights brings,
        above the biases of this layer and of those behind it.
      rates: The learning rate of each kind of candidate.
      steps: Of each fine-tune.
      stopped: Candidates that were given up before all seeds had run.
    """

    model: str
    data: str
    head: Head
    metric: str
    base: float
    noise: float
    biases: tuple[tuple[int, Gain], ...]
    weights: Mapping[tuple[int, float], Gain]
    rates: Mapping[str, float]
    steps: int
    stopped: int

    def to_json(self) -> str:
        """The contributions as text that `from_json` reads."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values |= {
            "head": dataclasses.asdict(self.head),
            "biases": [{"last": k, **dataclasses.asdict(gain)} for k, gain in self.biases],
            "weights": [
                {"layer": layer, "ratio": ratio, **dataclasses.asdict(gain)}
                for (layer, ratio), gain in self.weights.items()
            ],
            "rates": dict(self.rates),
        }
        return json.dumps({"kind": _KIND, "format": _FORMAT, **values}, indent=1) + "\n"

    @staticmethod
    def from_json(text: str, name: str = "contributions") -> Contributions:
        """Reads them back.

        Args:
          text: What `to_json` gave.
          name: What errors call it.

        Raises:
          DataError: It is something else.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if (values.pop("kind"), values.pop("format")) != (_KIND, _FORMAT):
                raise KeyError("kind")
            head = values.pop("head")
            tuples = {key: tuple(head[key]) for key in ("hidden", "labels")}
            biases = tuple((each.pop("last"), Gain(**each)) for each in values.pop("biases"))
            weights = {
                (each.pop("layer"), each.pop("ratio")): Gain(**each)
                for each in values.pop("weights")
            }
            return Contributions(
                head=Head(**(head | tuples)), biases=biases, weights=weights, **values
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{name}: not what `tflm_train analyze -o` writes; run it again"
            ) from error
