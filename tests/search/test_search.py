"""The whole search, with fine-tunes that take no time: it decides the same, however often it is
interrupted."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.steps import DIGITS
from tflm_train.learning.frozen_once import OnLatent
from tflm_train.model import load
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.runtime.metrics import ACCURACY
from tflm_train.scheme import Scheme
from tflm_train.scheme.head import Head
from tflm_train.search.fine_tune import FineTune, FineTuned
from tflm_train.search.plan import Plan, kept_plan
from tflm_train.search.results import Results
from tflm_train.search.search import METHODS, Search, Searched
from tflm_train.search.split_data import SplitData
from tflm_train.search.workers import OnDone, Workers
from tflm_train.search.written import scheme_yaml

PLAN = Plan(steps=10, seeds=2, depth=4, final_steps=20, finalists=2, final_seeds=2)
BUDGETS = (Budget(9_000), Budget(12_000))
_SAMPLES = 50


@dataclass
class Instant:
    """Scores by chance, but the same for the same task; better for more weights.

    Attributes:
      left: So many tasks are done before somebody presses Ctrl-C.
      done: So many were done.
    """

    left: int = 1 << 30
    done: int = 0

    def run(self, tasks: Sequence[FineTune], on_done: OnDone) -> list[FineTuned]:
        results = []
        for task in tasks:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            self.done += 1
            results.append(instant_result(task))
            on_done(task, results[-1])
        return results

    def prepare(self, schemes: Iterable[Scheme], on_latent: OnLatent) -> None:
        pass

    def close(self) -> None:
        pass


def instant_result(task: FineTune) -> FineTuned:
    """Chance that follows from the task."""
    rng = np.random.default_rng(int(hashlib.sha256(task.key.encode()).hexdigest()[:12], 16))
    mean = 0.6 + 0.02 * len(task.scheme.weights) + 0.01 * len(task.scheme.bias_layers)
    scores = (rng.random(_SAMPLES) < min(mean, 0.95)).astype(float)
    rate = 0.1 if task.rate is None else task.rate
    return FineTuned(
        task.key,
        rate,
        float(scores.mean()),
        tuple(scores.tolist()),
        1 - float(scores.mean()),
        1 - mean,
        ACCURACY,
        0.0,
    )


@functools.cache
def trials() -> Trials:
    return Trials(load(DIGITS))


def data() -> SplitData:
    x = np.zeros((30, 16, 16, 1), np.uint8)
    y = np.arange(30) % 10
    return SplitData(x, y, x[:10], y[:10], x[:10], y[:10])


def search(workers: Workers, results: Results, method: str = METHODS[0]) -> Searched:
    @contextlib.contextmanager
    def open_workers(_: SplitData) -> Iterator[tuple[Workers, Results]]:
        yield workers, results

    way = Way().smallest()
    made = Search(trials(), data(), Head(10), way, BUDGETS, PLAN, open_workers, method=method)
    return made.run()


def texts(searched: Searched) -> list[str]:
    return [scheme_yaml(searched, x, "digits.tflite", "search") for x in searched.outcomes]


WORKERS = Instant()


@pytest.fixture(scope="module")
def whole() -> Searched:
    return search(WORKERS, Results(None))


def test_what_is_found_fits_and_was_compared(whole: Searched) -> None:
    assert whole.is_complete
    for outcome in whole.outcomes:
        best = outcome.best
        assert best is not None and len(best.finals) == PLAN.final_seeds
        assert all(outcome.budget.allows(x.contender.costs) for x in outcome.ranked)
        schemes = [x.contender.scheme for x in outcome.ranked]
        assert len(set(schemes)) == len(schemes)
        scores = [x.score for x in outcome.ranked if x.finals]
        assert scores == sorted(scores, reverse=True) and len(scores) >= PLAN.finalists
        names = {x.contender.name for x in outcome.ranked}
        assert {"optimum", "preset head"} <= names
    first, second = (x.optima[0].gain for x in whole.outcomes)
    assert first <= second


def test_the_front_rises(whole: Searched) -> None:
    gains = [point.gain for point in whole.front]
    arenas = [point.costs.arena for point in whole.front]
    assert len(gains) > 2 and gains == sorted(gains)
    assert all(arena <= point.arena for arena, point in zip(arenas, whole.front, strict=True))


@pytest.mark.parametrize("undone", [1, 4, 12, 60])
def test_interrupted_and_started_again(whole: Searched, tmp_path: Path, undone: int) -> None:
    results = Results(tmp_path)
    tasks = WORKERS.done - undone
    assert tasks > 0
    try:
        broken = search(Instant(tasks), results)
        assert not broken.is_complete
        assert all(outcome.best is not None for outcome in broken.outcomes)
    except KeyboardInterrupt:
        pass  # The analysis had not ended.
    again = search(Instant(), Results(tmp_path))
    assert texts(again) == texts(whole)


def test_without_a_solver(whole: Searched) -> None:
    found = search(Instant(), Results(None), METHODS[1])
    for outcome, exact in zip(found.outcomes, whole.outcomes, strict=True):
        assert outcome.best is not None
        assert not outcome.optima[0].proved
        assert outcome.optima[0].gain <= exact.optima[0].gain + 1e-5


def test_a_plan_is_kept(tmp_path: Path) -> None:
    first = kept_plan(tmp_path, "a", lambda: PLAN)
    other = Plan(1, 1, 1, 1)
    assert kept_plan(tmp_path, "a", lambda: other) == first == PLAN
    assert kept_plan(tmp_path, "b", lambda: other) == other
    (tmp_path / "a.search_plan").write_text("{")
    assert kept_plan(tmp_path, "a", lambda: other) == other
