"""Which update rule helps where: plain SGD, gradient accumulation, weight decay, clipped steps.

    python -m benchmarks.update_rules [--only TASK ...] [--quick] [--save FILE] [--json]

Every rule trains the same layers of the same model on the same data in the same orders, over a grid
of learning rates and two seeds, every step in the TFLM interpreter. Frozen early layers run once
per sample (`trained.cut`), which changes no bit.

A rule is judged by its best rate, which the same test samples choose for all rules from as many
rates; "no different" means by less than two standard errors of the difference of two shares. How
many rates come near the best one says how much a rule forgives.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.learning import QUICK_SAMPLES, Laboratory
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import DIGITS, KWS, Task, available
from tflm_train.data import Dataset
from tflm_train.qas.update_rule import AccumulatedSgd, Sgd, UpdateRule
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head, Scheme, WeightUpdate

SEEDS = (0, 1)
NEAR = 0.02
"""How far below a rule's best accuracy another rate may lie to count as near."""


@dataclass(frozen=True)
class MislabelledTask(Task):
    """A task some of whose training labels are wrong, as from a user who is often mistaken.

    Attributes:
        wrong_labels: the share of training samples with another label, drawn once.
    """

    wrong_labels: float = 0.0

    def dataset(self) -> Dataset:
        data = super().dataset()
        rng = np.random.default_rng(0)
        is_wrong = rng.random(len(data.y_train)) < self.wrong_labels
        classes = int(data.y_train.max()) + 1
        moved = (data.y_train + rng.integers(1, classes, len(data.y_train))) % classes
        return replace(data, y_train=np.where(is_wrong, moved, data.y_train))


_TWO_LAYERS = Scheme(head=Head(10), biases_last=2, weights=(WeightUpdate(7), WeightUpdate(8)))
TASKS = (
    replace(KWS, scheme=_TWO_LAYERS, epochs=2),
    replace(DIGITS, epochs=3),
    MislabelledTask(**{**vars(DIGITS), "name": "wrong-labels", "epochs": 3}, wrong_labels=0.3),
)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
RULES: Mapping[str, UpdateRule] = {
    "sgd": Sgd(),
    "accumulate 4": AccumulatedSgd(steps=4),
    "accumulate 8": AccumulatedSgd(steps=8),
    "accumulate 16": AccumulatedSgd(steps=16),
    "weight_decay 0.001": Sgd(weight_decay=1e-3),
    "weight_decay 0.01": Sgd(weight_decay=1e-2),
    "clip_norm 3": Sgd(clip_norm=3),
}


def measure(task: Task, rates: Sequence[float], limit: int | None) -> list[dict[str, Any]]:
    """Trains a task with every rule, rate and seed.

    Args:
        task: with plain SGD in its scheme.
        rates: learning rates of the first step.
        limit: use only the first samples of each part; None for all.

    Returns:
        A row for each rule and rate: `task`, `rule`, `rate`, `epochs`, `test_samples`,
        `extra_bytes` (of the arena, beyond plain SGD's), `test_accuracy` of each seed, and `loss`
        of the last epoch likewise.
    """
    rows = []
    for name, rule in RULES.items():
        changed = replace(task, scheme=replace(task.scheme, optimizer=rule))
        laboratory = Laboratory(changed, limit)
        for rate in rates:
            runs = [laboratory.train_int8(rate, seed=seed) for seed in SEEDS]
            row = {
                "task": task.name,
                "rule": name,
                "rate": rate,
                "epochs": task.epochs,
                "test_samples": laboratory.test_samples,
                "extra_bytes": _arena_bytes(changed) - _arena_bytes(task),
                "test_accuracy": [run["test_accuracy"] for run in runs],
                "loss": [run["epochs"][-1]["loss"] for run in runs],
            }
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
    return rows


def judge(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compares each rule's best rate with that of plain SGD.

    Args:
        rows: of one task, from `measure`.

    Returns:
        For each rule `rule`, `rate` (the best), `test_accuracy` (mean of the seeds), `near` (how
        many rates come near it), `difference` from SGD's, `standard_error` of it, `is_clear`.
    """
    by_rule: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_rule.setdefault(row["rule"], []).append(row)
    verdicts: list[dict[str, Any]] = []
    plain = 0.0
    for rule, tried in by_rule.items():
        means = [fmean(row["test_accuracy"]) for row in tried]
        best = max(means)
        if rule == "sgd":
            plain = best
        # The seeds change the order of training, not the test samples.
        variance = sum(p * (1 - p) for p in (best, plain)) / tried[0]["test_samples"]
        error = math.sqrt(variance)
        verdicts.append(
            {
                "task": tried[0]["task"],
                "rule": rule,
                "rate": tried[means.index(best)]["rate"],
                "test_accuracy": best,
                "near": sum(best - mean <= NEAR for mean in means),
                "difference": best - plain,
                "standard_error": error,
                "is_clear": abs(best - plain) > 2 * error,
            }
        )
    return verdicts


def _arena_bytes(task: Task) -> int:
    return rewrite(task.model(), task.scheme).report.arena.total_bytes


def _show(rows: Sequence[Mapping[str, Any]], verdicts: Sequence[Mapping[str, Any]]) -> None:
    rates = sorted({row["rate"] for row in rows})
    accuracy = {
        (row["task"], row["rule"], row["rate"]): 100 * fmean(row["test_accuracy"]) for row in rows
    }
    extra = {(row["task"], row["rule"]): row["extra_bytes"] for row in rows}
    table = [
        {
            **verdict,
            **{f"{rate:g}": accuracy[verdict["task"], verdict["rule"], rate] for rate in rates},
            "extra": extra[verdict["task"], verdict["rule"]],
            "points": 100 * verdict["difference"],
            "error": 100 * verdict["standard_error"],
        }
        for verdict in verdicts
    ]
    show(
        f"Test accuracy by learning rate, %, mean of {len(SEEDS)} seeds",
        (
            Column("task", "task"),
            Column("rule", "rule"),
            Column("extra bytes", "extra"),
            *(Column(f"{rate:g}", f"{rate:g}", "{:.1f}") for rate in rates),
            Column("best - sgd's", "points", "{:+.1f}"),
            Column("+-", "error", "{:.1f}"),
            Column(f"rates within {100 * NEAR:g}", "near"),
        ),
        table,
    )


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    names = [task.name for task in TASKS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="leave the rest out")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_SAMPLES} samples and one rate: shows that it runs, judges nothing",
    )
    arguments = parser.parse_args()
    rows, verdicts = [], []
    for task in available(TASKS, arguments.only):
        limit = QUICK_SAMPLES if arguments.quick else None
        measured = measure(task, RATES[3:4] if arguments.quick else RATES, limit)
        rows += measured
        verdicts += judge(measured)
    publish("update_rules", {"rows": rows, "verdicts": verdicts}, arguments)
    if not arguments.json:
        _show(rows, verdicts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
