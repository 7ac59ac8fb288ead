"""What each part of a model brings when it trains: the contribution analysis.

The method is that of "On-Device Training Under 256KB Memory" (Lin et al., NeurIPS 2022), section
3.2, with real fine-tunes on the user's data: the biases of the last k layers, then the weights of
one layer at a time on top of the biases from that layer on. Each candidate trains at its own rate
(measure.py) and with several seeds; what is compared sees the same samples in the same order, and
differences are taken sample by sample. A candidate that is hopeless with the first seed gets no
others.

The fast way takes one seed, and of the weights it fine-tunes only a few: those that gradient times
update (proxies.py) ranks first, and some of each rank below. What the others bring is read off a
line through these, over the logarithm of that proxy.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError
from tflm_train.model import Model
from tflm_train.records import from_plain, parse_json
from tflm_train.scheme.head import Head
from tflm_train.search.candidates import Candidate, Candidates, list_candidates
from tflm_train.search.fine_tune import FineTune, FineTuned, model_digest
from tflm_train.search.measure import RATES, Measurements, OnProgress, OutOfTimeError
from tflm_train.search.proxies import proxies
from tflm_train.search.results import Results
from tflm_train.search.split_data import SplitData
from tflm_train.search.workers import Workers

SEEDS = 3
_FEWEST_STEPS, _MOST_STEPS = 600, 1000
HOPELESS_SHARE = 0.25
"""A candidate is hopeless when even two standard errors above what it brings there is less than
this share of what the best one brings."""
FAST_MEASURED = 12
"""About so many of the weights are fine-tuned in the fast way."""
_FEWEST_TO_PREDICT = 4
_ANCHOR_EVERY = 6
"""The biases of so many layers more have about the same rate."""
_KIND = "tflm_train contributions"
_FORMAT = 1


@dataclass(frozen=True)
class Gain:
    """What something brings.

    Attributes:
      mean: Score above what it is compared with: a share of right answers, in [-1, 1], or by how
        much the mean squared error falls.
      error: Standard error of that.
      seeds: Runs that it is the mean of; 0 where it is only predicted.
      rate: Learning rate (the largest of a run) that it was measured with; 0 where it is predicted.
    """

    mean: float
    error: float
    seeds: int
    rate: float = 0.0


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
      base_rate: Learning rate at which only the head trains best.
      steps: Of each fine-tune.
      stopped: Candidates that were hopeless after the first seed.
      unfinished: Candidates of which the time left seeds, or all, undone.
    """

    model: str
    data: str
    head: Head
    metric: str
    base: float
    noise: float
    biases: tuple[tuple[int, Gain], ...]
    weights: Mapping[tuple[int, float], Gain]
    base_rate: float
    steps: int
    stopped: int = 0
    unfinished: int = 0

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
        }
        return json.dumps({"kind": _KIND, "format": _FORMAT, **values}, indent=1) + "\n"

    def require_of(self, model: Model, data: SplitData, head: Head, name: str) -> None:
        """Refuses contributions of something else.

        Raises:
          DataError: They are of another model, other data, or another head.
        """
        for what, mine, other in (
            ("another model", self.model, model_digest(model)),
            ("other data", self.data, data.digest),
            ("another head", self.head, head),
        ):
            if mine != other:
                raise DataError(f"{name}: these contributions are of {what}; run `analyze` again")

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
            values: dict[str, Any] = parse_json(text)
            if (values.pop("kind"), values.pop("format")) != (_KIND, _FORMAT):
                raise KeyError("kind")
            head = from_plain(Head, values.pop("head"))
            biases = tuple(
                (from_plain(int, each.pop("last")), from_plain(Gain, each))
                for each in values.pop("biases")
            )
            weights = {
                (
                    from_plain(int, each.pop("layer")),
                    from_plain(float, each.pop("ratio")),
                ): from_plain(Gain, each)
                for each in values.pop("weights")
            }
            hints = get_type_hints(Contributions)
            rest = {key: from_plain(hints[key], value) for key, value in values.items()}
            return Contributions(head=head, biases=biases, weights=weights, **rest)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{name}: not what `tflm_train analyze -o` writes; run it again"
            ) from error


def is_contributions(data: bytes) -> bool:
    """Whether these bytes are contributions as `Contributions.to_json` writes them."""
    try:
        Contributions.from_json(data.decode())
    except (DataError, UnicodeDecodeError):
        return False
    return True


def default_steps(data: SplitData) -> int:
    """Steps of a fine-tune: once through the training samples, within bounds."""
    return min(max(len(data.y_train), _FEWEST_STEPS), _MOST_STEPS)


def analyze(
    model: Model,
    data: SplitData,
    head: Head,
    workers: Workers,
    results: Results,
    *,
    seeds: int = SEEDS,
    fast: bool = False,
    steps: int | None = None,
    depth: int | None = None,
    seconds: float | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> Contributions:
    """Measures what each part of a model brings when it trains.

    Args:
      model: The factory model.
      data: The user's data.
      head: What becomes of the model's last layer.
      workers: Who runs the fine-tunes.
      results: Where they are kept; what is there already is not run again.
      seeds: Runs of each candidate that is not hopeless.
      fast: Fine-tune few, with one seed, and predict the others.
      steps: Of each run; None: `default_steps`.
      depth: Look at so many layers below the head; None: at all.
      seconds: Stop after that time, with what is known then; None: when all is known.
      on_progress: Told of progress.

    Raises:
      UnsupportedError: Nothing of the model can train.
      DataError: The data do not fit the model, or there was not even time for the head.
    """
    candidates = list_candidates(model, head, depth)
    measured = Measurements(
        model_digest(model),
        data.digest,
        workers,
        results,
        default_steps(data) if steps is None else steps,
        1 if fast else seeds,
        None if seconds is None else time.monotonic() + seconds,
        on_progress,
    )
    measured.plan(candidates.all)
    hopeless: list[Candidate] = []
    values: dict[tuple[int, float], float] = {}
    with contextlib.suppress(OutOfTimeError):  # What is known is of use.
        _measure_biases(candidates, measured)
        if fast:
            values |= _look_at_weights(candidates, measured)
            _measure_some_weights(candidates, measured, values)
        else:
            _measure_weights(candidates, measured, hopeless)
    return _contributions(candidates, measured, head, hopeless, values)


def _measure_biases(candidates: Candidates, measured: Measurements) -> None:
    head, biases = candidates.head, candidates.biases
    measured.try_all(head)
    anchors = biases[::_ANCHOR_EVERY]
    measured.climb(anchors, lambda _: _rate_of(measured, head))
    place = {each: index for index, each in enumerate(biases)}
    others = [each for index, each in enumerate(biases) if index % _ANCHOR_EVERY]
    measured.climb(others, lambda each: _rate_of(measured, anchors[place[each] // _ANCHOR_EVERY]))
    measured.more_seeds([head, *biases])


def _measure_weights(
    candidates: Candidates, measured: Measurements, hopeless: list[Candidate]
) -> None:
    weights = candidates.weights
    measured.climb(weights, lambda each: _rate_of(measured, candidates.below(each)))
    if measured.seeds == 1:
        return
    first = {each: _gain(measured, each, candidates.below(each)) for each in weights}
    best = max((gain.mean for gain in first.values() if gain is not None), default=0.0)
    hopeless += [
        candidate
        for candidate, gain in first.items()
        if gain is not None and gain.mean + 2 * gain.error < HOPELESS_SHARE * best
    ]
    measured.drop(hopeless)
    left = set(hopeless)
    measured.more_seeds([each for each in weights if each not in left])


def _look_at_weights(
    candidates: Candidates, measured: Measurements
) -> dict[tuple[int, float], float]:
    """What gradient times update says of the weights."""
    head, tuner = candidates.head, measured.workers.tuner
    rate = RATES[_rate_of(measured, head)]
    task = FineTune(measured.model, measured.data, head.scheme, rate, measured.steps, 0)
    return proxies(tuner.trained(task), tuner.data, candidates, rate)["gradient"]


def _measure_some_weights(
    candidates: Candidates, measured: Measurements, values: Mapping[tuple[int, float], float]
) -> None:
    ranked = sorted(candidates.weights, key=lambda each: -values[each.key])
    # The first ones matter most to who chooses; the others show how it goes on.
    first, others = ranked[: FAST_MEASURED // 2], ranked[FAST_MEASURED // 2 :]
    some = first + others[:: max(1, 2 * len(others) // FAST_MEASURED)]
    measured.climb(some, lambda each: _rate_of(measured, candidates.below(each)))


def _rate_of(measured: Measurements, candidate: Candidate) -> int:
    found = measured.best(candidate)
    assert found is not None
    return found


def _predicted(
    gains: Mapping[Candidate, Gain | None], values: Mapping[tuple[int, float], float]
) -> dict[Candidate, Gain]:
    """What the weights that were not fine-tuned bring, by those that were."""
    known = {each: gain for each, gain in gains.items() if gain is not None and each.key in values}
    if len(known) < _FEWEST_TO_PREDICT:
        return {}
    x = np.array([_logarithm(values[each.key]) for each in known])
    y = np.array([gain.mean for gain in known.values()])
    slope = float(np.cov(x, y)[0, 1] / max(float(np.var(x, ddof=1)), 1e-12))
    error = float(np.std(y - y.mean() - slope * (x - x.mean()), ddof=2))
    return {
        each: Gain(
            float(
                np.clip(
                    y.mean() + slope * (_logarithm(values[each.key]) - x.mean()), y.min(), y.max()
                )
            ),
            error,
            0,
        )
        for each, gain in gains.items()
        if gain is None and each.key in values
    }


def _logarithm(value: float) -> float:
    return float(np.log(max(value, 1e-30)))


def _gain(measured: Measurements, candidate: Candidate, below: Candidate) -> Gain | None:
    """What a candidate brings above another one; None before both have run."""
    ours, theirs = measured.runs(candidate), measured.runs(below)
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        return None
    differences = np.array([np.subtract(ours[seed].scores, theirs[seed].scores) for seed in both])
    rate = measured.best(candidate)
    assert rate is not None
    return Gain(float(differences.mean()), _error(differences), len(both), RATES[rate])


def _error(values: npt.NDArray[np.float64]) -> float:
    """The standard error of a mean over seeds and samples; both are drawn from many.

    Args:
      values: [seeds, samples].
    """
    by_sample, by_seed = values.mean(axis=0), values.mean(axis=1)
    squared = by_sample.var(ddof=min(1, len(by_sample) - 1)) / len(by_sample)
    if len(by_seed) > 1:
        squared += by_seed.var(ddof=1) / len(by_seed)
    return float(np.sqrt(squared))


def _contributions(
    candidates: Candidates,
    measured: Measurements,
    head: Head,
    hopeless: list[Candidate],
    values: Mapping[tuple[int, float], float],
) -> Contributions:
    base = measured.runs(candidates.head)
    rate = measured.best(candidates.head)
    if rate is None:
        raise DataError("there was not even time to train the head once; give more --minutes")
    scores = np.array([run.scores for run in base.values()])
    gains = {x: _gain(measured, x, candidates.below(x)) for x in candidates.all[1:]}
    gains |= _predicted(gains, values)
    left = set(hopeless)
    unfinished = sum(
        gain is None or 0 < gain.seeds < measured.seeds
        for each, gain in gains.items()
        if each not in left
    )
    some: FineTuned = next(iter(base.values()))
    return Contributions(
        model=measured.model,
        data=measured.data,
        head=head,
        metric=some.metric,
        base=float(scores.mean()),
        noise=_error(scores),
        biases=tuple((x.last, gain) for x in candidates.biases if (gain := gains[x]) is not None),
        weights={x.key: gain for x in candidates.weights if (gain := gains[x]) is not None},
        base_rate=RATES[rate],
        steps=measured.steps,
        stopped=len(hopeless),
        unfinished=unfinished,
    )
