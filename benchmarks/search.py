"""What `tflm_train search` finds, against what needs no search, at equal arena.

    python -m benchmarks.search --only kws [--workers 2] [--seeds 0 1 2] [--save FILE]

The search sees the training part alone: a quarter of it is the part that ranks the finalists. What
it finds for each budget then meets the rivals on the real test part, which nobody has seen: all
train on the whole training part, at rates of their own that are chosen on the same samples (anew
for each seed), for as many steps, with the same seeds. Rivals are the largest of their kind that
fit: the last layers with all their weights, the biases of the last layers, presets, and the paper's
schemes. Each runs with as many residual bits as fit.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import CACHE, KWS, MCUNET, SHARED, Task, available
from tflm_train.data import Dataset
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import Model
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Head, Scheme
from tflm_train.scheme.library import find_scheme, library_names
from tflm_train.scheme.presets import Preset, preset_scheme
from tflm_train.search.choices import Choice, Space
from tflm_train.search.contenders import RESIDUALS, last_layers
from tflm_train.search.fine_tune import FineTune, FineTuned, FineTuner, model_digest
from tflm_train.search.plan import Plan
from tflm_train.search.processes import Processes
from tflm_train.search.results import Results
from tflm_train.search.search import Search, Searched
from tflm_train.search.split_data import SplitData, split_data
from tflm_train.search.true_costs import Measure
from tflm_train.search.workers import InProcess, Workers, run_tasks

HEAD = Head(10)
KB = 1024
BUDGETS = (64, 128, 256)
CLOTHING = dataclasses.replace(
    MCUNET, name="mcunet_clothing", data_path=SHARED / "data/clothing10_96.npz"
)
TASKS = (KWS, MCUNET, CLOTHING)
PLANS = {
    "kws": Plan(1000, 3, depth=9, final_steps=3600),
    "mcunet": Plan(1000, 3, depth=24, final_steps=3375, finalists=4, final_seeds=3),
    "mcunet_clothing": Plan(300, 1, depth=14, final_steps=1000, finalists=2, final_seeds=1),
}
"""What `--minutes 10` comes to for kws on two free cores; for the others by their size."""
FINAL_PASSES = {"kws": 3, "mcunet": 3, "mcunet_clothing": 3}


def inner_data(data: Dataset, model: Model) -> SplitData:
    """The training part alone, in three: what trains, what chooses, and what ranks."""
    outer = split_data(data, model)
    inside = Dataset(outer.x_train, outer.y_train, outer.x_select, outer.y_select)
    return split_data(inside, model, seed=1)


def whole_data(data: Dataset, model: Model) -> SplitData:
    """The whole training part trains, the test part scores."""
    outer = split_data(data, model)
    return SplitData(
        np.concatenate([outer.x_train, outer.x_select]),
        np.concatenate([outer.y_train, outer.y_select]),
        outer.x_test,
        outer.y_test,
        outer.x_test,
        outer.y_test,
    )


@dataclasses.dataclass
class Bench:
    """One task."""

    task: Task
    workers: int
    cache: LatentCache

    def __post_init__(self) -> None:
        self.model = self.task.model()
        self.measure = Measure(Trials(self.model), Way().smallest())
        self.space = Space.of(self.model, HEAD)
        self.digest = model_digest(self.model)

    @contextlib.contextmanager
    def open_workers(self, data: SplitData) -> Iterator[tuple[Workers, Results]]:
        tuner = FineTuner(self.model, data, self.cache)
        workers: Workers = InProcess(tuner) if self.workers == 1 else Processes(tuner, self.workers)
        try:
            yield workers, Results.beside(self.cache)
        finally:
            workers.close()

    def search(self, budgets: list[int]) -> Searched:
        data = inner_data(self.task.dataset(), self.model)
        last = [0.0]

        def on_progress(what: str, done: float, wanted: float) -> None:
            if time.monotonic() - last[0] > 60:
                last[0] = time.monotonic()
                print(f"{self.task.name} {what} {done / wanted:.0%}", file=sys.stderr, flush=True)

        search = Search(
            self.measure.trials, data, HEAD, self.measure.way, [Budget(b * KB) for b in budgets],
            PLANS[self.task.name], self.open_workers, on_progress,
        )  # fmt: skip
        return search.run()

    def fitting(self, scheme: Scheme, budget: int) -> Scheme | None:
        """The scheme with as many residual bits as fit; None where it does not."""
        for bits in RESIDUALS:
            fewer = dataclasses.replace(scheme, residual_bits=bits)
            costs = self.measure.of(fewer)
            if costs is not None and costs.arena <= budget * KB:
                return fewer
        return None

    def rivals(self, budget: int) -> dict[str, Scheme]:
        """By name, the largest of each kind that fits."""
        found: dict[str, Scheme] = {}

        def add(name: str, scheme: Scheme) -> bool:
            fits = self.fitting(scheme, budget)
            if fits is not None:
                found[name] = fits
            return fits is not None

        add("head only", self.space.scheme(Choice()))
        for depth in self.space.depths[1:]:
            if not add("last layers", last_layers(self.space, depth)):
                break
        for depth in self.space.depths[1:]:
            if not add("biases only", self.space.scheme(Choice(depth))):
                break
        for preset in (Preset.LIGHT, Preset.MEDIUM):
            add(f"preset {preset}", preset_scheme(preset, self.model, HEAD))
        for name in library_names():
            scheme = dataclasses.replace(find_scheme(name), head=HEAD)
            if scheme.model is not None and scheme.model.matches(self.space.all_layers):
                add("the paper's", dataclasses.replace(scheme, model=None))
        return found

    def measure_schemes(
        self, schemes: list[Scheme], seeds: list[int]
    ) -> dict[Scheme, list[FineTuned]]:
        """Each on the whole training part, scored on the test part."""
        data = whole_data(self.task.dataset(), self.model)
        steps = FINAL_PASSES[self.task.name] * len(data.y_train)
        different = list(dict.fromkeys(schemes))
        found: dict[Scheme, list[FineTuned]] = {scheme: [] for scheme in different}
        with self.open_workers(data) as (workers, results):
            tasks = [
                FineTune(self.digest, data.digest, scheme, None, steps, seed)
                for seed in seeds
                for scheme in different
            ]
            done = run_tasks(
                tasks, workers, results,
                lambda task, run: _say(f"{self.task.name} {task.seed} {run.score:.4f}"),
            )  # fmt: skip
            for task, result in zip(tasks, done, strict=True):
                found[task.scheme].append(result)
        return found


def mean_and_error(runs: list[FineTuned]) -> tuple[float, float]:
    """Mean score and its standard error over seeds and samples."""
    scores = np.array([run.scores for run in runs])
    squared = scores.mean(axis=0).var() / scores.shape[1]
    if len(runs) > 1:
        squared += scores.mean(axis=1).var(ddof=1) / len(runs)
    return float(scores.mean()), math.sqrt(squared)


def describe(scheme: Scheme) -> str:
    weights = " ".join(
        f"{w.layer}" + ("" if w.ratio == 1 else f":1/{1 / w.ratio:g}")
        for w in scheme.weights if not isinstance(w, str)
    )  # fmt: skip
    biases = len(scheme.bias_layers) or scheme.biases_last
    return f"{biases} biases, weights {weights or 'none'}, residual {scheme.residual_bits}"


def run(
    task: Task, budgets: list[int], seeds: list[int], workers: int, cache: LatentCache
) -> list[dict[str, Any]]:
    """Searches, then compares on the test part.

    Returns:
        A row for each budget and scheme.
    """
    bench = Bench(task, workers, cache)
    least = bench.measure.of(bench.space.scheme(Choice(), 0))
    assert least is not None
    usable = []
    for budget in budgets:
        if least.arena > budget * KB:
            budget = math.ceil(least.arena / KB)
            _say(f"{task.name}: {least.arena:,} bytes is the least that trains: {budget} KB")
        usable.append(budget)
    usable = sorted(set(usable))
    started, cpu = time.monotonic(), _cpu()
    searched = bench.search(usable)
    seconds, cpu = time.monotonic() - started, _cpu() - cpu
    named: dict[int, dict[str, Scheme]] = {}
    for outcome, budget in zip(searched.outcomes, usable, strict=True):
        rivals = bench.rivals(budget)
        if outcome.best is not None:
            rivals = {"search": outcome.best.contender.scheme, **rivals}
            rivals["optimum of the analysis"] = (
                bench.fitting(
                    next(
                        x.contender.scheme for x in outcome.ranked if x.contender.name == "optimum"
                    ),
                    budget,
                )
                or outcome.best.contender.scheme
            )
        named[budget] = rivals
    results = bench.measure_schemes([s for x in named.values() for s in x.values()], seeds)
    rows = []
    for budget, schemes in named.items():
        for name, scheme in schemes.items():
            mean, error = mean_and_error(results[scheme])
            costs = bench.measure.of(scheme)
            assert costs is not None
            rows.append(
                {
                    "task": task.name,
                    "budget_kb": budget,
                    "name": name,
                    "scheme": describe(scheme),
                    "arena_bytes": costs.arena,
                    "accuracy": mean,
                    "error": error,
                    "rates": sorted({run.rate for run in results[scheme]}),
                    "seeds": len(results[scheme]),
                    "search_seconds": seconds,
                    "search_processor_seconds": cpu,
                }
            )
    return rows


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _cpu() -> float:
    """Processor seconds of this process and of those that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=[x.name for x in TASKS], default=["kws"])
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS), help="in KB")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=CACHE / "search")
    arguments = parser.parse_args()
    cache = LatentCache(arguments.cache)
    rows = []
    for task in available(TASKS, arguments.only):
        rows += run(task, arguments.budgets, arguments.seeds, arguments.workers, cache)
        publish("search", {"rows": rows}, argparse.Namespace(json=False, save=arguments.save))
    publish("search", {"rows": rows}, arguments)
    if not arguments.json:
        show(
            "Test accuracy at equal arena",
            (
                Column("task", "task"),
                Column("budget, KB", "budget_kb"),
                Column("scheme", "name"),
                Column("trains", "scheme"),
                Column("arena", "arena_bytes", "{:,}"),
                Column("accuracy, %", "shown"),
            ),
            [{**r, "shown": f"{100 * r['accuracy']:.1f} +- {100 * r['error']:.1f}"} for r in rows],
        )
    print(json.dumps({"rows": len(rows)}), file=sys.stderr)


if __name__ == "__main__":
    main()
