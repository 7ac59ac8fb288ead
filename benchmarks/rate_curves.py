"""How well short runs tell the rate of a whole one.

    python -m benchmarks.rate_curves [--only TASK ...] [--save FILE]

For tasks of `benchmarks/newcomer.py`, as `rewrite` without options makes them: what a whole run at
each rate scores on the test samples, and the error on held-out training samples of runs a quarter
and a tenth as long, each with splits of its own. `middle` is what `learning.rates.middle` makes of
these errors, "loss" how much lower a whole run scores there than at its best rate.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.newcomer import TASKS, User
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import CACHE
from tflm_train.data import load_dataset
from tflm_train.data.dataset import TEST, TRAIN
from tflm_train.learning.folds import folds_of
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.learning.latent_cache import CACHE_VARIABLE, LatentCache
from tflm_train.learning.rates import middle
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import metric_for
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.schedule import default_epochs, learning_rate_at
from tflm_train.runtime.training import Inputs, infer_one

Array = np.ndarray[Any, Any]
LOWEST = {"resnet": 4.6e-4, "mcunet": 4.6e-4, "phone_to_watch": 1e-3, "ad01": 4.6e-4}
USUAL_LOWEST, COUNT, THIRD = 2.15e-3, 7, 10 ** (1 / 3)
SHARES = (0.25, 0.1)
COLUMNS = (
    Column("task", "task"),
    Column("steps", "steps"),
    Column("rate", "rate", "{:.2g}"),
    Column("score, whole run", "score", "{:.3f}"),
    Column("error, a quarter", "error_0.25", "{:.3f}"),
    Column("error, a tenth", "error_0.1", "{:.3f}"),
)


class Runs:
    """Runs of one task on the latents of its samples."""

    def __init__(self, name: str, folder: Path, cache: LatentCache) -> None:
        user = User(TASKS[name], folder)
        user.rewrite()
        whole = Interpreter(folder / "train.tflite")
        data = load_dataset(user.data)
        x, self.y = part_for(whole, data, TRAIN)
        x_test, self.y_test = part_for(whole, data, TEST)
        once = FrozenOnce(whole, cache)
        self.x, self.x_test = once.inputs(x, x_test)
        self.interpreter = once.tail
        self.start = self.interpreter.state()
        self.metric = metric_for(self.interpreter, self.y)
        self.steps = default_epochs(len(self.y)) * len(self.y)

    def train(self, rate: float, steps: int, samples: Array) -> None:
        """From the factory state, linear decay."""
        self.interpreter.load_state(self.start)
        for step in range(steps):
            epoch, place = divmod(step, len(samples))
            if place == 0:
                order = samples[np.random.default_rng([0, epoch]).permutation(len(samples))]
            index = order[place]
            target = None if self.interpreter.learns_its_input else self.y[index]
            now = learning_rate_at("linear", rate, step, steps)
            self.interpreter.train_step(self.x[index], target, now)

    def judged(self, x: Inputs, y: Array) -> tuple[Array, Array]:
        """Score and error of each sample."""
        answers = [infer_one(self.interpreter, sample) for sample in x]
        pairs = list(zip(answers, y, strict=True))
        return (
            np.array([self.metric.score(*pair) for pair in pairs]),
            np.array([self.metric.error(*pair) for pair in pairs]),
        )


def measure(name: str, cache: LatentCache) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One task: a row for each rate, and what the short runs make of it."""
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(name, Path(folder), cache)
    lowest = LOWEST.get(name, USUAL_LOWEST)
    rates = [lowest * THIRD**number for number in range(COUNT)]
    folds = folds_of(runs.y, 0)
    rows: list[dict[str, Any]] = []
    errors: dict[float, dict[float, Array]] = {share: {} for share in SHARES}
    for rate in rates:
        runs.train(rate, runs.steps, np.arange(len(runs.y)))
        score = float(np.mean(runs.judged(runs.x_test, runs.y_test)[0]))
        row = {"task": name, "steps": runs.steps, "rate": rate, "score": score}
        for share in SHARES:
            found = []
            for fold in folds:
                runs.train(rate, int(share * runs.steps), fold.train)
                held_out = [runs.x[index] for index in fold.held_out]
                found.append(runs.judged(held_out, runs.y[fold.held_out])[1])
            errors[share][rate] = np.concatenate(found)
            row[f"error_{share}"] = float(np.mean(errors[share][rate]))
        rows.append(row)
    logarithms, scores = np.log(rates), np.array([row["score"] for row in rows])
    best = max(scores) if runs.metric.is_accuracy else min(scores)
    summary: dict[str, Any] = {"task": name, "best": float(best)}
    for share in SHARES:
        rate = middle(errors[share])
        there = float(np.interp(math.log(rate), logarithms, scores))
        summary |= {f"middle_{share}": rate, f"loss_{share}": abs(float(best) - there)}
    return rows, summary


def main() -> None:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    arguments = parser.parse_args()
    cache = LatentCache.of_user(os.environ.get(CACHE_VARIABLE, str(CACHE)))
    rows, summaries = [], []
    for name in arguments.only:
        more, summary = measure(name, cache)
        rows += more
        summaries.append(summary)
    if not arguments.json:
        show("Short runs and whole ones", COLUMNS, rows)
        columns = (
            Column("task", "task"),
            *(Column(f"middle, {s}", f"middle_{s}", "{:.2g}") for s in SHARES),
            *(Column(f"loss, {s}", f"loss_{s}", "{:.3f}") for s in SHARES),
        )
        show("Where short runs point", columns, summaries)
    publish("rate_curves", {"rows": rows, "summaries": summaries}, arguments)


if __name__ == "__main__":
    main()
