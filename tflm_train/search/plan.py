"""How a search spends its time: steps and seeds, decided once and kept beside the results."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tflm_train.learning.rates import default_budget
from tflm_train.search.candidates import Candidates
from tflm_train.search.contributions import SEEDS, default_steps
from tflm_train.search.fine_tune import FineTune, FineTuner, model_digest
from tflm_train.search.split_data import SplitData

_ANALYSIS = 0.55
"""Of the time."""
_RUNS = 3.0
"""Fine-tunes to find a candidate's rate."""
_FEWEST = 300
"""Steps of the final runs."""
_PASSES = 3
"""Through the data in the final runs."""
_CONTENDERS, _FINALISTS, _FINAL_SEEDS = 8, 3, 3
_LEVELS = ((1.0, SEEDS), (1.0, 2), (0.6, 2), (0.6, 1))
"""Share of the usual steps, and seeds, from the best to the shortest; after that the fast way."""
_PROBE = 60
_SUFFIX = ".search_plan"


@dataclass(frozen=True)
class Plan:
    """What a search does.

    Attributes:
      steps: Of each fine-tune of the analysis.
      seeds: Of each candidate of the analysis.
      depth: The analysis looks at so many layers below the head.
      final_steps: Of each fine-tune of a contender.
      fast: Whether the analysis fine-tunes few weights, and predicts the others.
      finalists: Of each budget, that meet in the end.
      final_seeds: Runs of each finalist.
    """

    steps: int
    seeds: int
    depth: int
    final_steps: int
    fast: bool = False
    finalists: int = _FINALISTS
    final_seeds: int = _FINAL_SEEDS

    def to_json(self) -> str:
        """As text."""
        return json.dumps(dataclasses.asdict(self))


def kept_plan(folder: Path | None, key: str, make: Callable[[], Plan]) -> Plan:
    """The plan of an earlier run of the same search, else a new one, which is kept.

    Args:
      folder: Where; None: nothing is kept.
      key: Names the search.
      make: Makes a new one.
    """
    path = None if folder is None else folder / f"{key}{_SUFFIX}"
    if path is not None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Plan(**json.loads(path.read_text("utf-8")))
    plan = make()
    if path is not None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(plan.to_json())
            temporary.replace(path)
    return plan


def full_plan(data: SplitData, depth: int) -> Plan:
    """The plan where time does not matter."""
    return Plan(default_steps(data), SEEDS, depth, _final_steps(data))


def make_plan(
    tuner: FineTuner, candidates: Candidates, minutes: float, workers: int, budgets: int, depth: int
) -> Plan:
    """The best plan that the time is enough for, by how fast this machine is.

    Args:
      tuner: Runs a short fine-tune to see.
      candidates: What the analysis looks at.
      minutes: How long the whole search may take.
      workers: How many run at a time.
      budgets: Of how many schemes are to be found.
      depth: The analysis looks at so many layers below the head.
    """
    data = tuner.data
    preparing, stepping = _speed(tuner, candidates)
    count = len(candidates.biases) + len(candidates.weights)
    usual, final = default_steps(data), _final_steps(data)
    available = 60 * minutes * workers
    evaluation = 0.4 * len(data.y_select)
    chosen = Plan(usual, 1, depth, final, fast=True)
    for share, seeds in _LEVELS:
        steps = max(100, int(share * usual))
        runs = _RUNS + 0.6 * (seeds - 1)
        seconds = count * (preparing + runs * stepping * (steps + evaluation))
        if seconds <= _ANALYSIS * available:
            chosen = Plan(steps, seeds, depth, final)
            break
    each = preparing + stepping * (default_budget(final) + final + evaluation)
    runs = budgets * (_CONTENDERS + chosen.finalists * chosen.final_seeds)
    left = (1 - _ANALYSIS) * available
    if runs * each > left:
        share = max(0.2, left / (runs * each))
        chosen = dataclasses.replace(chosen, final_steps=max(_FEWEST, int(share * final)))
        if share < 0.6:
            chosen = dataclasses.replace(chosen, finalists=2, final_seeds=2)
    return chosen


def _final_steps(data: SplitData) -> int:
    return max(_FEWEST, _PASSES * len(data.y_train))


def _speed(tuner: FineTuner, candidates: Candidates) -> tuple[float, float]:
    """Seconds to prepare a scheme, and of a step, of a candidate in the middle."""
    middle = candidates.weights or candidates.biases or (candidates.head,)
    scheme = middle[len(middle) // 2].scheme
    digest = model_digest(tuner.model)

    def run(steps: int) -> float:
        started = time.perf_counter()
        tuner.run(FineTune(digest, tuner.data.digest, scheme, 1e-4, steps, 0))
        return time.perf_counter() - started

    first, short, longer = run(1), run(1), run(1 + _PROBE)
    return max(0.0, first - short), max(1e-5, (longer - short) / _PROBE)
